"""Typed actions are checked when they are made, by the rules of playbooks."""

import copy
import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wps_run
from wps_run import (
    AddConnectionsToGroups,
    AddUserToGroup,
    CloseAllConnections,
    GrantPermission,
    SendToAll,
    SendToGroup,
    SendToUser,
    TypedAction,
)
from wps_run.actions.fields import DATA_TYPE, Field, FieldType
from wps_run.actions.names import argument_name
from wps_run.actions.table import ACTIONS
from wps_run.playbook.model import read_playbook
from wps_run.playbook.typed import DataType
from wps_run.problems import PlaybookError


def messages(error: PlaybookError) -> list[str]:
    return [problem.message for problem in error.problems]


def test_each_row_of_the_table_has_a_public_class() -> None:
    """With the text of the row for `help`."""
    assert list(wps_run.ACTIONS) == list(ACTIONS)
    for row, action_class in zip(ACTIONS.values(), wps_run.ACTIONS.values(), strict=True):
        name = action_class.__name__
        assert name in wps_run.__all__
        assert getattr(wps_run, name) is action_class
        assert action_class.action_name == action_class.__struct_config__.tag == row.name
        doc = inspect.getdoc(action_class) or ""
        assert doc.startswith(row.summary)
        assert all(f"{argument_name(field.name)}: " in doc for field in row.service_fields)


def test_all_public_names_can_be_listed_and_imported() -> None:
    assert set(wps_run.__all__) <= set(dir(wps_run))
    assert all(hasattr(wps_run, name) for name in wps_run.__all__)


def test_the_choices_in_types_are_those_of_the_table() -> None:
    assert get_args(DataType) == tuple(DATA_TYPE.choices)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (SendToGroup(group="red", data="hi"), "SendToGroup(group='red', data='hi')"),
        (CloseAllConnections(), "CloseAllConnections()"),
        (SendToAll(data=b"\0"), "SendToAll(data=b'\\x00', data_type='binary')"),
        (SendToAll(data="x" * 61), f"SendToAll(data='{'x' * 60}'…)"),
        (
            SendToAll(data="hi", excluded=["c1"], message_ttl_seconds=0),
            "SendToAll(data='hi', excluded=('c1',), message_ttl_seconds=0)",
        ),
    ],
)
def test_a_repr_shows_the_arguments_that_are_not_defaults(action: TypedAction, text: str) -> None:
    assert repr(action) == text


class Color(StrEnum):
    """Names of groups."""

    RED = "red"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SendToGroup(group=Color.RED, data="hi"), SendToGroup(group="red", data="hi")),
        (SendToAll(data="hi", data_type="text"), SendToAll(data="hi")),
        (SendToAll(data={"a": [1]}), SendToAll(data='{"a":[1]}', data_type="json")),
        (SendToAll(data=None), SendToAll(data="null", data_type="json")),
        (SendToAll(data=b"[1]", data_type="json"), SendToAll(data=[1])),
        (SendToAll(data=bytearray(b"\0")), SendToAll(data=b"\0", data_type="binary")),
        (SendToAll(data="AA==", data_type="binary"), SendToAll(data=b"\0")),
        (SendToAll(data="h", excluded=("c",)), SendToAll(data="h", excluded={"c"})),
        (SendToAll(data="h", excluded=()), SendToAll(data="h")),
    ],
)
def test_actions_with_the_same_request_are_equal(one: TypedAction, other: TypedAction) -> None:
    """They keep the values that are sent, whatever they were made from."""
    assert one == other
    assert hash(one) == hash(other)


def test_actions_are_immutable_and_can_be_copied_and_pickled() -> None:
    action = SendToAll(data=b"\0", excluded=["c"], filter="userId eq 'ada'")

    with pytest.raises(AttributeError):
        action.data = "x"  # type: ignore[misc]
    assert copy.deepcopy(action) == action
    assert pickle.loads(pickle.dumps(action)) == action  # noqa: S301 -- made above
    assert msgspec.structs.replace(action, excluded=["d"]).excluded == ("d",)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SendToGroup(group="", data=""), "sendToGroup: `group` is empty"),
        (
            lambda: AddUserToGroup(user_id="..", group="red"),
            (
                "addUserToGroup: `userId` is `..`, which HTTP libraries remove; the request would "
                "have another target"
            ),
        ),
        (
            lambda: SendToUser(user_id=7, data="hi"),  # type: ignore[arg-type]
            'sendToUser: `userId` must be a string, not a number; write "7"',
        ),
        (
            lambda: SendToGroup(group="é" * 1025, data="hi"),
            "sendToGroup: `group` is 1025 UTF-16 units long, at most 1024 are allowed",
        ),
        (
            lambda: SendToAll(data=b"x" * 1_048_577),
            "sendToAll: `data` is 1048577 bytes, at most 1048576 (1 MiB) are allowed",
        ),
        (
            lambda: SendToAll(data=float("nan")),
            "sendToAll: `data` is not JSON: it has no NaN; write null, or a number",
        ),
        (
            lambda: SendToAll(data={1}),  # type: ignore[arg-type]
            (
                "sendToAll: `data` must be `str`, `bytes` or a value of JSON (Object of type set "
                "is not JSON serializable)"
            ),
        ),
        (
            lambda: SendToAll(data={"a": 1}, data_type="text"),
            "sendToAll: `data` must be a string, not a mapping; write '{\"a\":1}'",
        ),
        (
            lambda: SendToAll(data=b"\xff", data_type="json"),
            "sendToAll: `data` is not UTF-8 (byte 1); only `dataType: binary` takes any bytes",
        ),
        (
            lambda: SendToAll(data="hi", message_ttl_seconds=301),
            "sendToAll: `messageTtlSeconds` must be a whole number from 0 to 300",
        ),
        (
            lambda: GrantPermission(
                connection_id="c",
                permission="send",  # type: ignore[arg-type]
                target_name="red",
            ),
            "grantPermission: `permission` must be `sendToGroup` or `joinLeaveGroup`, not `send`",
        ),
        (
            lambda: AddConnectionsToGroups(groups=["red"], filter="userId eq"),
            "addConnectionsToGroups: `filter` is not valid: a value is missing here (character 10)",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_the_property(make: Any, message: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        make()

    assert messages(caught.value) == [message]


def test_data_that_contains_itself_is_refused() -> None:
    data: list[Any] = []
    data.append(data)

    with pytest.raises(PlaybookError, match="nested too deeply for JSON, or contains itself"):
        SendToAll(data=data)


@pytest.mark.parametrize(
    "arguments", [{}, {"group": "red"}, {"group": "red", "data": "hi", "grp": 1}]
)
def test_missing_and_unknown_arguments_are_type_errors(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="argument"):
        SendToGroup(**arguments)


def test_the_base_class_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="base class"):
        TypedAction()


LENGTHS = st.sampled_from([512, 513, 1024, 1025])
NAMES = st.text("ab/.é\u00a0\U0001f600 \n\ud800", max_size=4) | st.builds(
    str.__mul__, st.sampled_from("a\U0001f600"), LENGTHS
)
VALUES: Mapping[FieldType, st.SearchStrategy[Any]] = {
    FieldType.STRING: NAMES | st.just("userId eq 'a'") | st.just(1),
    FieldType.STRINGS: st.lists(NAMES, max_size=2),
    FieldType.INTEGER: st.integers(-1, 301) | st.just(True) | st.just(60.0),  # noqa: FBT003
    FieldType.DATA: NAMES | st.sampled_from(["{}", "AA=="]),
}


def value_of(field: Field) -> st.SearchStrategy[Any]:
    if field.type is FieldType.CHOICE:
        return st.sampled_from([*field.choices, "other"])
    return VALUES[field.type]


@given(data=st.data())
def test_an_action_is_valid_if_it_is_valid_in_a_batch(data: st.DataObject) -> None:
    """What a class accepts by itself, the validator of playbooks accepts."""
    row = data.draw(st.sampled_from(list(ACTIONS.values())))
    drawn = {
        field.name: data.draw(value_of(field))
        for field in row.service_fields
        if field.required or data.draw(st.booleans())
    }
    batch = read_playbook(json.dumps([{"actionName": row.name, **drawn}]), "batch.json")
    arguments = {argument_name(name): value for name, value in drawn.items()}

    try:
        wps_run.ACTIONS[row.name](**arguments)
        is_valid = True
    except PlaybookError:
        is_valid = False

    assert is_valid == (not batch.problems)


def test_an_import_of_an_action_imports_nothing_but_msgspec() -> None:
    """So that it takes hardly longer than to import msgspec."""
    code = (
        "import sys; from wps_run import SendToGroup; SendToGroup(group='red', data='hi')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('wps_run')))"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.split() == [
        "wps_run",
        "wps_run.playbook",
        "wps_run.playbook.action_classes",
        "wps_run.playbook.typed",
    ]
