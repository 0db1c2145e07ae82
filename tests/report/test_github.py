"""Failures become annotations of GitHub Actions: ten, then a count."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from wps_run.execution.result import ActionError, Result, SkipReason, Status, result_for
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.playbook.steps import Step
from wps_run.report.github import AnnotatedReporter, Annotations
from wps_run.report.records import NdjsonReporter
from wps_run.report.text import TextReporter

RUN_INFO = RunInfo(Destination.SERVICE, ("x.example",), ("chat",), ("p.yaml",), 1, "sequential")
FAULT = ActionError("Warning.User.NotExisted", "User `ada` is 100% gone", "let the user connect")
Told = Callable[..., Result]


@pytest.fixture
def told(make_step: Callable[..., Step]) -> Told:
    """Makes a record, failed unless said otherwise."""

    def make(
        status: Status = Status.FAILED, fault: ActionError | None = FAULT, **step: Any
    ) -> Result:
        return result_for(
            make_step(**step),
            status,
            http_status=404,
            attempts=2,
            duration=0.1,
            request_id="id",
            error=fault,
        )

    return make


def test_a_failure_is_shown_beside_its_line(told: Told) -> None:
    """What was done, why it failed, what to do; escaped as the runner reads it."""
    assert Annotations().result(told()) == (
        "::error file=rooms.yaml,line=5,title=failed%3A addUserToGroup::"
        "addUserToGroup userId=ada group=launch-red%0A"
        "Warning.User.NotExisted: User `ada` is 100%25 gone (404), 2 attempts%0A"
        "hint: let the user connect\n"
    )


def test_unknown_is_an_error_too(told: Told) -> None:
    """Somebody has to look."""
    assert "title=unknown%3A addUserToGroup::" in Annotations().result(told(Status.UNKNOWN))


def test_a_file_is_escaped_as_a_property_and_standard_input_is_none(told: Told) -> None:
    """A colon or a comma would end the property."""
    odd = Annotations().result(told(source="a,b:c%.yaml:7"))
    stdin = Annotations().result(told(source="<stdin>:7"))

    assert odd.startswith("::error file=a%2Cb%3Ac%25.yaml,line=7,title=")
    assert stdin.startswith("::error title=")


def test_no_name_begins_a_command_of_its_own(told: Told) -> None:
    """Line breaks are escaped, and nothing steers the log."""
    values = {"userId": "x\n::error::forged", "group": "\x1b[2J"}

    shown = Annotations().result(told(values=values))

    assert shown.count("\n") == 1
    assert "\x1b" not in shown


def test_ten_are_shown_and_the_rest_is_counted(told: Told) -> None:
    """GitHub would drop them in silence."""
    annotations = Annotations()

    shown = [annotations.result(told()) for _ in range(25)]

    assert sum(map(bool, shown)) == 10
    assert annotations.end() == (
        "::notice title=wps-run::15 more did not succeed; the log has a line for each\n"
    )


def test_what_a_failure_kept_from_starting_is_one_warning(told: Told) -> None:
    """With a count; what the playbook excuses is none."""
    annotations = Annotations()
    stopped = [told(Status.SKIPPED, ActionError(SkipReason.STOPPED, "x")) for _ in range(1000)]
    excused = told(Status.SKIPPED, ActionError(SkipReason.MISSING, "x"))

    shown = [annotations.result(one) for one in (*stopped, excused)]

    assert not any(shown)
    assert annotations.end() == (
        "::warning title=wps-run::1000 actions were skipped because an earlier action did"
        " not succeed\n"
    )


def test_a_run_without_failures_says_nothing(told: Told) -> None:
    """Silence is enough."""
    annotations = Annotations()

    assert annotations.result(told(Status.OK, None)) == ""
    assert annotations.end() == ""


def test_beside_a_report_for_machines_annotations_go_aside(told: Told) -> None:
    """Its lines stay what they are."""
    aside: list[str] = []
    reporter, alone = AnnotatedReporter(NdjsonReporter(), aside.append), NdjsonReporter()
    summary = Summary(Counter({Status.FAILED: 1}))
    for one in (reporter, alone):
        one.begin(RUN_INFO)

    shown = reporter.result(told()) + reporter.end(summary, ())

    assert shown == alone.result(told()) + alone.end(summary, ())
    assert [text.partition(" ")[0] for text in aside] == ["::error"]


@pytest.mark.parametrize("name", ["x ##[stop-commands]y", "##[add-mask]a", "###[error]a"])
def test_no_name_in_the_report_is_a_command_of_the_older_form(told: Told, name: str) -> None:
    """GitHub takes `##[error]` for one anywhere in a line; what is for machines stays the same."""
    record = told(values={"userId": name, "group": name})
    for_people, for_machines = (
        AnnotatedReporter(TextReporter()),
        AnnotatedReporter(NdjsonReporter(), lambda _: None),
    )

    shown = for_people.result(record).splitlines()
    line = for_machines.result(record)

    assert not any("##[" in one for one in shown if not one.startswith("::error "))
    assert "##[" not in line
    assert json.loads(line)["target"]["userId"] == name


def test_no_file_in_the_report_begins_a_command(told: Told) -> None:
    """A line that is indented may be one, too."""
    shown = AnnotatedReporter(TextReporter()).result(told(source="::stop-commands::x.yaml:7"))

    commands = [line for line in shown.splitlines() if line.lstrip().startswith("::")]
    assert [line[:13] for line in commands] == ["::error file="]
    assert ":stop-commands::x.yaml:7: " in shown
