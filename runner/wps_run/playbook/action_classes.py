"""The classes of typed actions, one for each row of the action table.

Generated from it by `python docs/generate.py`. Do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from wps_run.playbook.typed import TEXT, Data, DataType, Strings, TypedAction

_NAMES = 512
"""Names that are not longer in total have at most 1,024 UTF-16 units each."""

_DATA = 262144
"""Data with no more characters has at most 1,048,576 bytes."""


class SendToAll(TypedAction, frozen=True, kw_only=True):
    """Send a message to every connection of the hub.

    Args:
        data: The message: text, bytes (sent as `binary`), or another value, which is sent as JSON.
            At most 1 MiB. The attribute is the text or the bytes that are sent.
        data_type: How the data is sent and received; follows from `data` when left out. `text`:
            Plain text, or UTF-8 in bytes. `json`: JSON in a text, or another value. `binary`:
            Bytes, or base64 in a text.
        excluded: IDs of connections to leave out.
        filter: An OData expression that selects the receivers, such as `userId ne 'ada'`.
        message_ttl_seconds: Seconds after which an undelivered message is dropped; 0 means never.
            From 0 to 300.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "sendToAll"
    data: str | bytes
    data_type: DataType = TEXT
    excluded: tuple[str, ...] = ()
    filter: str | None = None
    message_ttl_seconds: int | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            data: Data,
            data_type: DataType = ...,
            excluded: Strings = ...,
            filter: str | None = ...,
            message_ttl_seconds: int | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        data = self.data
        if not (
            type(data) is str
            and (data.isascii() or data.isprintable())
            and len(data) <= _DATA
            and self.data_type is TEXT
            and self.excluded == ()
            and self.filter is None
            and self.message_ttl_seconds is None
        ):
            self._check()


class SendToGroup(TypedAction, frozen=True, kw_only=True):
    """Send a message to the connections in a group.

    Args:
        group: The group's name. Case-sensitive. At most 1,024 UTF-16 units.
        data: The message: text, bytes (sent as `binary`), or another value, which is sent as JSON.
            At most 1 MiB. The attribute is the text or the bytes that are sent.
        data_type: How the data is sent and received; follows from `data` when left out. `text`:
            Plain text, or UTF-8 in bytes. `json`: JSON in a text, or another value. `binary`:
            Bytes, or base64 in a text.
        excluded: IDs of connections to leave out.
        filter: An OData expression that selects the receivers, such as `userId ne 'ada'`.
        message_ttl_seconds: Seconds after which an undelivered message is dropped; 0 means never.
            From 0 to 300.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "sendToGroup"
    group: str
    data: str | bytes
    data_type: DataType = TEXT
    excluded: tuple[str, ...] = ()
    filter: str | None = None
    message_ttl_seconds: int | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            group: str,
            data: Data,
            data_type: DataType = ...,
            excluded: Strings = ...,
            filter: str | None = ...,
            message_ttl_seconds: int | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        group = self.group
        data = self.data
        if not (
            type(group) is str
            and group > "/"
            and group.isprintable()
            and "/" not in group
            and len(group) <= _NAMES
            and type(data) is str
            and (data.isascii() or data.isprintable())
            and len(data) <= _DATA
            and self.data_type is TEXT
            and self.excluded == ()
            and self.filter is None
            and self.message_ttl_seconds is None
        ):
            self._check()


class SendToUser(TypedAction, frozen=True, kw_only=True):
    """Send a message to all connections of a user.

    Args:
        user_id: The user's ID. Case-sensitive; stands for all connections of the user.
        data: The message: text, bytes (sent as `binary`), or another value, which is sent as JSON.
            At most 1 MiB. The attribute is the text or the bytes that are sent.
        data_type: How the data is sent and received; follows from `data` when left out. `text`:
            Plain text, or UTF-8 in bytes. `json`: JSON in a text, or another value. `binary`:
            Bytes, or base64 in a text.
        filter: An OData expression that selects the receivers, such as `userId ne 'ada'`.
        message_ttl_seconds: Seconds after which an undelivered message is dropped; 0 means never.
            From 0 to 300.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "sendToUser"
    user_id: str
    data: str | bytes
    data_type: DataType = TEXT
    filter: str | None = None
    message_ttl_seconds: int | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            user_id: str,
            data: Data,
            data_type: DataType = ...,
            filter: str | None = ...,
            message_ttl_seconds: int | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        user_id = self.user_id
        data = self.data
        if not (
            type(user_id) is str
            and user_id > "/"
            and user_id.isprintable()
            and "/" not in user_id
            and len(user_id) <= _NAMES
            and type(data) is str
            and (data.isascii() or data.isprintable())
            and len(data) <= _DATA
            and self.data_type is TEXT
            and self.filter is None
            and self.message_ttl_seconds is None
        ):
            self._check()


class SendToConnection(TypedAction, frozen=True, kw_only=True):
    """Send a message to one connection.

    Args:
        connection_id: The ID of one client connection, as the service assigned it.
        data: The message: text, bytes (sent as `binary`), or another value, which is sent as JSON.
            At most 1 MiB. The attribute is the text or the bytes that are sent.
        data_type: How the data is sent and received; follows from `data` when left out. `text`:
            Plain text, or UTF-8 in bytes. `json`: JSON in a text, or another value. `binary`:
            Bytes, or base64 in a text.
        message_ttl_seconds: Seconds after which an undelivered message is dropped; 0 means never.
            From 0 to 300.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "sendToConnection"
    connection_id: str
    data: str | bytes
    data_type: DataType = TEXT
    message_ttl_seconds: int | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            connection_id: str,
            data: Data,
            data_type: DataType = ...,
            message_ttl_seconds: int | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        connection_id = self.connection_id
        data = self.data
        if not (
            type(connection_id) is str
            and connection_id > "/"
            and connection_id.isprintable()
            and "/" not in connection_id
            and len(connection_id) <= _NAMES
            and type(data) is str
            and (data.isascii() or data.isprintable())
            and len(data) <= _DATA
            and self.data_type is TEXT
            and self.message_ttl_seconds is None
        ):
            self._check()


class AddUserToGroup(TypedAction, frozen=True, kw_only=True):
    """Add a user's current connections to a group.

    Args:
        user_id: The user's ID. Case-sensitive; stands for all connections of the user.
        group: The group's name. Case-sensitive. At most 1,024 UTF-16 units.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "addUserToGroup"
    user_id: str
    group: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            user_id: str,
            group: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        user_id = self.user_id
        group = self.group
        if not (
            type(user_id) is str
            and user_id > "/"
            and type(group) is str
            and group > "/"
            and (names := user_id + group).isprintable()
            and "/" not in names
            and len(names) <= _NAMES
        ):
            self._check()


class RemoveUserFromGroup(TypedAction, frozen=True, kw_only=True):
    """Remove a user's connections from a group.

    Args:
        user_id: The user's ID. Case-sensitive; stands for all connections of the user.
        group: The group's name. Case-sensitive. At most 1,024 UTF-16 units.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "removeUserFromGroup"
    user_id: str
    group: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            user_id: str,
            group: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        user_id = self.user_id
        group = self.group
        if not (
            type(user_id) is str
            and user_id > "/"
            and type(group) is str
            and group > "/"
            and (names := user_id + group).isprintable()
            and "/" not in names
            and len(names) <= _NAMES
        ):
            self._check()


class RemoveUserFromAllGroups(TypedAction, frozen=True, kw_only=True):
    """Remove a user's connections from every group.

    Args:
        user_id: The user's ID. Case-sensitive; stands for all connections of the user.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "removeUserFromAllGroups"
    user_id: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            user_id: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        user_id = self.user_id
        if not (
            type(user_id) is str
            and user_id > "/"
            and user_id.isprintable()
            and "/" not in user_id
            and len(user_id) <= _NAMES
        ):
            self._check()


class AddConnectionToGroup(TypedAction, frozen=True, kw_only=True):
    """Add one connection to a group.

    Args:
        connection_id: The ID of one client connection, as the service assigned it.
        group: The group's name. Case-sensitive. At most 1,024 UTF-16 units.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "addConnectionToGroup"
    connection_id: str
    group: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            connection_id: str,
            group: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        connection_id = self.connection_id
        group = self.group
        if not (
            type(connection_id) is str
            and connection_id > "/"
            and type(group) is str
            and group > "/"
            and (names := connection_id + group).isprintable()
            and "/" not in names
            and len(names) <= _NAMES
        ):
            self._check()


class RemoveConnectionFromGroup(TypedAction, frozen=True, kw_only=True):
    """Remove one connection from a group.

    Args:
        connection_id: The ID of one client connection, as the service assigned it.
        group: The group's name. Case-sensitive. At most 1,024 UTF-16 units.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "removeConnectionFromGroup"
    connection_id: str
    group: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            connection_id: str,
            group: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        connection_id = self.connection_id
        group = self.group
        if not (
            type(connection_id) is str
            and connection_id > "/"
            and type(group) is str
            and group > "/"
            and (names := connection_id + group).isprintable()
            and "/" not in names
            and len(names) <= _NAMES
        ):
            self._check()


class CloseAllConnections(TypedAction, frozen=True, kw_only=True):
    """Close every connection of the hub.

    Args:
        excluded: IDs of connections to leave out.
        reason: The reason, sent to the closed clients.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "closeAllConnections"
    excluded: tuple[str, ...] = ()
    reason: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            excluded: Strings = ...,
            reason: str | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        if not (self.excluded == () and self.reason is None):
            self._check()


class CloseClientConnection(TypedAction, frozen=True, kw_only=True):
    """Close one connection.

    Args:
        connection_id: The ID of one client connection, as the service assigned it.
        reason: The reason, sent to the closed clients.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "closeClientConnection"
    connection_id: str
    reason: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            connection_id: str,
            reason: str | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        connection_id = self.connection_id
        if not (
            type(connection_id) is str
            and connection_id > "/"
            and connection_id.isprintable()
            and "/" not in connection_id
            and len(connection_id) <= _NAMES
            and self.reason is None
        ):
            self._check()


class CloseGroupConnections(TypedAction, frozen=True, kw_only=True):
    """Close the connections in a group.

    Args:
        group: The group's name. Case-sensitive. At most 1,024 UTF-16 units.
        excluded: IDs of connections to leave out.
        reason: The reason, sent to the closed clients.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "closeGroupConnections"
    group: str
    excluded: tuple[str, ...] = ()
    reason: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            group: str,
            excluded: Strings = ...,
            reason: str | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        group = self.group
        if not (
            type(group) is str
            and group > "/"
            and group.isprintable()
            and "/" not in group
            and len(group) <= _NAMES
            and self.excluded == ()
            and self.reason is None
        ):
            self._check()


class GrantPermission(TypedAction, frozen=True, kw_only=True):
    """Grant one connection a permission on a group.

    Args:
        connection_id: The ID of one client connection, as the service assigned it.
        permission: The permission to grant or revoke. `sendToGroup`: Send messages to the group.
            `joinLeaveGroup`: Join the group and leave it.
        target_name: The group that the permission is for. The service answers 400 without it. At
            most 1,024 UTF-16 units.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "grantPermission"
    connection_id: str
    permission: Literal["sendToGroup", "joinLeaveGroup"]
    target_name: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            connection_id: str,
            permission: Literal["sendToGroup", "joinLeaveGroup"],
            target_name: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        connection_id = self.connection_id
        permission = self.permission
        target_name = self.target_name
        if not (
            type(connection_id) is str
            and connection_id > "/"
            and type(target_name) is str
            and target_name > "/"
            and (names := connection_id + target_name).isprintable()
            and "/" not in names
            and len(names) <= _NAMES
            and permission in ("sendToGroup", "joinLeaveGroup")
        ):
            self._check()


class RevokePermission(TypedAction, frozen=True, kw_only=True):
    """Revoke one connection's permission on a group.

    Args:
        connection_id: The ID of one client connection, as the service assigned it.
        permission: The permission to grant or revoke. `sendToGroup`: Send messages to the group.
            `joinLeaveGroup`: Join the group and leave it.
        target_name: The group that the permission is for. The service answers 400 without it. At
            most 1,024 UTF-16 units.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "revokePermission"
    connection_id: str
    permission: Literal["sendToGroup", "joinLeaveGroup"]
    target_name: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            connection_id: str,
            permission: Literal["sendToGroup", "joinLeaveGroup"],
            target_name: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        connection_id = self.connection_id
        permission = self.permission
        target_name = self.target_name
        if not (
            type(connection_id) is str
            and connection_id > "/"
            and type(target_name) is str
            and target_name > "/"
            and (names := connection_id + target_name).isprintable()
            and "/" not in names
            and len(names) <= _NAMES
            and permission in ("sendToGroup", "joinLeaveGroup")
        ):
            self._check()


class CloseUserConnections(TypedAction, frozen=True, kw_only=True):
    """Close all connections of a user.

    Args:
        user_id: The user's ID. Case-sensitive; stands for all connections of the user.
        excluded: IDs of connections to leave out.
        reason: The reason, sent to the closed clients.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "closeUserConnections"
    user_id: str
    excluded: tuple[str, ...] = ()
    reason: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            user_id: str,
            excluded: Strings = ...,
            reason: str | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        user_id = self.user_id
        if not (
            type(user_id) is str
            and user_id > "/"
            and user_id.isprintable()
            and "/" not in user_id
            and len(user_id) <= _NAMES
            and self.excluded == ()
            and self.reason is None
        ):
            self._check()


class RemoveConnectionFromAllGroups(TypedAction, frozen=True, kw_only=True):
    """Remove one connection from every group.

    Args:
        connection_id: The ID of one client connection, as the service assigned it.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "removeConnectionFromAllGroups"
    connection_id: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            connection_id: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        connection_id = self.connection_id
        if not (
            type(connection_id) is str
            and connection_id > "/"
            and connection_id.isprintable()
            and "/" not in connection_id
            and len(connection_id) <= _NAMES
        ):
            self._check()


class AddConnectionsToGroups(TypedAction, frozen=True, kw_only=True):
    """Add every connection that matches a filter to groups.

    Args:
        groups: The names of the groups. At most 1,024 UTF-16 units.
        filter: An OData expression that selects the connections, such as `userId eq 'ada'`.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "addConnectionsToGroups"
    groups: tuple[str, ...]
    filter: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            groups: Strings,
            filter: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        self._check()


class RemoveConnectionsFromGroups(TypedAction, frozen=True, kw_only=True):
    """Remove every connection that matches a filter from groups.

    Args:
        groups: The names of the groups. At most 1,024 UTF-16 units.
        filter: An OData expression that selects the connections, such as `userId eq 'ada'`.

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "removeConnectionsFromGroups"
    groups: tuple[str, ...]
    filter: str

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            groups: Strings,
            filter: str,
        ) -> None: ...

    def __post_init__(self) -> None:
        self._check()


ACTIONS: Mapping[str, type[TypedAction]] = MappingProxyType(
    {
        "sendToAll": SendToAll,
        "sendToGroup": SendToGroup,
        "sendToUser": SendToUser,
        "sendToConnection": SendToConnection,
        "addUserToGroup": AddUserToGroup,
        "removeUserFromGroup": RemoveUserFromGroup,
        "removeUserFromAllGroups": RemoveUserFromAllGroups,
        "addConnectionToGroup": AddConnectionToGroup,
        "removeConnectionFromGroup": RemoveConnectionFromGroup,
        "closeAllConnections": CloseAllConnections,
        "closeClientConnection": CloseClientConnection,
        "closeGroupConnections": CloseGroupConnections,
        "grantPermission": GrantPermission,
        "revokePermission": RevokePermission,
        "closeUserConnections": CloseUserConnections,
        "removeConnectionFromAllGroups": RemoveConnectionFromAllGroups,
        "addConnectionsToGroups": AddConnectionsToGroups,
        "removeConnectionsFromGroups": RemoveConnectionsFromGroups,
    }
)
"""The classes by `actionName`, in the order of the table. Each has a docstring for `help`."""
