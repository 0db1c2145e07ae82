"""A playbook becomes a lazy stream of checked steps."""

from typing import Any

import pytest

from wps_run.actions.locks import EXCLUSIVE, locks_of
from wps_run.actions.request import Request
from wps_run.actions.table import ACTIONS
from wps_run.playbook.files import Files
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.playbook.options import Delivery, Mode, OnError, RunOptions
from wps_run.playbook.steps import Step, StepMaker, check_steps
from wps_run.playbook.variables import VariableScope
from wps_run.problems import PlaybookError, format_problem


def read(actions: str) -> Playbook:
    """A playbook of these actions, without problems so far."""
    playbook = read_playbook(f"vars: {{room: launch}}\nactions:\n{actions}", "p.yaml")
    assert playbook.problems == ()
    return playbook


def steps_of(playbook: Playbook, first: int = 0, **changes: Any) -> list[Step]:
    """Its steps in hub `chat`."""
    scope = VariableScope(playbook.parts[0].variables, {"TEAM": "red"})
    return list(StepMaker(playbook, scope, RunOptions(**changes), "chat", first=first).steps())


def problems_of(playbook: Playbook) -> list[str]:
    """What filling in the variables brings to light."""
    scope = VariableScope(
        playbook.parts[0].variables, {"TEAM": "red", "SLASH": "a/b", "LONG": "x" * 1025}
    )
    return [format_problem(problem) for problem in check_steps(playbook, scope).problems]


def test_a_step_has_everything_that_the_executor_needs() -> None:
    """Variables are filled in, the request is built, the source is the action's line."""
    playbook = read(
        "  - {name: 'Seat ${env.TEAM}', actionName: addUserToGroup, userId: ada,\n"
        "     group: '${room}-${env.TEAM}', onError: continue, timeout: 2s,\n"
        "     delivery: atLeastOnce}\n"
    )

    values = {"userId": "ada", "group": "launch-red"}
    assert steps_of(playbook, first=7, mode=Mode.CONCURRENT) == [
        Step(
            index=7,
            action_index=0,
            item=None,
            action=ACTIONS["addUserToGroup"],
            values=values,
            request=Request("PUT", "/api/hubs/chat/users/ada/groups/launch-red"),
            locks=locks_of(ACTIONS["addUserToGroup"], values),
            source="p.yaml:3",
            name="Seat red",
            on_error=OnError.CONTINUE,
            delivery=Delivery.AT_LEAST_ONCE,
            timeout=2.0,
        )
    ]


def test_in_a_sequential_run_every_step_is_alone() -> None:
    """Every step locks the hub for itself."""
    (step,) = steps_of(read("  - {actionName: sendToAll, data: x}\n"))

    assert step.locks == EXCLUSIVE


def test_data_becomes_bytes_and_lists_become_tuples() -> None:
    """`dataType` is text unless it is set."""
    (step,) = steps_of(
        read("  - {actionName: sendToAll, data: '${room}!', excluded: [a, '${room}']}\n")
    )

    assert step.values == {
        "data": b"launch!",
        "dataType": "text",
        "excluded": ("a", "launch"),
    }
    assert step.request == Request(
        "POST", "/api/hubs/chat/:send", "excluded=a&excluded=launch", b"launch!", "text/plain"
    )


def test_a_whole_number_may_come_from_a_variable() -> None:
    """Variables are strings; where a number is needed it is read as one."""
    playbook = read_playbook(
        "vars: {ttl: 60}\nactions: [{actionName: sendToAll, data: x, messageTtlSeconds: '${ttl}'}]",
        "p.yaml",
    )

    assert steps_of(playbook)[0].values["messageTtlSeconds"] == 60


def test_an_undefined_variable_is_pointed_at() -> None:
    """Line and column are those of the `${…}`, in a list and behind other text too."""
    playbook = read(
        "  - {actionName: sendToAll, data: 'to ${rooom}'}\n"
        "  - actionName: sendToAll\n"
        "    data: x\n"
        "    excluded:\n"
        "      - a\n"
        "      - ${nobody}\n"
    )

    assert problems_of(playbook) == [
        "p.yaml:3:39: error: `${rooom}` names no variable; did you mean `room`?",
        "p.yaml:8:9: error: `${nobody}` names no variable; add it to `vars`, or give --var",
    ]


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ("{actionName: addUserToGroup, userId: ada, group: '${env.SLASH}'}", "has a `/`"),
        ("{actionName: addUserToGroup, userId: ada, group: '${env.LONG}'}", "1025 UTF-16"),
        ("{actionName: sendToAll, data: '${room}', dataType: json}", "not JSON"),
        ("{actionName: sendToAll, data: x, dataType: '${room}'}", "dataType"),
        ("{actionName: sendToAll, data: x, messageTtlSeconds: '${room}'}", "messageTtlSeconds"),
        (
            "{actionName: grantPermission, connectionId: c, permission: '${room}', targetName: g}",
            "permission",
        ),
    ],
)
def test_what_is_filled_in_is_checked_like_what_is_written(action: str, complaint: str) -> None:
    """Nothing bad comes in through a variable."""
    (problem,) = problems_of(read(f"  - {action}\n"))

    assert problem.startswith("p.yaml:3:")
    assert complaint in problem


def test_nothing_is_judged_that_only_run_time_knows() -> None:
    """Validation is offline; an environment variable may be set where the playbook runs."""
    playbook = read("  - {actionName: sendToAll, data: x, dataType: '${env.TYPE}'}\n")

    assert check_steps(playbook, VariableScope(playbook.parts[0].variables, None)).problems == ()


def test_a_bad_value_never_becomes_a_step() -> None:
    """Even a caller who did not check is safe."""
    playbook = read("  - {actionName: sendToAll, data: '${nope}'}\n")

    with pytest.raises(PlaybookError, match="names no variable"):
        steps_of(playbook)


def test_steps_are_made_one_at_a_time() -> None:
    """A long playbook does not have all its requests in memory."""
    playbook = read("  - {actionName: sendToAll, data: x}\n" * 1000)
    stream = StepMaker(playbook, VariableScope(), RunOptions(), "chat").steps()

    assert check_steps(playbook, VariableScope()).steps == 1000
    assert next(stream).index == 0
    assert next(stream).index == 1


def test_the_check_counts_the_steps_that_are_made() -> None:
    """One for each row, and one for an action without rows, with variables or without."""
    playbook = read(
        "  - {forEach: [ada, bob, eve], actionName: sendToUser, userId: '${each}', data: x}\n"
        "  - {actionName: sendToAll, data: '${room}'}\n"
        "  - {actionName: sendToAll, data: x}\n"
    )
    check = check_steps(playbook, VariableScope(playbook.parts[0].variables, {}))

    assert (check.problems, check.steps, check.owned) == ((), 5, 5)
    steps = steps_of(playbook, first=2)
    assert [(step.index, step.action_index, step.item) for step in steps] == [
        *((2, 0, 0), (3, 0, 1), (4, 0, 2)),
        (5, 1, None),
        (6, 2, None),
    ]


@pytest.mark.parametrize(
    ("bad", "omitted"),
    [
        (20, []),
        (21, ["1 more row is wrong from here on"]),
        (23, ["3 more rows are wrong from here on"]),
    ],
)
def test_the_first_20_bad_rows_of_each_source_are_reported(bad: int, omitted: list[str]) -> None:
    """The others are counted, for each action anew."""
    rows = ", ".join(f"{number}/" for number in range(bad))
    action = f"  - {{forEach: [{rows}], actionName: sendToUser, userId: '${{each}}', data: x}}\n"
    reported = problems_of(read(2 * action))

    middle = len(reported) // 2
    for part in (reported[:middle], reported[middle:]):
        assert ["has a `/`" in problem for problem in part[:20]] == [True] * 20
        assert [problem.rpartition(": ")[2] for problem in part[20:]] == omitted


def test_a_problem_does_not_quote_a_secret() -> None:
    """Of the file that a secret names, say."""
    playbook = read_playbook(
        "actions:\n- {actionName: sendToUser, userId: a, dataFile: '${env.A_KEY}'}\n", "p.yaml"
    )
    scope = VariableScope({}, {"A_KEY": "a-secret.txt"}, Files("."), allowed=["A_KEY"])

    (problem,) = check_steps(playbook, scope).problems

    assert problem.message.startswith("there is no file `***`")
