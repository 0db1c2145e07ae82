"""A few results to report."""

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
    """Makes a step that adds a user to a group, with other values where they are given."""

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
    """One that is ok, one that failed, one that was skipped."""
    fault = ActionError(
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
            error=fault,
            started=0.002,
        ),
        result_for(
            make_step(index=5), Status.SKIPPED, error=ActionError("stopped", "an action failed")
        ),
    ]


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Result]:
    """Makes the record of an action that is ok, with other values where they are given."""

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
def make_report(make_record: Callable[..., Result]) -> Callable[..., RunReport]:
    """Makes the report of a run with these records: one ok, one failed, one skipped."""
    fault = ActionError(
        "Warning.User.NotExisted", "User `ada` is not found.", "Let the user connect."
    )
    failed = {"status": Status.FAILED, "http_status": 404, "attempts": 2, "duration_ms": 250.0}
    skipped = {"status": Status.SKIPPED, "http_status": None, "attempts": 0, "duration_ms": 0.0}
    three = (
        make_record(),
        make_record(index=4, request_id="id-2", error=fault, **failed),
        make_record(
            index=5, request_id=None, started_ms=None, error=ActionError("stopped", "m"), **skipped
        ),
    )

    def make(*records: Result, playbook: str = "Open the rooms", **changes: Any) -> RunReport:
        told = records or three
        summary = Summary(Counter(), duration=1.5)
        for record in told:
            summary.count(record)
        run_info = RunInfo(
            Destination.SERVICE,
            ("contoso.example",),
            ("chat",),
            (playbook,),
            len(told),
            "one by one",
        )
        fields: dict[str, Any] = {
            "run_info": run_info,
            "started": "2026-11-24T14:00:00.000+00:00",
            "results": told,
            "summary": summary,
        }
        return RunReport(**{**fields, **changes})

    return make
