"""A client's request to connect: its hub, tokens and offered subprotocols. No I/O.

Source: the client protocols; the statuses are those of the service before the upgrade.
"""

from dataclasses import dataclass

from multidict import MultiMapping

from wps_run.emulator.auth import DeniedError, bearer_token
from wps_run.emulator.names import is_hub_name
from wps_run.emulator.targets import (
    BadTargetError,
    Query,
    decode_path,
    split_path,
    split_target,
)

_PATHS = "clients connect to `/client/hubs/{hub}` or `/client/?hub={hub}`"


class HandshakeError(Exception):
    """A client is refused before the upgrade, with an HTTP status; the reason has no token."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """A client's request to connect.

    Attributes:
        hub: The hub, as the client wrote it.
        access_token: The token in the query, else in the Authorization header, else "".
        subprotocols: The subprotocols that the client offers, in its order and spelling.
        raw_query: The query, undecoded.
    """

    hub: str
    host: str
    access_token: str
    subprotocols: tuple[str, ...]
    query: Query
    raw_query: str = ""

    @property
    def connection_id(self) -> str:
        """The connection to recover; "" for a new one."""
        return self.query.first("awps_connection_id")

    @property
    def reconnection_token(self) -> str:
        """The token for a recovery; "" when there is none."""
        return self.query.first("awps_reconnection_token")


def is_client_path(target: str) -> bool:
    """Whether a request target is one where clients connect."""
    try:
        path, _ = split_target(target)
    except BadTargetError:
        return False
    return path == "/client" or path.startswith(("/client/", "/clients/"))


def parse_connect_request(method: str, target: str, headers: MultiMapping[str]) -> ConnectRequest:
    """Parse a request to connect.

    Raises:
        HandshakeError: 400 if it is not a WebSocket upgrade or has no hub; 404 for the paths of
            MQTT and Socket.IO clients, which the emulator does not support.
    """
    try:
        path, query_text = split_target(target)
        segments = split_path(decode_path(path))
    except BadTargetError:
        raise HandshakeError(400, "the path is invalid; " + _PATHS) from None
    query = Query(query_text)
    if segments[0] == "clients":
        raise HandshakeError(404, "MQTT and Socket.IO are not supported; " + _PATHS)
    connection = {option.strip().lower() for option in headers.get("Connection", "").split(",")}
    upgrade = headers.get("Upgrade", "").strip().lower()
    if method != "GET" or upgrade != "websocket" or "upgrade" not in connection:
        raise HandshakeError(400, "this is not a WebSocket upgrade; " + _PATHS)
    hub = _hub(segments, query)
    if not is_hub_name(hub):
        raise HandshakeError(400, "the hub's name is missing or invalid; " + _PATHS)
    offers = ",".join(headers.getall("Sec-WebSocket-Protocol", ())).split(",")
    subprotocols = tuple(name.strip() for name in offers if name.strip())
    token = _access_token(query, headers.get("Authorization", ""))
    return ConnectRequest(hub, headers.get("Host", ""), token, subprotocols, query, query_text)


def _access_token(query: Query, authorization: str) -> str:
    try:
        return query.first("access_token") or bearer_token(authorization)
    except DeniedError:
        return ""


def _hub(segments: list[str], query: Query) -> str:
    match segments:
        case ["client"]:
            return query.first("hub")
        case ["client", "hubs", hub]:
            return hub
        case _:
            return ""
