"""Manage Azure Web PubSub groups, permissions, messages and connections from a YAML file.

For programs::

    from wps_run import RunOverrides, load_playbook, plan, run

    plans = plan([load_playbook("rooms.yaml")], RunOverrides(environment=os.environ))
    async for result in run(plans):
        print(result.status, result.target)

For tests, `LocalPubSub` is the emulator in a thread of its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wps_run.checking import load_playbook, validate
    from wps_run.emulator.testing import LocalPubSub
    from wps_run.listening import membership
    from wps_run.planning import Plan, RunOverrides, plan
    from wps_run.playbook.action_classes import (
        ACTIONS,
        AddConnectionsToGroups,
        AddConnectionToGroup,
        AddUserToGroup,
        CloseAllConnections,
        CloseClientConnection,
        CloseGroupConnections,
        CloseUserConnections,
        GrantPermission,
        RemoveConnectionFromAllGroups,
        RemoveConnectionFromGroup,
        RemoveConnectionsFromGroups,
        RemoveUserFromAllGroups,
        RemoveUserFromGroup,
        RevokePermission,
        SendToAll,
        SendToConnection,
        SendToGroup,
        SendToUser,
    )
    from wps_run.playbook.binding import to_binding
    from wps_run.playbook.typed import TypedAction
    from wps_run.playbook.typed_reader import action_from
    from wps_run.reading import read_live

__all__ = [
    "ACTIONS",
    "AddConnectionToGroup",
    "AddConnectionsToGroups",
    "AddUserToGroup",
    "CloseAllConnections",
    "CloseClientConnection",
    "CloseGroupConnections",
    "CloseUserConnections",
    "GrantPermission",
    "LocalPubSub",
    "Plan",
    "RemoveConnectionFromAllGroups",
    "RemoveConnectionFromGroup",
    "RemoveConnectionsFromGroups",
    "RemoveUserFromAllGroups",
    "RemoveUserFromGroup",
    "RevokePermission",
    "RunOverrides",
    "SendToAll",
    "SendToConnection",
    "SendToGroup",
    "SendToUser",
    "TypedAction",
    "action_from",
    "load_playbook",
    "membership",
    "plan",
    "read_live",
    "to_binding",
    "validate",
]

_MODULES = {
    "LocalPubSub": "emulator.testing",
    "Plan": "planning",
    "RunOverrides": "planning",
    "TypedAction": "playbook.typed",
    "action_from": "playbook.typed_reader",
    "load_playbook": "checking",
    "membership": "listening",
    "plan": "planning",
    "read_live": "reading",
    "to_binding": "playbook.binding",
    "validate": "checking",
}
"""The module of each public name but `ACTIONS` and the classes in it."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- whatever the name stands for
    """Import a public name when it is first used, so that `wps-run --help` starts quickly."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES.get(name, "playbook.action_classes")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    """List the public names, imported or not, for completion."""
    return sorted({*globals(), *__all__})
