"""Data against the schema: each fault once, at its place, in words that help."""

from typing import Any

import pytest

from wps_run.actions.table import ACTIONS
from wps_run.document.document import Path
from wps_run.document.scalars import Base64
from wps_run.playbook.batch import is_batch
from wps_run.playbook.constraints import Finding
from wps_run.playbook.schema import SchemaForm
from wps_run.playbook.validator import default_validator


def found(
    action: object, form: SchemaForm = SchemaForm.EXPANDED, *, slash: bool = False
) -> list[Finding]:
    """What the checker finds in one action."""
    return default_validator().validate_action(action, form, slash_in_names=slash)


def valid(name: str, **changes: object) -> dict[str, Any]:
    """An action out of the examples of the table."""
    required = {one.name: one.example for one in ACTIONS[name].fields if one.required}
    values = {
        key: list(value) if isinstance(value, tuple) else value for key, value in required.items()
    }
    return {"actionName": name, **values, **changes}


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("form", SchemaForm)
def test_the_examples_of_the_table_are_valid(name: str, form: SchemaForm) -> None:
    """In every form, with all that is optional as well."""
    every = {
        one.name: list(one.example) if isinstance(one.example, tuple) else one.example
        for one in ACTIONS[name].fields
        if not one.replaces
    }

    assert found(valid(name), form) == []
    assert found({"actionName": name, **every, "name": "x", "timeout": "1s"}, form) == []


@pytest.mark.parametrize("name", ACTIONS)
def test_each_required_property_is_asked_for(name: str) -> None:
    """All that are missing in one sentence, at the action."""
    findings = found({"actionName": name})

    required = [one.name for one in ACTIONS[name].fields if one.required]
    assert len(findings) == bool(required)
    assert all(f"`{key}`" in one.message and one.path == () for one in findings for key in required)


@pytest.mark.parametrize(
    "changes",
    [
        {"group": "${room}"},
        {"group": "${a}" + "x" * 2000},
        {"data": "${x}", "dataType": "binary"},
        {"data": {"type": "Buffer", "data": [1]}, "dataType": "${kind}"},
        {"dataType": "${kind}"},
        {"excluded": ["${id}"]},
        {"filter": "userId eq '${id}'"},
        {"messageTtlSeconds": "${ttl}"},
        {"data": "{${x}", "dataType": "json"},
    ],
)
def test_what_variables_may_fill_passes_only_as_written(changes: dict[str, Any]) -> None:
    """Names, choices, numbers and data; whether it is right is seen once it is filled in."""
    action = valid("sendToGroup", **changes)

    assert found(action, SchemaForm.TEMPLATE) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"messageTtlSeconds": "${ttl}"},
        {"dataType": "${kind}"},
        {"data": "${x}", "dataType": "binary"},
        {"group": "${a}" + "x" * 2000},
    ],
)
@pytest.mark.parametrize("form", [SchemaForm.EXPANDED, SchemaForm.BATCH])
def test_the_strict_forms_know_no_variables(changes: dict[str, Any], form: SchemaForm) -> None:
    """What is left of `${` is text."""
    assert len(found(valid("sendToGroup", **changes), form)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"messageTtlSeconds": "${a}${b}"},
        {"messageTtlSeconds": "1${a}"},
        {"group": 5},
        {"group": "${a}/b"},
        {"data": 5, "dataType": "json"},
        {"excluded": "${ids}"},
        {"onError": "${x}"},
        {"timeout": float("inf")},
    ],
)
def test_what_no_variable_can_make_right_is_told_at_once(changes: dict[str, Any]) -> None:
    """A list, a type, a slash, an option."""
    assert [one.path for one in found(valid("sendToGroup", **changes), SchemaForm.TEMPLATE)] == [
        (key,) for key in changes if key != "dataType"
    ]


@pytest.mark.parametrize(
    ("name", "key"),
    [("sendToGroup", "group"), ("sendToUser", "userId"), ("closeClientConnection", "connectionId")],
)
def test_a_slash_in_a_path_needs_leave(name: str, key: str) -> None:
    """The service would read `%2F`."""
    action = valid(name, **{key: "a/b"})

    assert [(one.path, one.rule) for one in found(action)] == [((key,), "slash-in-name")]
    assert found(action, slash=True) == []


def test_a_slash_outside_of_the_path_is_no_matter() -> None:
    """Query and body are decoded as usual."""
    assert found(valid("grantPermission", targetName="a/b")) == []
    assert found(valid("addConnectionsToGroups", groups=["a/b"])) == []
    assert found(valid("sendToAll", data="a/b", reason="a/b"))[0].rule == "unknown-key"


@pytest.mark.parametrize("name", ["SENDTOALL", "SendToAll", "sendtoall"])
def test_only_a_bare_batch_may_write_an_action_in_any_case(name: str) -> None:
    """So does the binding that takes it."""
    assert found({"actionName": name, "data": "x"}, SchemaForm.BATCH) == []
    assert found({"actionName": name, "data": "x"}, SchemaForm.EXPANDED)[0].rule == "unknown-action"


def test_letters_that_only_fold_into_others_are_not_taken() -> None:
    """The Kelvin sign is no k, nor is it to a schema."""
    name = "revo\u212aePermission"

    assert (
        found(valid("revokePermission", actionName=name), SchemaForm.BATCH)[0].rule
        == "unknown-action"
    )


@pytest.mark.parametrize(
    ("action", "path", "rule"),
    [
        (valid("sendToAll", data="é" * 600_000), ("data",), "data"),
        (valid("sendToAll", data="{", dataType="json"), ("data",), "data"),
        (valid("sendToAll", data=Base64("aGk=")), ("data",), "data"),
        (valid("sendToAll", data="A" * 1_500_000, dataType="binary"), ("data",), "data"),
        (valid("sendToGroup", group="😀" * 513), ("group",), "value"),
        (valid("sendToAll", excluded=["a", "\ud800"]), ("excluded", 1), "value"),
        (valid("closeAllConnections", reason="\ud800"), ("reason",), "value"),
        (valid("sendToAll", timeout=float("nan")), ("timeout",), "value"),
    ],
)
def test_what_a_schema_cannot_say_is_checked_too(
    action: dict[str, Any], path: Path, rule: str
) -> None:
    """Bytes, JSON in a string, UTF-16 units, halves of surrogate pairs."""
    assert [(one.path, one.rule) for one in found(action)] == [(path, rule)]


def test_the_source_decides_how_a_scalar_is_shown() -> None:
    """Without it, the value does."""
    action = valid("removeUserFromAllGroups", userId=7)
    check = default_validator().validate_action

    with_source = check(
        action, SchemaForm.EXPANDED, slash_in_names=False, source_text=lambda _: "007"
    )
    without = check(action, SchemaForm.EXPANDED, slash_in_names=False)

    assert with_source[0].message.endswith('write "007"')
    assert without[0].message.endswith('write "7"')


def test_a_misspelt_key_is_told_once() -> None:
    """Not again as the property that is missing."""
    findings = found({"actionName": "addUserToGroup", "userId": "ada", "gruop": "launch"})

    assert [(one.path, one.at_key) for one in findings] == [(("gruop",), True)]


def test_a_property_of_another_action_does_not_hide_what_is_missing() -> None:
    """`userId` is no misspelt `connectionId`."""
    findings = found({"actionName": "addConnectionToGroup", "group": "launch", "userId": "ada"})

    assert sorted(one.rule for one in findings) == ["missing", "unknown-key"]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ([], True),
        ([5], True),
        ({"actionName": 5}, True),
        ({"actionName": "a", "actions": []}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_bare_batch_is_a_list_or_one_action(data: object, *, answer: bool) -> None:
    """As a function returns it."""
    assert is_batch(data) is answer
