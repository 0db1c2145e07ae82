"""The examples of the page on membership that lasts run, or are valid where they need Azure."""

import json
import os
import re
import shlex
import socket
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import azure.functions as func
import pytest
import uvicorn
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from wps_run import LocalPubSub
from wps_run.cli.commands.listen import DEFAULT_PORT

PAGE = "docs/how-to/lasting-membership.md"
CONNECTION = "WebPubSubConnectionString"
USER = "Łukasz"
"""A user whose ID is not ASCII, so that it is seen how headers are decoded."""

AZ_OPTIONS = {
    "containerapp create": "--name --resource-group --environment --image --ingress --target-port"
    " --min-replicas --secrets --env-vars",
    "containerapp auth update": "--name --resource-group --enabled --unauthenticated-client-action"
    " --excluded-paths",
    "containerapp auth microsoft update": "--name --resource-group --client-id --issuer"
    " --allowed-audiences --yes",
    "webpubsub hub create": "--name --resource-group --hub-name --event-handler",
    "webpubsub hub update": "--name --resource-group --hub-name --event-handler",
    "webpubsub identity assign": "--name --resource-group --identity",
}
"""The options of commands of the Azure CLI that the page uses, from its reference."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a playbook and its users."""
    (tmp_path / "rooms.yaml").write_text(
        "{hub: chat, groups: {red: {users: {file: red.csv}}, blue: {users: [ada]}}}"
    )
    (tmp_path / "red.csv").write_text(f"id\nada\n{USER}\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Blocks:
    """The fenced blocks of the page."""

    def __init__(self, text: str) -> None:
        pattern = r"^(<!-- test: not run, needs Azure -->\n)?```(\w+)\n(.*?)^```$"
        self.all = [
            match.groups() for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL)
        ]

    def of(self, language: str, part: str = "") -> str:
        """Return the only block of a language with a text in it that runs here."""
        (block,) = (
            text
            for needs_azure, each, text in self.all
            if each == language and part in text and not needs_azure
        )
        return block

    def az_commands(self) -> Iterator[list[str]]:
        """Yield the commands in the blocks that need Azure."""
        for needs_azure, _, text in self.all:
            if needs_azure:
                yield from map(shlex.split, text.replace("\\\n", "").splitlines())


@pytest.fixture(scope="module")
def page() -> Blocks:
    """The page."""
    return Blocks((Path(__file__).parents[2] / PAGE).read_text("utf-8"))


def test_each_block_is_run_or_needs_azure(page: Blocks) -> None:
    """By the tests below."""
    run = [
        page.of("python", "async def app"),
        page.of("python", "azure.functions"),
        page.of("dockerfile"),
        page.of("sh", "--unknown refuse"),
        page.of("sh", "--local"),
    ]

    assert sorted(run) == sorted(text for needs_azure, _, text in page.all if not needs_azure)


def groups_of_client(hub: WebPubSubServiceClient, user: str) -> set[str]:
    """Connect a client; return the groups whose messages it receives."""
    with connect(hub.get_client_access_token(user_id=user)["url"]) as client:
        for group in ("red", "blue"):
            hub.send_to_group(group, group, content_type="text/plain")
        hub.send_to_user(user, "end", content_type="text/plain")
        return {str(message) for message in iter(client.recv, "end")}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens on a free port for a server that is started later."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def hub(
    folder: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WebPubSubServiceClient]:
    """An emulator that sends its events to the listener; the folder has what is answered."""
    monkeypatch.chdir(folder)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/eventhandler"
    with LocalPubSub(event_handlers=[url]) as emulator:
        monkeypatch.setenv(CONNECTION, emulator.connection_string)
        yield WebPubSubServiceClient.from_connection_string(
            emulator.connection_string, hub="chat", connection_verify=False
        )


def namespace_of(block: str) -> dict[str, Any]:
    """Run a block of Python; return its names."""
    names: dict[str, Any] = {}
    exec(compile(block, PAGE, "exec"), names)  # noqa: S102 -- the page's own
    return names


def test_an_asgi_application_answers(
    page: Blocks, hub: WebPubSubServiceClient, listener: socket.socket
) -> None:
    """On a server of others. It refuses users in no list."""
    app = namespace_of(page.of("python", "async def app"))["app"]
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert groups_of_client(hub, "ada") == {"red", "blue"}
        assert groups_of_client(hub, USER) == {"red"}
        with pytest.raises(InvalidStatus, match="HTTP 401"):
            groups_of_client(hub, "eve")
    finally:
        server.should_exit = True
        thread.join()


class FunctionHost(BaseHTTPRequestHandler):
    """Calls an Azure Function for each request, as the host does."""

    @staticmethod
    def function(request: func.HttpRequest) -> func.HttpResponse:
        """Call the function."""
        raise NotImplementedError

    def do_POST(self) -> None:
        """Answer a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        texts = {name: text.encode("latin-1").decode() for name, text in self.headers.items()}
        request = func.HttpRequest(self.command, self.path, headers=texts, body=body)
        response = self.function(request)
        self.send_response(response.status_code)
        for name, text in response.headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(response.get_body())

    do_OPTIONS = do_POST  # noqa: N815 -- likewise

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_an_azure_function_answers(
    page: Blocks,
    hub: WebPubSubServiceClient,
    listener: socket.socket,
    serve: Callable[[HTTPServer], str],
) -> None:
    """It admits users in no list. The host passes its request by the name in the binding."""
    (function,) = namespace_of(page.of("python", "azure.functions"))["app"].get_functions()
    (binding,) = (each for each in function.get_bindings() if each.type == "httpTrigger")
    code: Callable[..., func.HttpResponse] = function.get_user_function()

    class Host(FunctionHost):
        @staticmethod
        def function(request: func.HttpRequest) -> func.HttpResponse:
            return code(**{binding.name: request})

    server = HTTPServer(("127.0.0.1", 0), Host, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_port = listener.getsockname()[1]
    serve(server)

    assert f"/api/{binding.get_dict_repr()['route']}" == "/api/eventhandler"
    assert groups_of_client(hub, "ada") == {"red", "blue"}
    assert groups_of_client(hub, USER) == {"red"}
    assert groups_of_client(hub, "eve") == set()


def instructions(dockerfile: str) -> Mapping[str, str]:
    """Return the arguments of each instruction."""
    return dict(line.split(" ", 1) for line in dockerfile.splitlines())


def first_line(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run a command until it prints a line; return the line."""
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        assert process.wait(5) == 0
    return line


SECRET = f"Endpoint=https://rooms.webpubsub.azure.com;AccessKey={'k' * 44};Version=1.0;"


def test_the_container_runs(page: Blocks, project: Path, folder: Path, script: Path) -> None:
    """Its command starts with the files that are copied, and without a folder to write to."""
    lines = instructions(page.of("dockerfile"))
    metadata = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]

    assert re.fullmatch(r"python:3\.1[1-4]-slim", lines["FROM"])
    assert lines["RUN"].split()[-1] == metadata["name"]
    *copied, target = lines["COPY"].split()
    assert (sorted(copied), target) == (sorted(path.name for path in folder.iterdir()), "./")
    assert lines["EXPOSE"] == str(DEFAULT_PORT)
    name, *args = json.loads(lines["CMD"])
    assert name == script.name
    assert args[args.index("--host") + 1] == "0.0.0.0"  # noqa: S104 -- in a container
    local = [arg.replace("0.0.0.0", "127.0.0.1") for arg in args]  # noqa: S104
    command = [str(script), *local, "--port", "0"]
    environment = {CONNECTION: SECRET, "HOME": "/nonexistent", "XDG_STATE_HOME": "/nonexistent"}
    assert first_line(command, folder, environment).startswith("http://127.0.0.1:")


def run_shell(block: str, folder: Path, script: Path) -> str:
    """Run a block of shell commands on free ports; stop what it leaves in the background."""
    text = block.replace("wps-run listen", "wps-run listen --port 0")
    process = subprocess.run(
        ["bash", "-euc", f"trap 'kill $(jobs -p)' EXIT\n{text}"],  # noqa: S607 -- the user's shell
        cwd=folder,
        env={**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_the_command_starts(page: Blocks, folder: Path, script: Path) -> None:
    text = page.of("sh", "--unknown refuse").replace("AccessKey=…", f"AccessKey={'k' * 44}")
    export, command = text.splitlines()
    name, secret = shlex.split(export)[1].split("=", 1)
    args = [str(script), *shlex.split(command)[1:], "--port", "0"]

    assert first_line(args, folder, {name: secret}).startswith("http://127.0.0.1:")


def test_the_rehearsal_runs(page: Blocks, folder: Path, script: Path) -> None:
    """It ends with the URL for a client."""
    output = run_shell(page.of("sh", "--local"), folder, script)

    assert re.match(r"ws://127\.0\.0\.1:\d+/client/hubs/chat\?access_token=", output)


def test_commands_that_need_azure_have_options_of_their_reference(page: Blocks) -> None:
    """They match each other, and what `wps-run listen` expects."""
    options: dict[str, dict[str, list[str]]] = {}
    for program, *words in page.az_commands():
        first = next(index for index, word in enumerate(words) if word.startswith("--"))
        values = options.setdefault(" ".join(words[:first]), {})
        name = words[first]
        for word in words[first:]:
            if word.startswith("--"):
                name = word
                values[name] = []
            else:
                values[name].append(word)
        assert program == "az"

    assert {name: " ".join(values) for name, values in options.items()} == {
        name: AZ_OPTIONS[name] for name in options
    }
    assert sorted(options) == sorted(AZ_OPTIONS)
    create = options["containerapp create"]
    (secret,) = create["--secrets"]
    assert create["--env-vars"] == [f"{CONNECTION}=secretref:{secret.split('=')[0]}"]
    assert create["--target-port"] == instructions(page.of("dockerfile"))["EXPOSE"].split()
    handler = ["url-template=https://HOST/eventhandler", "system-event=connect"]
    assert options["webpubsub hub create"]["--event-handler"] == handler
    (audience,) = options["containerapp auth microsoft update"]["--allowed-audiences"]
    token = ["auth-type=ManagedIdentity", f"auth-resource={audience}"]
    assert options["webpubsub hub update"]["--event-handler"] == [*handler, *token]
