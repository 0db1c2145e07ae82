"""Actions of Azure Functions: the functions of the how-to guide, and their batches.

The Functions host itself is not there. What it passes to the `webPubSub` extension is what a
function gives its output.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import azure.functions as func
import pytest

from wps_run import LocalPubSub, action_from, run_sync

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "from-functions.md"
MODULES = Path(os.environ.get("WPS_RUN_NODE_MODULES", "none"))

T = TypeVar("T")


class Output(func.Out[T], Generic[T]):
    """The output of a function, as the Python worker makes it."""

    def __init__(self) -> None:
        self.values: list[T] = []

    def set(self, val: T) -> None:
        self.values = [val]

    def get(self) -> T:
        return self.values[0]


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.fixture
def function() -> Any:
    """The function of the app of the guide, as the worker indexes it."""
    module: dict[str, Any] = {}
    exec(blocks("python")[0], module)  # noqa: S102 -- the documentation
    (found,) = module["app"].get_functions()
    return found


@pytest.fixture
def service() -> Iterator[LocalPubSub]:
    with LocalPubSub() as emulator:
        yield emulator


def call(function: Any, user: str) -> tuple[int, list[str]]:
    """Call a function; return the status of its response, and what it gives its output."""
    output = Output[str]()
    request = func.HttpRequest(method="POST", url="/api/welcome", params={"user": user}, body=b"")
    response = function.get_user_function()(request, output)
    return response.status_code, output.values


def test_a_python_function_has_the_output_binding(function: Any) -> None:
    bindings = json.loads(function.get_function_json())["bindings"]

    assert {"direction": "OUT", "type": "webPubSub", "name": "actions", "hub": "chat"} in bindings


def test_what_a_python_function_returns_runs(function: Any, service: LocalPubSub) -> None:
    """Its text is a bare batch, and the same actions are made from it."""
    ada = service.client("ada", hub="chat")

    status, (text,) = call(function, "ada")
    summary = run_sync(text, connection_string=service.connection_string, hub="chat")

    assert (status, summary.exit_code, summary.counts["ok"]) == (202, 0, 2)
    assert ada.next() == {"joined": "ada"}
    actions = [action_from(item) for item in json.loads(text)]
    run_sync(actions, connection_string=service.connection_string, hub="chat")
    assert ada.next() == {"joined": "ada"}


def test_a_python_function_refuses_a_name_that_the_service_cannot_take(function: Any) -> None:
    assert call(function, "..") == (400, [])


@pytest.mark.skipif(
    not (MODULES / "@azure" / "functions").exists(),
    reason="WPS_RUN_NODE_MODULES names no node_modules folder with @azure/functions",
)
def test_what_a_javascript_function_returns_runs(service: LocalPubSub, tmp_path: Path) -> None:
    """The library serializes it, Buffers too."""
    (tmp_path / "app.js").write_text(blocks("js")[0], "utf-8")
    script = """
    const { HttpRequest, InvocationContext } = require("@azure/functions");
    const { actions, welcome } = require("./app.js");
    const context = new InvocationContext({ options: { extraOutputs: [actions] } });
    const url = "http://localhost/api/welcome?user=ada";
    welcome(new HttpRequest({ method: "POST", url }), context).then(() =>
      console.log(JSON.stringify(context.extraOutputs.get(actions))));
    """
    (tmp_path / "call.js").write_text(script, "utf-8")
    ada = service.client("ada", hub="chat")

    done = subprocess.run(
        [shutil.which("node") or "node", "call.js"],
        cwd=tmp_path,
        env={**os.environ, "NODE_PATH": str(MODULES)},
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )
    batch = json.loads(done.stdout)
    summary = run_sync(done.stdout, connection_string=service.connection_string, hub="chat")

    assert summary.exit_code == 0
    assert [ada.next(), ada.next()] == [{"joined": "ada"}, b"\x01\x02\x03"]
    assert [action_from(item).action_name for item in batch] == [
        "addUserToGroup",
        "sendToGroup",
        "sendToUser",
    ]
