"""Editors that use the YAML language server complete, explain and check playbooks."""

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
    """A client of the language server over its standard streams."""

    def __init__(self, server: subprocess.Popen[bytes], folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._number = 0
        self._uri = ""
        self._files = 0
        self.request(
            "initialize", {"processId": None, "rootUri": None, "capabilities": CAPABILITIES}
        )
        self._send({"method": "initialized", "params": {}})

    def open(self, text: str) -> list[dict[str, Any]]:
        """Open a file with this text and return its diagnostics."""
        self._files += 1
        self._uri = (self._folder / "playbooks" / f"{self._files}.yaml").as_uri()
        document = {"uri": self._uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            message = self._receive()
            params = message.get("params", {})
            if "diagnostics" in params and params["uri"] == self._uri:
                diagnostics: list[dict[str, Any]] = params["diagnostics"]
                return diagnostics

    def query_at(self, feature: str, line: int, character: int) -> Any:
        """Request `completion` or `hover` at a position, counted from 0."""
        params = {
            "textDocument": {"uri": self._uri},
            "position": {"line": line, "character": character},
        }
        return self.request(f"textDocument/{feature}", params)

    def request(self, method: str, params: Any) -> Any:
        """Send a request and return its result."""
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
        """Return the next message; requests of the server get an empty result."""
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
    """An editor that is connected to the real language server."""
    command = ["node", str(SERVER), "--stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        yield Editor(server, project)
        server.terminate()


def items_of(completion: Any) -> dict[str, Any]:
    """Return the items of a completion by label."""
    items = completion["items"] if isinstance(completion, dict) else completion
    return {item["label"]: item for item in items}


def text_of(documentation: Any) -> str:
    """Return the text of a documentation or hover, without Markdown's escapes."""
    text = documentation if isinstance(documentation, str) else documentation["value"]
    return text.replace("\\", "").replace("&nbsp;", " ")


def test_all_actions_are_offered_with_their_summaries(editor: Editor) -> None:
    editor.open(PLAYBOOK + "  - actionName: \n")

    offered = items_of(editor.query_at("completion", 3, 16))

    assert set(offered) == set(ACTIONS)
    for name, action in ACTIONS.items():
        assert action.summary in text_of(offered[name]["documentation"])


@pytest.mark.parametrize("name", ["addUserToGroup", "sendToAll", "closeAllConnections"])
def test_only_the_properties_of_the_action_are_offered(editor: Editor, name: str) -> None:
    editor.open(PLAYBOOK + f"  - actionName: {name}\n    \n")

    offered = items_of(editor.query_at("completion", 4, 4))

    expected = {field.name for field in ACTIONS[name].fields}
    extra = {"forEach"} | ({"dataFile"} if "data" in expected else set())
    properties = {label for label, item in offered.items() if item["kind"] == PROPERTY}
    assert properties == expected | set(action_option_schemas()) | extra
    assert set(offered) - properties <= {name}  # a snippet with all that it needs
    for field in ACTIONS[name].fields:
        assert field.summary in text_of(offered[field.name]["documentation"])


def test_an_include_is_offered_beside_an_action_and_then_its_keys(editor: Editor) -> None:
    editor.open(PLAYBOOK + "  - \n")
    offered = items_of(editor.query_at("completion", 3, 4))
    assert {"actionName", "include"} <= set(offered)
    assert "Relative to the file" in text_of(offered["include"]["documentation"])

    diagnostics = editor.open(PLAYBOOK + "  - include: teams/red.yaml\n    \n")
    offered = items_of(editor.query_at("completion", 4, 4))
    assert diagnostics == []
    assert {label for label, item in offered.items() if item["kind"] == PROPERTY} == {
        "vars",
        "tags",
    }


def test_values_of_a_choice_are_offered(editor: Editor) -> None:
    editor.open(PLAYBOOK + "  - actionName: sendToAll\n    data: x\n    dataType: \n")

    offered = items_of(editor.query_at("completion", 5, 14))

    assert {"text", "json", "binary"} <= set(offered)


def test_hover_explains_properties_and_action_names(editor: Editor) -> None:
    editor.open(PLAYBOOK + "  - actionName: addUserToGroup\n    userId: ada\n    group: red\n")

    assert GROUP.summary in text_of(editor.query_at("hover", 5, 6)["contents"])
    for character in (6, 20):
        hover = text_of(editor.query_at("hover", 3, character)["contents"])
        assert ACTIONS["addUserToGroup"].summary in hover


def test_unknown_property_gets_one_diagnostic_at_its_position(editor: Editor) -> None:
    text = (
        PLAYBOOK + "  - actionName: addUserToGroup\n    userId: ada\n    group: red\n    data: x\n"
    )

    (diagnostic,) = editor.open(text)

    assert "data" in diagnostic["message"]
    assert diagnostic["range"]["start"] == {"line": 6, "character": 4}


def test_unknown_action_name_gets_one_diagnostic_with_all_names(editor: Editor) -> None:
    (diagnostic,) = editor.open(PLAYBOOK + "  - actionName: sendToAl\n    data: x\n")

    assert diagnostic["range"]["start"] == {"line": 3, "character": 16}
    assert "sendToAll" in diagnostic["message"]


def test_valid_playbook_gets_no_diagnostic(editor: Editor, project: Path) -> None:
    assert editor.open((project / "playbooks" / "moderation.yaml").read_text("utf-8")) == []
