"""A few results to report."""

from collections.abc import Callable
from typing import Any

import pytest

from runner.actions.claims import ALONE
from runner.actions.table import ACTIONS
from runner.actions.wire import build_request
from runner.execution.result import Fault, Result, Status
from runner.playbook.options import Delivery, OnError
from runner.playbook.step import Step


@pytest.fixture
def make_step() -> Callable[..., Step]:
    """Makes a step that adds a user to a group, with other values where they are given."""

    def make(**changes: Any) -> Step:
        action = changes.pop("action", ACTIONS["addUserToGroup"])
        values = changes.pop("values", {"userId": "ada", "group": "launch-red"})
        fields: dict[str, Any] = {
            "index": 3,
            "written": 0,
            "item": None,
            "action": action,
            "values": values,
            "request": build_request(action, values, "chat"),
            "claims": ALONE,
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
    fault = Fault("Warning.User.NotExisted", "User `ada` is not found.", "Let the user connect.")
    return [
        Result(make_step(), Status.OK, 200, 1, 0.0031, "id-1"),
        Result(make_step(index=4), Status.FAILED, 404, 2, 0.25, "id-2", fault),
        Result(make_step(index=5), Status.SKIPPED, fault=Fault("stopped", "an action failed")),
    ]
