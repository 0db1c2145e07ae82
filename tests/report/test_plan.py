"""A plan shows what each step waits for."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from wps_run.actions.locks import locks_of
from wps_run.actions.request import Value
from wps_run.actions.table import ACTIONS
from wps_run.playbook.steps import Step
from wps_run.redaction import Secrets
from wps_run.report.plan import MAX_KEYS, PlanTotals, StepWait, WaitTracker, step_record, step_text
from wps_run.text import display_width


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

    assert [line.splitlines()[-1] for line in lines] == [
        "        rooms.yaml:5; waits for nothing",
        "        rooms.yaml:5; waits for nothing",
        "        rooms.yaml:5; waits for nothing",
        "        rooms.yaml:5; waits for 2 from #0 (join, group red)",
    ]
    assert lines[3].splitlines()[:2] == [
        "     3  sendToGroup group=red",
        "        POST /api/hubs/chat/groups/red/:send?api-version=2024-12-01  1 B text/plain",
    ]
    assert lines[3].splitlines()[2] == "        message: x"


def test_a_sequential_step_waits_for_the_one_before_it(make_step: Callable[..., Step]) -> None:
    """One at a time, in the order of the playbook."""
    tracker = WaitTracker()
    waits = [tracker.waits_of(make_step(index=index)) for index in range(3)]

    assert [[wait.last for wait in step_waits] for step_waits in waits] == [[], [0], [1]]


def test_the_record_of_a_step_has_no_payload(make_step: Callable[..., Step]) -> None:
    """Only its size, since plans for programs are published."""
    values = {"data": b"secret", "dataType": "text"}
    step = make_step(action=ACTIONS["sendToAll"], values=values)

    assert "secret" not in str(step_record(step, ()))
    assert step_record(step, ())["bodyBytes"] == 6


@pytest.mark.parametrize(
    ("data", "data_type", "shown"),
    [
        (b"Hello\n\tthere\x1b[2J", "text", "message: Hello there[2J"),
        (b'{"a":\n 1}', "json", 'message: {"a": 1}'),
        (b"\0" * 4096, "binary", "message: 4,096 bytes of binary"),
        (b"x" * 5000, "text", "message: " + "x" * 70 + "…"),
        ("\u65e5".encode() * 5000, "text", "message: " + "\u65e5" * 35 + "…"),
        (b" " * 5000 + b"the token hunter2hunter2", "text", "message: "),
        (b"the token hunter2hunter2", "text", "message: the token ***"),
    ],
)
def test_text_previews_messages(
    make_step: Callable[..., Step], data: bytes, data_type: str, shown: str
) -> None:
    """One line that is not wider than a terminal, without secrets."""
    values = {"data": data, "dataType": data_type}
    secrets = Secrets(["hunter2hunter2"])
    step = make_step(action=ACTIONS["sendToAll"], values=values)
    step = replace(step, secrets=secrets)

    assert step_text(step, ()).splitlines()[2].strip() == shown.strip()


def test_the_totals_count_actions_by_kind(make_step: Callable[..., Step]) -> None:
    """The most frequent first, and how many wait."""
    tracker, totals = WaitTracker(), PlanTotals()
    for step in (
        *joins(make_step, 1200),
        make_step(action=ACTIONS["closeAllConnections"], values={}),
    ):
        totals.count(step, tracker.waits_of(step))

    assert totals.as_text() == (
        "\nPLAN: 1,201 actions, 1,201 requests with 0 bytes; 1 step waits for earlier ones\n"
        "  1,200  addUserToGroup\n"
        "      1  closeAllConnections\n"
    )


def test_lines_fit_the_terminal(make_step: Callable[..., Step]) -> None:
    """Names are shortened in the middle."""
    values: dict[str, Value] = {"userId": "user-" * 10 + "17", "group": "g"}
    text = step_text(make_step(values=values), (), columns=60)

    first = text.splitlines()[0]
    assert display_width(first) <= 60
    assert re.match(r" +3  addUserToGroup userId=user-[^ ]*…[^ ]*-17 group=g", first)


def test_waits_and_totals_are_wrapped_on_a_narrow_terminal(make_step: Callable[..., Step]) -> None:
    """The request stays on one line, to be copied."""
    tracker, totals = WaitTracker(), PlanTotals()
    for step in joins(make_step, 3):
        totals.count(step, tracker.waits_of(step))
    waits = (StepWait(("group", "red-and-blue"), "join", 3, 0, 2),)

    shown = step_text(make_step(source="playbooks/members.yaml:12"), waits, columns=40)
    rows = [row for row in (shown + totals.as_text(40)).splitlines() if "/api/" not in row]

    assert max(map(display_width, rows)) <= 40


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
