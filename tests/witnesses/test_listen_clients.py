"""Run official clients against `wps-run listen --local`, which admits them to their groups.

The official libraries speak JSON. The other clients speak WebSocket themselves. Those that run on
Node are skipped if WPS_RUN_NODE_MODULES is not the folder that has the library.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from websockets.sync.client import connect
from websockets.typing import Subprotocol

MODULES = Path(os.environ.get("WPS_RUN_NODE_MODULES", "none")).absolute()
SCRIPTS = Path(__file__).parent / "scripts"
NEEDS_NODE = pytest.mark.skipif(
    not (MODULES / "@azure" / "web-pubsub-client").is_dir(),
    reason="WPS_RUN_NODE_MODULES names no node_modules folder with @azure/web-pubsub-client",
)

Next = Callable[[], list[Any]]
"""Waits for what a client receives: `connected` and its connection ID, or a group and a text."""


@contextmanager
def running_client(script: str, *args: str) -> Iterator[Next]:
    """Run a client of an official library, which sends a message whenever it is connected."""
    command = [sys.executable if script.endswith(".py") else "node", str(SCRIPTS / script), *args]
    environment = {**os.environ, "WPS_RUN_NODE_MODULES": str(MODULES)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = process.stdout
        yield lambda: json.loads(lines.readline())


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebPubSubServiceClient]:
    """The service library at the emulator of a running `wps-run listen --local`."""
    folder = tmp_path_factory.mktemp("rehearsal")
    (folder / "red.csv").write_text("id\nada\n")
    (folder / "rooms.yaml").write_text(
        "{hub: chat, groups: {red: {users: {file: red.csv}, roles: [sendToGroup]}}}"
    )
    script = str(Path(sys.executable).parent / "wps-run")
    command = [script, "listen", "--local", "--port", "0", "rooms.yaml"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection_string, url = process.stdout.readline().strip(), process.stdout.readline()
        assert url.startswith("http://127.0.0.1:")
        yield WebPubSubServiceClient.from_connection_string(
            connection_string, hub="chat", connection_verify=False
        )
        process.terminate()
        assert process.wait(5) == 0


def client_url(hub: WebPubSubServiceClient, user: str) -> str:
    return str(hub.get_client_access_token(user_id=user)["url"])


def members(hub: WebPubSubServiceClient) -> list[str]:
    return [member.connection_id for member in hub.list_connections(group="red")]


@pytest.mark.parametrize(
    "subprotocol", ["json.webpubsub.azure.v1", "json.reliable.webpubsub.azure.v1"]
)
@pytest.mark.parametrize("script", ["member.py", pytest.param("member.mjs", marks=NEEDS_NODE)])
def test_official_clients_are_in_their_groups_at_once_and_after_they_connect_again(
    rehearsal: WebPubSubServiceClient, script: str, subprotocol: str
) -> None:
    """They receive from their groups and may send to them. There is no run, and they join none."""
    previous = None
    with running_client(script, subprotocol, client_url(rehearsal, "ada"), "red") as receive:
        for _ in range(2):
            event, connection_id = receive()
            assert (event, connection_id == previous) == ("connected", False)
            assert receive() == ["red", "from a client"]
            assert members(rehearsal) == [connection_id]
            rehearsal.send_to_group("red", "from a service", content_type="text/plain")
            assert receive() == ["red", "from a service"]
            rehearsal.close_connection(connection_id)
            previous = connection_id


def test_official_clients_of_other_users_are_in_no_group(rehearsal: WebPubSubServiceClient) -> None:
    """They are admitted."""
    url = client_url(rehearsal, "eve")
    with running_client("member.py", "json.webpubsub.azure.v1", url, "red") as receive:
        event, connection_id = receive()
        assert (event, rehearsal.connection_exists(connection_id)) == ("connected", True)
        assert members(rehearsal) == []


@pytest.mark.parametrize(
    "subprotocol", [None, "protobuf.webpubsub.azure.v1", "protobuf.reliable.webpubsub.azure.v1"]
)
def test_clients_of_other_subprotocols_are_in_their_groups_too(
    rehearsal: WebPubSubServiceClient, subprotocol: str | None
) -> None:
    """At once, and again after they have connected again."""
    offered = [Subprotocol(subprotocol)] if subprotocol else None
    for _ in range(2):
        with connect(client_url(rehearsal, "ada"), subprotocols=offered) as client:
            if subprotocol:
                client.recv(timeout=10)  # the event `connected`
            rehearsal.send_to_group("red", "hello", content_type="text/plain")
            assert "hello" in str(client.recv(timeout=10))
