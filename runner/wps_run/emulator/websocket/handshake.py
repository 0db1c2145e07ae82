"""What a client asks for when it connects: its hub, its token, its subprotocol, its mode.

Source: the client protocols; statuses as the service answers them before the upgrade.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wps_run.emulator.auth import DeniedError, bearer_token
from wps_run.emulator.names import is_hub_name
from wps_run.emulator.rest.targets import (
    BadTargetError,
    Query,
    decode_path,
    split_path,
    split_target,
)

_WHERE = "clients connect to `/client/hubs/{hub}` or `/client/?hub={hub}`"


class HandshakeError(Exception):
    """The client is refused before the upgrade.

    Attributes:
        status: The HTTP status.
        reason: Why, in words; never holds a token.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """A client at the door.

    Attributes:
        hub: The hub it wants, in its spelling.
        query: The parameters.
    """

    hub: str
    query: Query

    @property
    def connection_id(self) -> str:
        """The connection it wants to come back to; "" for a new one."""
        return self.query.first("awps_connection_id")

    @property
    def reconnection_token(self) -> str:
        """What it shows to come back."""
        return self.query.first("awps_reconnection_token")

    def access_token(self, authorization: str) -> str:
        """Its token: in the query, else in the Authorization header; "" when there is none."""
        try:
            return self.query.first("access_token") or bearer_token(authorization)
        except DeniedError:
            return ""


def is_client_path(target: str) -> bool:
    """Whether a request target is one where clients connect."""
    try:
        path, _ = split_target(target)
    except BadTargetError:
        return False
    return path == "/client" or path.startswith(("/client/", "/clients/"))


def connect_request(method: str, target: str, upgrade: str, connection: str) -> ConnectRequest:
    """Read a request to connect.

    Args:
        method: The HTTP method.
        target: The request target.
        upgrade: The Upgrade header.
        connection: The Connection header.

    Raises:
        HandshakeError: 400 for what is no WebSocket upgrade, or names no hub; 404 where MQTT and
            Socket.IO clients connect, which are not served here.
    """
    try:
        path, text = split_target(target)
        parts = split_path(decode_path(path))
    except BadTargetError:
        raise HandshakeError(400, "the path is invalid; " + _WHERE) from None
    query = Query(text)
    if parts[0] == "clients":
        raise HandshakeError(404, "MQTT and Socket.IO are not spoken here; " + _WHERE)
    wanted = {part.strip().lower() for part in connection.split(",")}
    if method != "GET" or upgrade.strip().lower() != "websocket" or "upgrade" not in wanted:
        raise HandshakeError(400, "this is no WebSocket upgrade; " + _WHERE)
    hub = _hub(parts, query)
    if not is_hub_name(hub):
        raise HandshakeError(400, "no hub is named; " + _WHERE)
    return ConnectRequest(hub, query)


def offers(headers: Sequence[str]) -> list[str]:
    """The subprotocols that a client offers, in its order and spelling."""
    names = (name.strip() for header in headers for name in header.split(","))
    return [name for name in names if name]


def _hub(parts: list[str], query: Query) -> str:
    match parts:
        case ["client"]:
            return query.first("hub")
        case ["client", "hubs", hub]:
            return hub
        case _:
            return ""
