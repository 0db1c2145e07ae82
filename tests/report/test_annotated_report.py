"""Failures become annotations of a CI service: ten, then a count."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from wps_run.execution.result import ActionError, Result, SkipReason, Status, result_for
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.playbook.steps import Step
from wps_run.report.annotated_report import AnnotatedReporter, Annotations
from wps_run.report.annotations import CiService, ci_service
from wps_run.report.records import NdjsonReporter
from wps_run.report.text import TextReporter

RUN_INFO = RunInfo(Destination.SERVICE, ("x.example",), ("chat",), ("p.yaml",), 1, "sequential")
ERROR = ActionError("Warning.User.NotExisted", "User `ada` is 100% gone", "let the user connect")
MakeFailure = Callable[..., Result]


def service_of(**environment: str) -> CiService:
    """Return the CI service that sets these variables."""
    service = ci_service(environment)
    assert service is not None
    return service


GITHUB, AZURE = service_of(GITHUB_ACTIONS="true"), service_of(TF_BUILD="True")


@pytest.fixture
def make_failure(make_step: Callable[..., Step]) -> MakeFailure:
    """Return a function that makes a result, failed by default."""

    def make(
        status: Status = Status.FAILED, error: ActionError | None = ERROR, **step: Any
    ) -> Result:
        return result_for(
            make_step(**step),
            status,
            http_status=404,
            attempts=2,
            duration=0.1,
            request_id="id",
            error=error,
        )

    return make


def test_a_failure_is_shown_beside_its_line(make_failure: MakeFailure) -> None:
    """With the action, the error and the hint, escaped as GitHub reads them."""
    assert Annotations(GITHUB).result(make_failure()) == (
        "::error file=rooms.yaml,line=5,title=failed%3A addUserToGroup::"
        "addUserToGroup userId=ada group=launch-red%0A"
        "Warning.User.NotExisted: User `ada` is 100%25 gone (404), 2 attempts%0A"
        "hint: let the user connect\n"
    )


def test_unknown_is_an_error_too(make_failure: MakeFailure) -> None:
    """It has to be checked."""
    assert "title=unknown%3A addUserToGroup::" in Annotations(GITHUB).result(
        make_failure(Status.UNKNOWN)
    )


def test_a_file_is_escaped_as_a_property_and_standard_input_is_none(
    make_failure: MakeFailure,
) -> None:
    """A colon or a comma would end the property."""
    odd = Annotations(GITHUB).result(make_failure(source="a,b:c%.yaml:7"))
    stdin = Annotations(GITHUB).result(make_failure(source="<stdin>:7"))

    assert odd.startswith("::error file=a%2Cb%3Ac%25.yaml,line=7,title=")
    assert stdin.startswith("::error title=")


def test_no_name_begins_a_command_of_its_own(make_failure: MakeFailure) -> None:
    """Line breaks and terminal escapes are escaped."""
    values = {"userId": "x\n::error::forged", "group": "\x1b[2J"}

    shown = Annotations(GITHUB).result(make_failure(values=values))

    assert shown.count("\n") == 1
    assert "\x1b" not in shown


def test_ten_are_shown_and_the_rest_is_counted(make_failure: MakeFailure) -> None:
    """GitHub would silently drop them."""
    annotations = Annotations(GITHUB)

    shown = [annotations.result(make_failure()) for _ in range(25)]

    assert sum(map(bool, shown)) == 10
    assert annotations.end() == (
        "::notice title=wps-run::15 more did not succeed; the log has a line for each\n"
    )


def test_actions_skipped_after_a_failure_are_one_warning(make_failure: MakeFailure) -> None:
    """With a count; actions that the playbook allows to be skipped are not in it."""
    annotations = Annotations(GITHUB)
    stopped = [
        make_failure(Status.SKIPPED, ActionError(SkipReason.STOPPED, "x")) for _ in range(1000)
    ]
    excused = make_failure(Status.SKIPPED, ActionError(SkipReason.MISSING, "x"))

    shown = [annotations.result(result) for result in (*stopped, excused)]

    assert not any(shown)
    assert annotations.end() == (
        "::warning title=wps-run::1000 actions were skipped because an earlier action did"
        " not succeed\n"
    )


def test_a_run_without_failures_has_no_annotations(make_failure: MakeFailure) -> None:
    """No annotation is written."""
    annotations = Annotations(GITHUB)

    assert annotations.result(make_failure(Status.OK, None)) == ""
    assert annotations.end() == ""


def test_beside_a_report_for_programs_annotations_go_aside(make_failure: MakeFailure) -> None:
    """Its lines are the same as without annotations."""
    annotations_text: list[str] = []
    alone = NdjsonReporter()
    reporter = AnnotatedReporter(NdjsonReporter(), GITHUB, annotations_text.append)
    summary = Summary(Counter({Status.FAILED: 1}))
    for each in (reporter, alone):
        each.begin(RUN_INFO)

    shown = reporter.result(make_failure()) + reporter.end(summary, ())

    assert shown == alone.result(make_failure()) + alone.end(summary, ())
    assert [text.partition(" ")[0] for text in annotations_text] == ["::error"]


def test_azure_pipelines_gets_logging_commands(make_failure: MakeFailure) -> None:
    """With its own escapes; a notice, which it does not have, is a plain line."""
    annotations = Annotations(AZURE)
    failures = [make_failure(source="a;b]c%.yaml:7") for _ in range(12)]

    first, *_ = map(annotations.result, failures)

    assert first == (
        "##vso[task.logissue type=error;sourcepath=a%3Bb%5Dc%AZP25.yaml;linenumber=7;]"
        "failed: addUserToGroup: addUserToGroup userId=ada group=launch-red%0A"
        "Warning.User.NotExisted: User `ada` is 100%AZP25 gone (404), 2 attempts%0A"
        "hint: let the user connect\n"
    )
    assert annotations.end() == "wps-run: 2 more did not succeed; the log has a line for each\n"


def test_only_the_log_of_a_known_service_has_annotations() -> None:
    assert ci_service({"TF_BUILD": "", "GITHUB_ACTIONS": "false"}) is None


@pytest.mark.parametrize("name", ["x##vso[task.setvariable]y", "##VSO[task.complete]", "##[error]"])
def test_no_name_in_the_report_is_a_command_of_azure_pipelines(
    make_failure: MakeFailure, name: str
) -> None:
    """Neither in a line of the report nor in an annotation."""
    values = {"userId": name, "group": name}
    annotation = Annotations(AZURE).result(make_failure(values=values))
    shown = AnnotatedReporter(TextReporter(), AZURE).result(make_failure(values=values))

    assert annotation.count("[") == 1
    assert shown.lower().count("##vso[") == 1
    assert "##[" not in shown


@pytest.mark.parametrize("name", ["x ##[stop-commands]y", "##[add-mask]a", "###[error]a"])
def test_no_name_in_the_report_is_a_command_of_the_older_form(
    make_failure: MakeFailure, name: str
) -> None:
    """GitHub reads `##[error]` anywhere in a line; JSON values stay the same."""
    result = make_failure(values={"userId": name, "group": name})
    for_people, for_programs = (
        AnnotatedReporter(TextReporter(), GITHUB),
        AnnotatedReporter(NdjsonReporter(), GITHUB, lambda _: None),
    )

    shown = for_people.result(result).splitlines()
    line = for_programs.result(result)

    assert not any("##[" in text for text in shown if not text.startswith("::error "))
    assert "##[" not in line
    assert json.loads(line)["target"]["userId"] == name


def test_no_file_in_the_report_begins_a_command(make_failure: MakeFailure) -> None:
    """An indented line can be a command too."""
    shown = AnnotatedReporter(TextReporter(), GITHUB).result(
        make_failure(source="::stop-commands::x.yaml:7")
    )

    commands = [line for line in shown.splitlines() if line.lstrip().startswith("::")]
    assert [line[:13] for line in commands] == ["::error file="]
    assert ":stop-commands::x.yaml:7: " in shown
