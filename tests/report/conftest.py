"""A few results and reports."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from wps_run.actions.locks import EXCLUSIVE
from wps_run.actions.request import build_request
from wps_run.actions.table import ACTIONS
from wps_run.execution.result import ActionError, Result, Status, result_for
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.playbook.options import Delivery, OnError
from wps_run.playbook.steps import Step
from wps_run.report.run_report import RunReport


@pytest.fixture
def make_step() -> Callable[..., Step]:
    """Return a function that makes a step that adds a user to a group, with changed attributes."""

    def make(**changes: Any) -> Step:
        action = changes.pop("action", ACTIONS["addUserToGroup"])
        values = changes.pop("values", {"userId": "ada", "group": "launch-red"})
        fields: dict[str, Any] = {
            "index": 3,
            "action_index": 0,
            "item": None,
            "action": action,
            "values": values,
            "request": build_request(action, values, "chat"),
            "locks": EXCLUSIVE,
            "source": "rooms.yaml:5",
            "name": "Seat the members",
            "on_error": OnError.STOP,
            "delivery": Delivery.AT_MOST_ONCE,
            "timeout": 30.0,
        }
        return Step(**{**fields, **changes})

    return make


@pytest.fixture
def results(make_step: Callable[..., Step]) -> list[Result]:
    """Return three results: ok, failed and skipped."""
    error = ActionError(
        "Warning.User.NotExisted", "User `ada` is not found.", "Let the user connect."
    )
    return [
        result_for(
            make_step(),
            Status.OK,
            http_status=200,
            attempts=1,
            duration=0.0031,
            request_id="id-1",
            started=0.001,
        ),
        result_for(
            make_step(index=4),
            Status.FAILED,
            http_status=404,
            attempts=2,
            duration=0.25,
            request_id="id-2",
            error=error,
            started=0.002,
        ),
        result_for(
            make_step(index=5), Status.SKIPPED, error=ActionError("stopped", "an action failed")
        ),
    ]


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    """Return a function that makes a result that is ok, with changed attributes."""

    def make(**changes: Any) -> Result:
        fields: dict[str, Any] = {
            "index": 3,
            "action": 0,
            "item": None,
            "action_name": "addUserToGroup",
            "name": "Seat the members",
            "target": {"userId": "ada", "group": "launch-red"},
            "source": "rooms.yaml:5",
            "status": Status.OK,
            "http_status": 200,
            "attempts": 1,
            "duration_ms": 3.1,
            "request_id": "id-1",
            "error": None,
            "started_ms": 0.5,
        }
        return Result(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def make_report(make_result: Callable[..., Result]) -> Callable[..., RunReport]:
    """Return a function that makes the report of these results; of three by default."""
    error = ActionError(
        "Warning.User.NotExisted", "User `ada` is not found.", "Let the user connect."
    )
    failed = {"status": Status.FAILED, "http_status": 404, "attempts": 2, "duration_ms": 250.0}
    skipped = {"status": Status.SKIPPED, "http_status": None, "attempts": 0, "duration_ms": 0.0}
    three = (
        make_result(),
        make_result(index=4, request_id="id-2", error=error, **failed),
        make_result(
            index=5, request_id=None, started_ms=None, error=ActionError("stopped", "m"), **skipped
        ),
    )

    def make(*results: Result, playbook: str = "Open the rooms", **changes: Any) -> RunReport:
        reported = results or three
        summary = Summary(Counter(), duration=1.5)
        for result in reported:
            summary.count(result)
        run_info = RunInfo(
            Destination.SERVICE,
            ("contoso.example",),
            ("chat",),
            (playbook,),
            len(reported),
            "one by one",
        )
        fields: dict[str, Any] = {
            "run_info": run_info,
            "started": "2026-11-24T14:00:00.000+00:00",
            "results": reported,
            "summary": summary,
        }
        return RunReport(**{**fields, **changes})

    return make
