"""A report as JUnit XML, which CI servers read: one test case per action and per expectation.

The format follows the schemas of Ant and Jenkins. These have neither `file`, `line` nor properties
of a test case, which are as pytest writes them, and as GitLab, Jenkins and others read them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape

from wps_run.execution.result import ExpectationResult, Result, Status
from wps_run.report.run_report import RunReport
from wps_run.report.values import whole_target


def junit(report: RunReport) -> Iterator[str]:
    """Yield the document in pieces.

    A failed action is a failure, an unknown one an error, a skipped one is skipped. A run that did
    not end has one more test case, an error, for the actions without a result.
    """
    recorded = Counter(result.status for result in report.results)
    unrecorded = report.summary.total - recorded.total()
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
    yield f"<testsuite{_attributes(_suite(report, recorded, unrecorded))}>\n"
    yield _properties(_suite_properties(report), "  ")
    for result in report.results:
        yield _case(result)
    if unrecorded:
        yield _unfinished_case(unrecorded)
    yield _SUITE_END
    if report.run_info.expectations:
        yield from _expectation_suite(report)
    yield "</testsuites>\n"


_SUITE_END = "  <system-out></system-out>\n  <system-err></system-err>\n</testsuite>\n"


def _suite(report: RunReport, recorded: Counter[Status], unrecorded: int) -> dict[str, object]:
    return {
        "name": ", ".join(report.run_info.playbooks).strip() or "wps-run",
        "package": "wps-run",
        "id": 0,
        "hostname": ", ".join(report.run_info.endpoints).strip() or "localhost",
        "timestamp": report.started[:19],
        "tests": recorded.total() + bool(unrecorded),
        "failures": recorded[Status.FAILED],
        "errors": recorded[Status.UNKNOWN] + bool(unrecorded),
        "skipped": recorded[Status.SKIPPED],
        "time": _seconds(report.summary.duration),
    }


def _expectation_suite(report: RunReport) -> Iterator[str]:
    """Yield a test suite with one test case per expectation."""
    recorded = Counter(result.status for result in report.expectations)
    unrecorded = report.run_info.expectations - recorded.total()
    suite = _suite(report, recorded, unrecorded)
    seconds = sum(result.duration_ms for result in report.expectations) / 1000
    suite |= {"name": f"{suite['name']}: expectations", "id": 1, "time": _seconds(seconds)}
    yield f"<testsuite{_attributes(suite)}>\n  <properties></properties>\n"
    for result in report.expectations:
        attributes = {"classname": "expect", "name": result.statement, **_place(result.source)}
        attributes["time"] = _seconds(result.duration_ms / 1000)
        yield f"  <testcase{_attributes(attributes)}>\n{_failure(result)}  </testcase>\n"
    if unrecorded:
        yield _unfinished_case(unrecorded, "expectations")
    yield _SUITE_END


def _suite_properties(report: RunReport) -> dict[str, object]:
    run_info, summary = report.run_info, report.summary
    properties: dict[str, object] = {
        "destination": run_info.destination,
        "hubs": ", ".join(run_info.hubs),
        "pace": run_info.pace,
        **({"shard": str(run_info.shard)} if run_info.shard else {}),
        **({"selection": run_info.selection} if run_info.selection else {}),
        **({"environment": run_info.environment_name} if run_info.environment_name else {}),
        "exitCode": summary.exit_code,
        "perSecond": f"{summary.per_second:.1f}",
    }
    if summary.latency.count:
        for percent in (50, 90, 99):
            properties[f"latencyMs.p{percent}"] = summary.latency.percentile(percent)
        properties["latencyMs.max"] = summary.latency.longest_ms
    return properties


def _case(result: Result) -> str:
    name = f" ({result.label})" if result.label else ""
    place = _place(result.source)
    attributes: dict[str, object] = {
        "classname": result.action_name,
        "name": f"#{result.index} {whole_target(result.target)}{name}",
        "file": place.pop("file"),
        "time": _seconds(result.duration_ms / 1000),
        **place,
    }
    properties: dict[str, object] = {"attempts": result.attempts}
    if result.request_id is not None:
        properties["requestId"] = result.request_id
    if result.http_status is not None:
        properties["httpStatus"] = result.http_status
    if result.earlier is True:
        properties["earlier"] = "true"
    content = _properties(properties, "    ") + _failure(result)
    return f"  <testcase{_attributes(attributes)}>\n{content}  </testcase>\n"


def _place(source: str) -> dict[str, object]:
    """Return the attributes that say where something is written."""
    file, colon, line = source.rpartition(":")
    lines = {"line": line} if colon and line.isdigit() else {}
    return {"file": file if colon else source, **lines}


_ELEMENTS: Mapping[Status, str] = {
    Status.FAILED: "failure",
    Status.UNKNOWN: "error",
    Status.SKIPPED: "skipped",
}


def _failure(result: Result | ExpectationResult) -> str:
    """Return the element that says why it is not ok; "" when it is ok."""
    element = _ELEMENTS.get(result.status)
    if element is None:
        return ""
    error = result.error
    attributes: dict[str, object] = {"message": error.message if error else ""}
    if result.status is not Status.SKIPPED:
        attributes["type"] = error.code if error else result.status
    lines = [f"{result.source}: {error.code}: {error.message}", error.hint] if error else []
    text = _escaped("\n".join(filter(None, lines)))
    return f"    <{element}{_attributes(attributes)}>{text}</{element}>\n"


def _unfinished_case(unrecorded: int, what: str = "actions") -> str:
    message = f"the run did not end: {unrecorded} {what} have no result"
    attributes: dict[str, object] = {
        "classname": "wps-run",
        "name": "the run ended",
        "time": _seconds(0),
    }
    error = _attributes({"message": message, "type": "interrupted"})
    return f"  <testcase{_attributes(attributes)}>\n    <error{error}></error>\n  </testcase>\n"


def _properties(properties: Mapping[str, object], indent: str) -> str:
    lines = "".join(
        f"{indent}  <property{_attributes({'name': name, 'value': value})}/>\n"
        for name, value in properties.items()
    )
    return f"{indent}<properties>\n{lines}{indent}</properties>\n"


def _attributes(values: Mapping[str, object]) -> str:
    return "".join(f' {name}="{_attribute(value)}"' for name, value in values.items())


def _attribute(value: object) -> str:
    """Return the value escaped; line breaks as numbers, since readers turn others into spaces."""
    text = _escaped(str(value))
    return text.replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")


_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow, not even as numbers."""


def _escaped(text: str) -> str:
    r"""Return the text escaped for XML; what XML forbids is written as in Python, as `\x00`."""
    return escape(_FORBIDDEN.sub(lambda match: ascii(match[0])[1:-1], text))


def _seconds(seconds: float) -> str:
    return f"{seconds:.6f}"
