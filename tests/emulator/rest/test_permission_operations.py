"""The three permission operations over real HTTP."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import RULE_LIMIT, PermissionRules
from wps_run.emulator.server import Emulator


@pytest.mark.parametrize("target_name", ["room", "*", "a/b+你好", " room ", "x" * 1024])
@pytest.mark.parametrize("permission", ["sendToGroup", "JOINLEAVEGROUP", "1"])
async def test_permissions_are_granted_checked_and_revoked(
    emulator: Emulator,
    call: Any,
    make_client: Callable[[], Any],
    permission: str,
    target_name: str,
) -> None:
    """For one literal group; every step can be repeated."""
    emulator.attach("chat", make_client(), connection_id="c")
    path = f"/api/hubs/chat/permissions/{permission}/connections/c?targetName="
    target = path + "".join(f"%{byte:02X}" for byte in target_name.encode())

    statuses = [
        (await call(method, target)).status
        for method in ("HEAD", "PUT", "PUT", "HEAD", "DELETE", "DELETE", "HEAD")
    ]

    assert statuses == [404, 200, 200, 200, 204, 204, 404]


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
async def test_a_permission_needs_a_group(call: Any, method: str) -> None:
    """The words were recorded from the service."""
    for query in ("", "?targetName=", "?targetName=%20%09", "?targetName=" + "x" * 1025):
        told = await call(method, "/api/hubs/chat/permissions/sendToGroup/connections/none" + query)

        assert (told.status, told.headers["x-ms-error-code"]) == (400, "Error.BadRequest")
        if method != "HEAD":
            assert json.loads(told.body) == {
                "code": "Error.BadRequest",
                "message": "Invalid group name. Valid group name should be in between 1 and 1024 "
                "characters long.",
                "target": "Request",
                "details": None,
                "innererror": None,
            }


@pytest.mark.parametrize("permission", ["unknown", "0", "3", "-1", "sendToGroup,joinLeaveGroup"])
async def test_another_permission_is_400(call: Any, permission: str) -> None:
    """There are two."""
    told = await call("PUT", f"/api/hubs/chat/permissions/{permission}/connections/c?targetName=g")

    assert told.status == 400


@pytest.mark.parametrize(("method", "everywhere"), [("PUT", []), ("DELETE", list(Permission))])
async def test_too_many_permission_rules_are_a_conflict(
    emulator: Emulator,
    call: Any,
    make_client: Callable[[], Any],
    method: str,
    everywhere: list[Permission],
) -> None:
    """A thousand groups are enough for one connection: grants, or denials of what a role gives."""
    emulator.attach("chat", make_client())
    hub = emulator.hubs["chat"]
    hub.connect("c", rules={one: PermissionRules(all_groups=True) for one in everywhere})
    change = hub.revoke if everywhere else hub.grant
    for number in range(RULE_LIMIT):
        change(Permission.SEND_TO_GROUP, "c", f"room{number}")

    told = await call(method, "/api/hubs/chat/permissions/1/connections/c?targetName=overflow")

    assert (told.status, told.headers["x-ms-error-code"]) == (409, "Error.Connection.Conflict")
    assert hub.check(Permission.SEND_TO_GROUP, "c", "overflow") is bool(everywhere)
