"""`wps-run listen` as a process, and the events that the service sends to it."""

import email
import hmac
import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

KEY = "k" * 44
SETTING = f"Endpoint=https://rooms.webpubsub.azure.com;AccessKey={KEY};Version=1.0;"
PLAYBOOK = "{hub: chat, groups: {red: {users: {file: red.csv}, roles: [sendToGroup]}}}"
RED = b'{"groups":["red"],"roles":["webpubsub.sendToGroup.red"]}'
"""The answer to a user of the group."""


def event_headers(user: str) -> dict[str, str]:
    """Return the headers of the event `connect` of a user."""
    digest = hmac.digest(KEY.encode(), b"c1", "sha256").hex()
    return {
        "WebHook-Request-Origin": "rooms.webpubsub.azure.com",
        "ce-specversion": "1.0",
        "ce-type": "azure.webpubsub.sys.connect",
        "ce-source": "/hubs/chat/client/c1",
        "ce-id": "1",
        "ce-signature": f"sha256={digest}",
        "ce-connectionId": "c1",
        "ce-hub": "chat",
        "ce-eventName": "connect",
        "ce-userId": user,
    }


def event_bytes(
    headers: dict[str, str], body: bytes = b"{}", target: str = "/eventhandler"
) -> bytes:
    """Return a request as the service sends it."""
    length = {} if "Transfer-Encoding" in headers else {"Content-Length": str(len(body))}
    sized = {"Host": "x", **length, **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sized.items())
    return f"POST {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def read_response(stream: BinaryIO) -> tuple[int, bytes]:
    """Read the status and the body of a response, which has a date and says what it contains."""
    status = int(stream.readline().split()[1])
    headers = email.message_from_bytes(b"".join(iter(stream.readline, b"\r\n")))
    assert headers["Date"].endswith(" GMT")
    assert status != 200 or headers["Content-Type"] == "application/json"
    return status, stream.read(int(headers["Content-Length"] or 0))


class Listen:
    """A running `wps-run listen`."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        self.port = int(url.removesuffix("/eventhandler").rpartition(":")[2])
        self.next_message("loaded")

    def next_message(self, part: str) -> str:
        """Wait for the line on stderr that contains a text."""
        assert self.child.stderr is not None
        return next(line for line in self.child.stderr if part in line)

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = b""
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def connect(self, user: str) -> tuple[int, bytes]:
        """Send the event `connect` of a user."""
        return self.request("POST", "/eventhandler", event_headers(user), b"{}")

    def health(self) -> Any:
        return json.loads(self.request("GET", "/healthz")[1])


@contextmanager
def listening(script: Path, folder: Path, *args: str) -> Iterator[Listen]:
    """Run `wps-run listen` in a folder, with the playbook and its users."""
    (folder / "rooms.yaml").write_text(PLAYBOOK)
    (folder / "red.csv").write_text("id\nada\n")
    with subprocess.Popen(
        [script, "listen", "--port", "0", "rooms.yaml", *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield Listen(child)
        finally:
            child.kill()
            child.communicate()
