"""Editors that speak to the YAML language server complete, explain and check playbooks."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wps_run.actions.fields import GROUP
from wps_run.actions.table import ACTIONS
from wps_run.playbook.schema import action_option_schemas

MODULES = Path(os.environ.get("WPS_RUN_NODE_MODULES", "none"))
SERVER = MODULES / "yaml-language-server" / "bin" / "yaml-language-server"

pytestmark = pytest.mark.skipif(
    not SERVER.is_file(),
    reason="WPS_RUN_NODE_MODULES names no node_modules folder with yaml-language-server",
)

PLAYBOOK = """\
# yaml-language-server: $schema=../schemas/playbook.schema.json
hub: chat
actions:
"""


PROPERTY = 10
"""`CompletionItemKind.Property` of the Language Server Protocol."""


class Editor:
    """As much of an editor as it takes to ask a language server over its standard streams."""

    def __init__(self, server: subprocess.Popen[bytes], folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._number = 0
        self._uri = ""
        self._files = 0
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": CAPABILITIES})
        self._send({"method": "initialized", "params": {}})

    def open(self, text: str) -> list[dict[str, Any]]:
        """Open a file with this text; what the server finds wrong with it."""
        self._files += 1
        self._uri = (self._folder / "playbooks" / f"{self._files}.yaml").as_uri()
        document = {"uri": self._uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            message = self._receive()
            told = message.get("params", {})
            if "diagnostics" in told and told["uri"] == self._uri:
                found: list[dict[str, Any]] = told["diagnostics"]
                return found

    def at(self, what: str, line: int, character: int) -> Any:
        """Ask for `completion` or `hover` at a place, counted from 0."""
        place = {
            "textDocument": {"uri": self._uri},
            "position": {"line": line, "character": character},
        }
        return self.ask(f"textDocument/{what}", place)

    def ask(self, method: str, params: Any) -> Any:
        """Send a request and wait for its answer."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self._number and "method" not in message:
                return message["result"]

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._server.stdin is not None
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._server.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        """The next message; what the server asks of us is answered with nothing."""
        assert self._server.stdout is not None
        length = 0
        while line := self._server.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the language server has ended"
        message: dict[str, Any] = json.loads(self._server.stdout.read(length))
        if "id" in message and "method" in message:
            self._send({"id": message["id"], "result": None})
        return message


CAPABILITIES = {
    "textDocument": {
        "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
        "hover": {"contentFormat": ["markdown"]},
        "publishDiagnostics": {},
    }
}


@pytest.fixture(scope="module")
def editor(project: Path) -> Iterator[Editor]:
    """An editor with the real language server behind it."""
    command = ["node", str(SERVER), "--stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        yield Editor(server, project)
        server.terminate()


def names(completion: Any) -> dict[str, Any]:
    """What a completion offers, by label."""
    items = completion["items"] if isinstance(completion, dict) else completion
    return {item["label"]: item for item in items}


def words(documentation: Any) -> str:
    """A documentation or hover as text, without Markdown's escapes."""
    text = documentation if isinstance(documentation, str) else documentation["value"]
    return text.replace("\\", "").replace("&nbsp;", " ")


def test_after_action_name_come_the_actions_with_their_summaries(editor: Editor) -> None:
    """All of them, and nothing else."""
    editor.open(PLAYBOOK + "  - actionName: \n")

    offered = names(editor.at("completion", 3, 16))

    assert set(offered) == set(ACTIONS)
    for name, action in ACTIONS.items():
        assert action.summary in words(offered[name]["documentation"])


@pytest.mark.parametrize("name", ["addUserToGroup", "sendToAll", "closeAllConnections"])
def test_then_only_the_properties_of_that_action_are_offered(editor: Editor, name: str) -> None:
    """Not those of the others, nor those of a playbook."""
    editor.open(PLAYBOOK + f"  - actionName: {name}\n    \n")

    offered = names(editor.at("completion", 4, 4))

    own = {one.name for one in ACTIONS[name].fields}
    files = {"forEach"} | ({"dataFile"} if "data" in own else set())
    properties = {label for label, item in offered.items() if item["kind"] == PROPERTY}
    assert properties == own | set(action_option_schemas()) | files
    assert set(offered) - properties <= {name}  # a snippet with all that it needs
    for one in ACTIONS[name].fields:
        assert one.summary in words(offered[one.name]["documentation"])


def test_the_values_of_a_choice_are_offered_and_explained(editor: Editor) -> None:
    """`dataType` has three."""
    editor.open(PLAYBOOK + "  - actionName: sendToAll\n    data: x\n    dataType: \n")

    offered = names(editor.at("completion", 5, 14))

    assert {"text", "json", "binary"} <= set(offered)


def test_a_property_and_an_action_name_are_explained_when_pointed_at(editor: Editor) -> None:
    """In the words of the table."""
    editor.open(PLAYBOOK + "  - actionName: addUserToGroup\n    userId: ada\n    group: red\n")

    assert GROUP.summary in words(editor.at("hover", 5, 6)["contents"])
    for place in (6, 20):
        told = words(editor.at("hover", 3, place)["contents"])
        assert ACTIONS["addUserToGroup"].summary in told


def test_a_wrong_property_gets_one_diagnostic_at_its_place(editor: Editor) -> None:
    """Not one for each of the other actions."""
    text = (
        PLAYBOOK + "  - actionName: addUserToGroup\n    userId: ada\n    group: red\n    data: x\n"
    )

    (found,) = editor.open(text)

    assert "data" in found["message"]
    assert found["range"]["start"] == {"line": 6, "character": 4}


def test_a_wrong_action_name_gets_one_diagnostic_that_lists_the_names(editor: Editor) -> None:
    """The editor says what may stand there."""
    (found,) = editor.open(PLAYBOOK + "  - actionName: sendToAl\n    data: x\n")

    assert found["range"]["start"] == {"line": 3, "character": 16}
    assert "sendToAll" in found["message"]


def test_a_playbook_of_init_is_completed_at_once(editor: Editor, project: Path) -> None:
    """A right playbook gets no diagnostic."""
    assert editor.open((project / "playbooks" / "moderation.yaml").read_text("utf-8")) == []
