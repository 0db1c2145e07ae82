"""Requests to connect."""

import pytest
from multidict import CIMultiDict

from wps_run.emulator.websocket.handshake import (
    ConnectRequest,
    HandshakeError,
    is_client_path,
    parse_connect_request,
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/client/hubs/chat", True),
        ("/client/?hub=chat", True),
        ("/client?hub=chat", True),
        ("http://host/client/hubs/chat", True),
        ("/clients/mqtt/hubs/chat", True),
        ("/api/hubs/client", False),
        ("/clientele", False),
        ("/", False),
        ("/client/\u00e9", False),
    ],
)
def test_client_paths(target: str, expected: bool) -> None:  # noqa: FBT001
    """In either form of a request target."""
    assert is_client_path(target) is expected


def parse(target: str, method: str = "GET", **headers: str) -> ConnectRequest:
    """Parse an upgrade with these headers; dashes in names are underscores."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    upgrade = {"Upgrade": "WebSocket", "Connection": "keep-alive, upgrade", "Host": "h"}
    return parse_connect_request(method, target, CIMultiDict(upgrade | names))


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, upgrade"])
def test_a_connect_request(connection: str) -> None:
    """The token in the query takes precedence; names are decoded as for REST."""
    target = "/client/hubs/a%5Bb%5D?access_token=t"
    request = parse(target, Connection=connection, Authorization="Bearer a")

    assert (request.hub, request.host, request.access_token) == ("a[b]", "h", "t")
    target = "/client/?HUB=x&awps_connection_id=c"
    request = parse(target, Connection=connection, Authorization="Bearer a")
    assert (request.hub, request.access_token) == ("x", "a")
    assert (request.connection_id, request.reconnection_token) == ("c", "")
    assert parse(target, Authorization="Basic a").access_token == ""


def test_only_a_get_can_upgrade() -> None:
    """Whatever its headers say."""
    with pytest.raises(HandshakeError) as refusal:
        parse("/client/hubs/chat", "POST")

    assert refusal.value.status == 400


def test_offers_keep_their_order() -> None:
    """From one header or several."""
    headers = CIMultiDict([("Upgrade", "websocket"), ("Connection", "upgrade")])
    for offer in ("a, B", "", "c,,d "):
        headers.add("Sec-WebSocket-Protocol", offer)

    request = parse_connect_request("GET", "/client/hubs/chat", headers)

    assert request.subprotocols == ("a", "B", "c", "d")
