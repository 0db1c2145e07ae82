"""Typed actions as JSON: for the Functions output binding, as a bare batch, and back."""

import json
from typing import Any

import pytest

from wps_run import (
    ACTIONS,
    AddConnectionsToGroups,
    AddUserToGroup,
    CloseUserConnections,
    GrantPermission,
    SendToAll,
    SendToGroup,
    TypedAction,
    action_from,
    to_binding,
)
from wps_run.actions.reference import render_call, render_example
from wps_run.actions.table import ACTIONS as ROWS
from wps_run.actions.table import Action
from wps_run.document.loader import load
from wps_run.playbook.binding import batch_text
from wps_run.playbook.model import read_playbook
from wps_run.problems import PlaybookError

BATCH: list[TypedAction] = [
    AddUserToGroup(user_id="ada", group="red"),
    SendToGroup(group="rød", data="line\n\u2028\u0085'\"\\ ${each}"),
    SendToAll(data=bytes(range(256)), excluded=["c1", "c2"], filter="userId ne 'ada'"),
    SendToAll(data={"text": "hi", "n": [1, None]}, message_ttl_seconds=0),
    SendToAll(data=""),
    GrantPermission(connection_id="c1", permission="joinLeaveGroup", target_name="a/b"),
    AddConnectionsToGroups(groups=["red", "a/b"], filter="'x' in groups"),
]


def test_a_binding_gets_a_compact_array_in_the_order_of_the_actions() -> None:
    """Without what is a default."""
    actions = [AddUserToGroup(user_id="ada", group="red"), SendToAll(data=[1], excluded=["c"])]

    assert to_binding(actions) == (
        '[{"actionName":"addUserToGroup","userId":"ada","group":"red"},'
        '{"actionName":"sendToAll","data":"[1]","dataType":"json","excluded":["c"]}]'
    )
    assert to_binding([]) == "[]"


def test_a_binding_gets_bytes_as_a_buffer() -> None:
    """The host refuses base64."""
    assert to_binding([SendToAll(data=b"\0\xff")]) == (
        '[{"actionName":"sendToAll","data":{"type":"Buffer","data":[0,255]},"dataType":"binary"}]'
    )


def test_what_a_binding_does_not_have_is_refused() -> None:
    """The host would ignore a filter, and send to everybody."""
    actions = [
        SendToAll(data="hi", filter="userId eq 'ada'", message_ttl_seconds=0),
        CloseUserConnections(user_id="ada"),
    ]

    with pytest.raises(PlaybookError) as caught:
        to_binding(actions)

    assert [problem.message for problem in caught.value.problems] == [
        "action 1: the Functions output binding has no `filter` on `sendToAll`",
        "action 1: the Functions output binding has no `messageTtlSeconds` on `sendToAll`",
        "action 2: `closeUserConnections` is not an action of the Functions output binding",
    ]


def test_only_typed_actions_are_written() -> None:
    with pytest.raises(TypeError, match="`action_from` makes one from a mapping"):
        to_binding([{"actionName": "sendToAll"}])  # type: ignore[list-item]


def test_a_batch_has_each_action_on_its_own_line_and_loses_nothing() -> None:
    playbook = read_playbook(batch_text(BATCH), "batch.json")

    assert not playbook.problems
    assert [action.position.line for action in playbook.actions] == list(range(1, 8))
    assert [action_from(item) for item in json.loads(batch_text(BATCH))] == BATCH
    assert read_playbook(batch_text([]), "batch.json").actions == ()


def test_an_action_is_read_as_the_host_reads_it() -> None:
    """Keys and enumerations in any letter case, null for what is not given, Buffers."""
    mapping: dict[str, Any] = {
        "ActionName": "SENDTOGROUP",
        "GROUP": "red",
        "Data": {"Type": "buffer", "DATA": [104, 105]},
        "DataType": "Text",
        "excluded": None,
    }

    assert action_from(mapping) == SendToGroup(group="red", data="hi")
    assert action_from({**mapping, "DataType": "Binary"}) == SendToGroup(group="red", data=b"hi")
    assert action_from({**mapping, "Data": b"hi"}) == SendToGroup(group="red", data="hi")


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_example_in_python_is_that_in_yaml(row: Action) -> None:
    """For every action; from one line of a batch the same action is read again."""
    action = eval(render_call(row), {each.__name__: each for each in ACTIONS.values()})  # noqa: S307
    (example,) = load(render_example(row), "example.yaml").data

    assert action == action_from(example)
    assert action == action_from(*json.loads(batch_text([action])))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"actionName": "sendToAl"}, "`sendToAl` is not an action; did you mean `sendToAll`?"),
        ({"actionName": "sendToAll", "data": "x", "user": 1}, "`user` is not a key of"),
        ({"actionName": "sendToAll", "data": {1}}, "set is not a type of JSON"),
        (
            {"actionName": "sendToAll", "data": "x", "onError": "stop"},
            "`onError` is for an action of a playbook; leave it out",
        ),
    ],
)
def test_what_is_no_action_is_refused(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        action_from(mapping)

    assert message in caught.value.problems[0].message
    assert caught.value.problems[0].position is None
