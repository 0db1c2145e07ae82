"""A plan shows what each step waits for."""

from collections.abc import Callable

from wps_run.actions.locks import locks_of
from wps_run.actions.request import Value
from wps_run.actions.table import ACTIONS
from wps_run.playbook.steps import Step
from wps_run.report.plan import MAX_KEYS, WaitTracker, step_record, step_text


def test_a_send_waits_for_the_joins_of_its_group(make_step: Callable[..., Step]) -> None:
    """Joins wait for nothing; those of other groups have no effect."""
    tracker = WaitTracker()
    lines = []
    listed: list[tuple[str, dict[str, Value]]] = [
        ("addUserToGroup", {"userId": "ada", "group": "red"}),
        ("addUserToGroup", {"userId": "bob", "group": "red"}),
        ("addUserToGroup", {"userId": "cy", "group": "blue"}),
        ("sendToGroup", {"group": "red", "data": b"x", "dataType": "text"}),
    ]
    for index, (name, values) in enumerate(listed):
        step = make_step(
            index=index,
            action=ACTIONS[name],
            values=values,
            locks=locks_of(ACTIONS[name], values),
            name=None,
        )
        lines.append(step_text(step, tracker.waits_of(step)))

    assert [line.splitlines()[2] for line in lines] == [
        "        rooms.yaml:5; waits for nothing",
        "        rooms.yaml:5; waits for nothing",
        "        rooms.yaml:5; waits for nothing",
        "        rooms.yaml:5; waits for 2 from #0 (join, group red)",
    ]
    assert lines[3].splitlines()[:2] == [
        "     3  sendToGroup group=red",
        "        POST /api/hubs/chat/groups/red/:send?api-version=2024-12-01  1 B text/plain",
    ]


def test_a_sequential_step_waits_for_the_one_before_it(make_step: Callable[..., Step]) -> None:
    """One at a time, in the order of the playbook."""
    tracker = WaitTracker()
    waits = [tracker.waits_of(make_step(index=index)) for index in range(3)]

    assert [[wait.last for wait in step_waits] for step_waits in waits] == [[], [0], [1]]


def test_a_plan_has_no_payload(make_step: Callable[..., Step]) -> None:
    """Only its size, since plans are published."""
    values = {"data": b"secret", "dataType": "text"}
    step = make_step(action=ACTIONS["sendToAll"], values=values)

    assert "secret" not in step_text(step, ())
    assert "secret" not in str(step_record(step, ()))
    assert step_record(step, ())["bodyBytes"] == 6


def joins(make_step: Callable[..., Step], count: int) -> list[Step]:
    """Make steps that each add another user to one group."""
    action = ACTIONS["addUserToGroup"]
    steps = []
    for index in range(count):
        values: dict[str, Value] = {"userId": f"user-{index}", "group": "red"}
        locks = locks_of(action, values)
        steps.append(make_step(index=index, action=action, values=values, locks=locks))
    return steps


def test_a_plan_of_many_rows_remembers_a_bounded_number_of_targets(
    make_step: Callable[..., Step],
) -> None:
    """A target that is used again and again is among them."""
    tracker = WaitTracker()
    for step in joins(make_step, MAX_KEYS + 100):
        assert tracker.waits_of(step) == ()
    values: dict[str, Value] = {"group": "red", "data": b"x", "dataType": "text"}
    action = ACTIONS["sendToGroup"]
    send = make_step(index=MAX_KEYS + 100, locks=locks_of(action, values))

    (wait,) = tracker.waits_of(send)

    assert (wait.key, wait.count) == (("group", "red"), MAX_KEYS + 100)
    assert tracker.key_count <= MAX_KEYS + 1


def test_after_a_change_of_phase_a_step_waits_only_for_the_phase(
    make_step: Callable[..., Step],
) -> None:
    """It includes the waits for targets."""
    tracker = WaitTracker()
    for step in joins(make_step, 3):
        tracker.waits_of(step)
    action = ACTIONS["closeUserConnections"]
    values: dict[str, Value] = {"userId": "user-1"}

    waits = tracker.waits_of(make_step(index=3, locks=locks_of(action, values)))

    assert [(wait.key, wait.count) for wait in waits] == [(("hub", ""), 3)]
