"""Manage Azure Web PubSub groups, permissions, messages and connections from a YAML file.

For programs::

    from wps_run import AddUserToGroup, Runner, SendToGroup, run_sync

    async with Runner.from_env(hub="chat") as runner:
        async for result in runner.run([AddUserToGroup(user_id="ada", group="red")]):
            print(result.status, result.target)

    summary = run_sync("rooms.yaml", env=os.environ, hub="chat")

For tests, `LocalPubSub` is the emulator in a thread of its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wps_run.checking import load_playbook, validate
    from wps_run.emulator.testing import LocalPubSub
    from wps_run.execution.result import ActionError, ExpectationResult, Result, SkipReason, Status
    from wps_run.execution.stop import Stop
    from wps_run.execution.summary import Summary
    from wps_run.library.keywords import PlanKeywords, RunKeywords
    from wps_run.library.runner import PlannedChange, Runner, run_sync
    from wps_run.library.stream import ResultStream
    from wps_run.listening import membership
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
    from wps_run.playbook.live import LiveConnection
    from wps_run.playbook.model import Playbook
    from wps_run.playbook.typed import TypedAction
    from wps_run.playbook.typed_reader import action_from
    from wps_run.problems import (
        JournalError,
        PlaybookError,
        Problem,
        SettingsError,
        UsageError,
        WpsRunError,
    )
    from wps_run.state.changes import Verdict
    from wps_run.state.reader import ReadError

__all__ = [
    "ACTIONS",
    "ActionError",
    "AddConnectionToGroup",
    "AddConnectionsToGroups",
    "AddUserToGroup",
    "CloseAllConnections",
    "CloseClientConnection",
    "CloseGroupConnections",
    "CloseUserConnections",
    "ExpectationResult",
    "GrantPermission",
    "JournalError",
    "LiveConnection",
    "LocalPubSub",
    "PlanKeywords",
    "PlannedChange",
    "Playbook",
    "PlaybookError",
    "Problem",
    "ReadError",
    "RemoveConnectionFromAllGroups",
    "RemoveConnectionFromGroup",
    "RemoveConnectionsFromGroups",
    "RemoveUserFromAllGroups",
    "RemoveUserFromGroup",
    "Result",
    "ResultStream",
    "RevokePermission",
    "RunKeywords",
    "Runner",
    "SendToAll",
    "SendToConnection",
    "SendToGroup",
    "SendToUser",
    "SettingsError",
    "SkipReason",
    "Status",
    "Stop",
    "Summary",
    "TypedAction",
    "UsageError",
    "Verdict",
    "WpsRunError",
    "action_from",
    "load_playbook",
    "membership",
    "run_sync",
    "to_binding",
    "validate",
]

_MODULES = {
    "ActionError": "execution.result",
    "ExpectationResult": "execution.result",
    "JournalError": "problems",
    "LiveConnection": "playbook.live",
    "LocalPubSub": "emulator.testing",
    "PlanKeywords": "library.keywords",
    "PlannedChange": "library.runner",
    "Playbook": "playbook.model",
    "PlaybookError": "problems",
    "Problem": "problems",
    "ReadError": "state.reader",
    "Result": "execution.result",
    "ResultStream": "library.stream",
    "RunKeywords": "library.keywords",
    "Runner": "library.runner",
    "SettingsError": "problems",
    "SkipReason": "execution.result",
    "Status": "execution.result",
    "Stop": "execution.stop",
    "Summary": "execution.summary",
    "TypedAction": "playbook.typed",
    "UsageError": "problems",
    "Verdict": "state.changes",
    "WpsRunError": "problems",
    "action_from": "playbook.typed_reader",
    "load_playbook": "checking",
    "membership": "listening",
    "run_sync": "library.runner",
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
