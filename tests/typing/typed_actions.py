# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Uses of typed actions that only type checkers read: an unneeded `type: ignore` is an error."""

from collections.abc import Mapping

from wps_run import (
    ACTIONS,
    AddConnectionsToGroups,
    GrantPermission,
    SendToAll,
    SendToGroup,
    TypedAction,
    action_from,
    to_binding,
)


def good(payload: Mapping[str, object], names: set[str]) -> str:
    """Use them as they are meant."""
    text = SendToGroup(group="red", data="hi", excluded=["c1"], message_ttl_seconds=60)
    attributes: tuple[str, str | bytes, tuple[str, ...]] = (text.group, text.data, text.excluded)
    batch: list[TypedAction] = [
        text,
        SendToAll(data=b"\0", data_type="binary"),
        SendToAll(data=payload),
        SendToAll(data=[1, 2.5, None, {"a": attributes}]),
        GrantPermission(connection_id="c1", permission="joinLeaveGroup", target_name="red"),
        AddConnectionsToGroups(groups=names, filter="userId eq 'ada'"),
        action_from({"actionName": "sendToAll", "data": "hi"}),
    ]
    match batch[0]:
        case SendToGroup(group=group):
            return group
        case _:
            return f"{ACTIONS['sendToAll'].action_name} {to_binding(batch)}"


def bad() -> None:
    """Use them wrongly."""
    SendToGroup(data="hi")  # type: ignore[call-arg]
    SendToGroup("red", "hi")  # type: ignore[call-arg]
    SendToGroup(group="red", data="hi", grp=1)  # type: ignore[call-arg]
    SendToGroup(group=1, data="hi")  # type: ignore[arg-type]
    SendToGroup(group="red", data=object())  # type: ignore[arg-type]
    SendToGroup(group="red", data="hi", data_type="xml")  # type: ignore[arg-type]
    SendToGroup(group="red", data="hi", excluded="c1")  # type: ignore[arg-type]
    SendToGroup(group="red", data="hi", message_ttl_seconds="60")  # type: ignore[arg-type]
    SendToGroup(group="red", data="hi").group = "blue"  # type: ignore[misc]
    GrantPermission(connection_id="c", permission="send", target_name="red")  # type: ignore[arg-type]
    ACTIONS["sendToAll"] = SendToAll  # type: ignore[index]
    to_binding(["sendToAll"])  # type: ignore[list-item]
