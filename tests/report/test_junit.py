"""JUnit XML as CI servers take it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from wps_run.execution.result import ActionError, Result, Status
from wps_run.execution.summary import Summary
from wps_run.report.junit import junit
from wps_run.report.run_report import RunReport

SCHEMAS = [
    etree.XMLSchema(etree.parse(Path(__file__).parent / "schemas" / f"{name}-junit.xsd"))
    for name in ("ant", "jenkins")
]
TEXTS = st.text("\x00\x1b\x85\ud800\ufffe]]><&'\"\n\t é😀", max_size=8) | st.text(max_size=20)


def parsed(report: RunReport) -> Any:
    """The document, as a strict reader of UTF-8 sees it."""
    return etree.fromstring("".join(junit(report)).encode())


def broken_rules(document: Any) -> list[str]:
    """What the schemas say of it without the three things they do not know, which others read."""
    for case in document.iter("testcase"):
        case.remove(case[0])
        for known in ("file", "line"):
            case.attrib.pop(known, None)
    return [str(schema.error_log) for schema in SCHEMAS if not schema.validate(document)]


def test_an_action_is_a_test_case(make_report: Callable[..., RunReport]) -> None:
    """With source and time as attributes, attempts and request ID as properties."""
    suite = parsed(make_report())[0]
    cases = suite.findall("testcase")

    assert [case.get("name") for case in cases] == [
        "#3 userId=ada group=launch-red (Seat the members)",
        "#4 userId=ada group=launch-red (Seat the members)",
        "#5 userId=ada group=launch-red (Seat the members)",
    ]
    assert cases[1].attrib.items()[2:] == [
        ("file", "rooms.yaml"),
        ("time", "0.250000"),
        ("line", "5"),
    ]
    assert [[fact.get("name"), fact.get("value")] for fact in cases[1][0]] == [
        ["attempts", "2"],
        ["requestId", "id-2"],
        ["httpStatus", "404"],
    ]
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == [
        "3", "1", "0", "1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "element"),
    [("ok", None), ("failed", "failure"), ("unknown", "error"), ("skipped", "skipped")],
)
def test_each_status_has_its_element(
    make_report: Callable[..., RunReport],
    make_result: Callable[..., Result],
    status: str,
    element: str | None,
) -> None:
    """Failed is a failure, unknown an error, skipped skipped; with code, message and hint."""
    error = None if element is None else ActionError("c", "m", "h")
    (case,) = parsed(make_report(make_result(status=Status(status), error=error))).iter("testcase")
    endings = [child for child in case if child.tag != "properties"]

    assert [child.tag for child in endings] == ([] if element is None else [element])
    for child in endings:
        assert (child.get("message"), child.text) == ("m", "rooms.yaml:5: c: m\nh")
        assert child.get("type") == (None if status == "skipped" else "c")


def test_the_suite_tells_where_and_how_fast(make_report: Callable[..., RunReport]) -> None:
    """Percentiles and throughput as properties."""
    properties = {each.get("name"): each.get("value") for each in parsed(make_report())[0][0]}

    assert properties["destination"] == "SERVICE"
    assert properties["perSecond"] == "1.3"
    assert properties["latencyMs.p50"] == "3.1"
    assert properties["latencyMs.max"] == "250.0"


def test_a_run_without_records_for_all_has_an_error_more(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result]
) -> None:
    """A run that did not end is an error, whatever its results are."""
    summary = Summary(Counter({Status.OK: 1, Status.UNKNOWN: 1, Status.SKIPPED: 7}))
    document = parsed(make_report(make_result(), summary=summary, is_finished=False))

    assert document[0].get("tests") == "2"
    assert document[0].get("errors") == "1"
    assert document.findall(".//error")[0].get("message") == (
        "the run did not end: 8 actions have no result"
    )
    assert broken_rules(document) == []


@given(texts=st.tuples(TEXTS, TEXTS, TEXTS), status=st.sampled_from(Status))
def test_whatever_the_names_it_is_valid(
    make_report: Callable[..., RunReport],
    make_result: Callable[..., Result],
    texts: tuple[str, str, str],
    status: Status,
) -> None:
    """By the schemas of Ant and of Jenkins; characters that XML forbids are numbers."""
    name, value, source = texts
    error = None if status is Status.OK else ActionError(name, value, source)
    target = {"userId": value, "excluded": (name, value)}
    result = make_result(name=name, target=target, source=source, status=status, error=error)

    assert broken_rules(parsed(make_report(result, playbook=value))) == []


def test_line_breaks_in_a_name_stay_line_breaks(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result]
) -> None:
    """A reader would turn a plain one in an attribute into a space."""
    (case,) = parsed(make_report(make_result(name="a\nb\x00\ud800"))).iter("testcase")

    assert case.get("name").endswith("(a\nb\\x00\\ud800)")
