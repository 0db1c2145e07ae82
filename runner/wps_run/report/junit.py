"""A run as JUnit XML, which CI servers read: one test case an action.

The form is that of Ant's and Jenkins' schemas. Both know neither `file`, `line` nor properties of
a test case; these are as pytest writes them, and as GitLab, Jenkins and others read them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape

from wps_run.execution.record import Record
from wps_run.execution.result import Status
from wps_run.report.run_report import RunReport
from wps_run.report.values import whole_target


def junit(account: RunReport) -> Iterator[str]:
    """The document, piece by piece.

    Failed is a failure, unknown an error, skipped skipped. A run that was broken off has one more
    test case, an error, for what it has no records of.
    """
    recorded = Counter(record.status for record in account.records)
    undone = account.summary.total - recorded.total()
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
    yield f"<testsuite{_attributes(_suite(account, recorded, undone))}>\n"
    yield _properties(_facts(account), "  ")
    for record in account.records:
        yield _case(record)
    if undone:
        yield _broken_off(undone)
    yield "  <system-out></system-out>\n  <system-err></system-err>\n</testsuite>\n</testsuites>\n"


def _suite(account: RunReport, recorded: Counter[Status], undone: int) -> dict[str, object]:
    return {
        "name": ", ".join(account.heading.playbooks).strip() or "wps-run",
        "package": "wps-run",
        "id": 0,
        "hostname": ", ".join(account.heading.endpoints).strip() or "localhost",
        "timestamp": account.began[:19],
        "tests": recorded.total() + bool(undone),
        "failures": recorded[Status.FAILED],
        "errors": recorded[Status.UNKNOWN] + bool(undone),
        "skipped": recorded[Status.SKIPPED],
        "time": _seconds(account.summary.duration),
    }


def _facts(account: RunReport) -> dict[str, object]:
    heading, summary = account.heading, account.summary
    facts: dict[str, object] = {
        "destination": heading.destination,
        "hubs": ", ".join(heading.hubs),
        "pace": heading.pace,
        **({"shard": str(heading.shard)} if heading.shard else {}),
        "exitCode": summary.exit_code,
        "perSecond": f"{summary.per_second:.1f}",
    }
    if summary.latency.count:
        for percent in (50, 90, 99):
            facts[f"latencyMs.p{percent}"] = summary.latency.percentile(percent)
        facts["latencyMs.max"] = summary.latency.most
    return facts


def _case(record: Record) -> str:
    label = f" ({record.name})" if record.name else ""
    file, colon, line = record.source.rpartition(":")
    attributes: dict[str, object] = {
        "classname": record.action_name,
        "name": f"#{record.index} {whole_target(record.target)}{label}",
        "file": file if colon else record.source,
        "time": _seconds(record.duration_ms / 1000),
    }
    if colon and line.isdigit():
        attributes["line"] = line
    facts: dict[str, object] = {"attempts": record.attempts}
    if record.request_id is not None:
        facts["requestId"] = record.request_id
    if record.http_status is not None:
        facts["httpStatus"] = record.http_status
    inner = _properties(facts, "    ") + _ending(record)
    return f"  <testcase{_attributes(attributes)}>\n{inner}  </testcase>\n"


_ELEMENTS: Mapping[Status, str] = {
    Status.FAILED: "failure",
    Status.UNKNOWN: "error",
    Status.SKIPPED: "skipped",
}


def _ending(record: Record) -> str:
    element = _ELEMENTS.get(record.status)
    if element is None:
        return ""
    fault = record.error
    attributes: dict[str, object] = {"message": fault.message if fault else ""}
    if record.status is not Status.SKIPPED:
        attributes["type"] = fault.code if fault else record.status
    said = [f"{record.source}: {fault.code}: {fault.message}", fault.hint] if fault else []
    words = _safe("\n".join(filter(None, said)))
    return f"    <{element}{_attributes(attributes)}>{words}</{element}>\n"


def _broken_off(undone: int) -> str:
    message = f"the run was broken off: {undone} actions have no result"
    attributes: dict[str, object] = {
        "classname": "wps-run",
        "name": "the run came to its end",
        "time": _seconds(0),
    }
    error = _attributes({"message": message, "type": "interrupted"})
    return f"  <testcase{_attributes(attributes)}>\n    <error{error}></error>\n  </testcase>\n"


def _properties(facts: Mapping[str, object], indent: str) -> str:
    lines = "".join(
        f"{indent}  <property{_attributes({'name': name, 'value': value})}/>\n"
        for name, value in facts.items()
    )
    return f"{indent}<properties>\n{lines}{indent}</properties>\n"


def _attributes(values: Mapping[str, object]) -> str:
    return "".join(f' {name}="{_attribute(value)}"' for name, value in values.items())


def _attribute(value: object) -> str:
    """A line break stays one: unless it is written as a number, readers turn it into a space."""
    text = _safe(str(value))
    return text.replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")


_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 does not allow, not even as a number."""


def _safe(text: str) -> str:
    """The text as XML has it; what XML forbids is written as in Python, by its number."""
    return escape(_FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text))


def _seconds(seconds: float) -> str:
    return f"{seconds:.6f}"
