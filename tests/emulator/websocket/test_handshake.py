"""Requests to connect."""

import pytest

from wps_run.emulator.websocket.handshake import (
    HandshakeError,
    is_client_path,
    offered_subprotocols,
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


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, upgrade"])
def test_a_connect_request(connection: str) -> None:
    """The token in the query takes precedence; names are decoded as for REST."""
    request = parse_connect_request(
        "GET", "/client/hubs/a%5Bb%5D?access_token=t", "WebSocket", connection
    )

    assert (request.hub, request.access_token("Bearer h")) == ("a[b]", "t")
    other = parse_connect_request(
        "GET", "/client/?HUB=x&awps_connection_id=c", "websocket", connection
    )
    assert (other.hub, other.access_token("Bearer h"), other.access_token("Basic h")) == (
        "x",
        "h",
        "",
    )
    assert (other.connection_id, other.reconnection_token) == ("c", "")


def test_only_a_get_can_upgrade() -> None:
    """Whatever its headers say."""
    with pytest.raises(HandshakeError) as refusal:
        parse_connect_request("POST", "/client/hubs/chat", "websocket", "upgrade")

    assert refusal.value.status == 400


def test_offers_keep_their_order() -> None:
    """From one header or several."""
    assert offered_subprotocols(["a, B", "", "c,,d "]) == ["a", "B", "c", "d"]
