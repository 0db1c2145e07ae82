"""The action table says what the binding's documentation and the REST description say."""

import pytest

from wps_run.actions.fields import FieldLocation, Origin
from wps_run.actions.table import ACTIONS, Action, OverlapKind, Phase, Repeat

# Typed in by hand from the documentation of the output binding.
BINDING = {
    "sendToAll": {"data", "dataType", "excluded"},
    "sendToGroup": {"group", "data", "dataType", "excluded"},
    "sendToUser": {"userId", "data", "dataType"},
    "sendToConnection": {"connectionId", "data", "dataType"},
    "addUserToGroup": {"userId", "group"},
    "removeUserFromGroup": {"userId", "group"},
    "removeUserFromAllGroups": {"userId"},
    "addConnectionToGroup": {"connectionId", "group"},
    "removeConnectionFromGroup": {"connectionId", "group"},
    "closeAllConnections": {"excluded", "reason"},
    "closeClientConnection": {"connectionId", "reason"},
    "closeGroupConnections": {"group", "excluded", "reason"},
    "grantPermission": {"connectionId", "permission", "targetName"},
    "revokePermission": {"connectionId", "permission", "targetName"},
}

# Typed in by hand from the REST description: path below the hub, method, success status.
REST = {
    "sendToAll": ("POST", "/:send", 202),
    "sendToGroup": ("POST", "/groups/{group}/:send", 202),
    "sendToUser": ("POST", "/users/{userId}/:send", 202),
    "sendToConnection": ("POST", "/connections/{connectionId}/:send", 202),
    "addUserToGroup": ("PUT", "/users/{userId}/groups/{group}", 200),
    "removeUserFromGroup": ("DELETE", "/users/{userId}/groups/{group}", 204),
    "removeUserFromAllGroups": ("DELETE", "/users/{userId}/groups", 204),
    "addConnectionToGroup": ("PUT", "/groups/{group}/connections/{connectionId}", 200),
    "removeConnectionFromGroup": ("DELETE", "/groups/{group}/connections/{connectionId}", 204),
    "closeAllConnections": ("POST", "/:closeConnections", 204),
    "closeClientConnection": ("DELETE", "/connections/{connectionId}", 204),
    "closeGroupConnections": ("POST", "/groups/{group}/:closeConnections", 204),
    "grantPermission": ("PUT", "/permissions/{permission}/connections/{connectionId}", 200),
    "revokePermission": ("DELETE", "/permissions/{permission}/connections/{connectionId}", 204),
    "closeUserConnections": ("POST", "/users/{userId}/:closeConnections", 204),
    "removeConnectionFromAllGroups": ("DELETE", "/connections/{connectionId}/groups", 204),
    "addConnectionsToGroups": ("POST", "/:addToGroups", 200),
    "removeConnectionsFromGroups": ("POST", "/:removeFromGroups", 200),
}


def test_the_fourteen_actions_of_the_binding_have_its_names_to_the_letter() -> None:
    """The binding's names and no other are marked as the binding's."""
    names = [name for name, row in ACTIONS.items() if row.origin is Origin.BINDING]

    assert names == list(BINDING)


@pytest.mark.parametrize("name", BINDING)
def test_a_binding_action_has_the_properties_that_the_binding_documents(name: str) -> None:
    """What the REST API and playbooks add to them is marked as such."""
    assert {one.name for one in ACTIONS[name].fields_of(Origin.BINDING)} == BINDING[name]


@pytest.mark.parametrize("row", ACTIONS.values(), ids=ACTIONS)
def test_a_row_is_the_rest_operation_that_it_names(row: Action) -> None:
    """Method, path and success status are those of the published description."""
    path = row.path.removeprefix("/api/hubs/{hub}")

    assert (row.method, path, *row.success) == REST[row.name]


@pytest.mark.parametrize("row", ACTIONS.values(), ids=ACTIONS)
def test_every_placeholder_of_a_path_is_a_required_property(row: Action) -> None:
    """A path can always be filled in."""
    in_path = {one.name for one in row.fields_in(FieldLocation.PATH)}

    assert all(one.required for one in row.fields_in(FieldLocation.PATH))
    assert in_path == {name for name in REST_NAMES if f"{{{name}}}" in row.path}


REST_NAMES = ("group", "userId", "connectionId", "permission")


@pytest.mark.parametrize("row", ACTIONS.values(), ids=ACTIONS)
def test_only_puts_deletes_and_bulk_changes_may_be_repeated(row: Action) -> None:
    """A send delivers twice, and a scope closed again also hits those who came back."""
    if row.name.startswith("send"):
        expected = Repeat.SEND
    elif row.name in {"closeAllConnections", "closeGroupConnections", "closeUserConnections"}:
        expected = Repeat.SCOPE_CLOSE
    else:
        expected = Repeat.IDEMPOTENT

    assert row.repeat is expected


@pytest.mark.parametrize("row", ACTIONS.values(), ids=ACTIONS)
def test_the_phase_is_that_of_the_contract(row: Action) -> None:
    """Use, broadcast, close and leave-all are hub-wide phases."""
    if row.name == "sendToAll":
        expected = Phase.BROADCAST
    elif row.name.startswith("close"):
        expected = Phase.CLOSE
    elif "AllGroups" in row.name or "Connections" in row.name:
        expected = Phase.LEAVE_ALL
    else:
        expected = Phase.USE

    assert row.overlap.phase is expected


def test_the_actions_that_overlap_with_nothing() -> None:
    """A broadcast, closing everybody, and what a filter chooses run alone."""
    alone = {name for name, row in ACTIONS.items() if row.overlap.kind is OverlapKind.ALONE}

    assert alone == {
        "sendToAll",
        "closeAllConnections",
        "addConnectionsToGroups",
        "removeConnectionsFromGroups",
    }
