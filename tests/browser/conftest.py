"""Chromium, driven by a Node program, and emulators with a dashboard."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wps_run.connect.endpoint import Endpoint, parse_connection_string

MODULES = Path(os.environ.get("WPS_RUN_NODE_MODULES", "none"))
CHROMIUM = os.environ.get("WPS_RUN_CHROMIUM", "none")


class Browser:
    """One page at a time: `open` it, then call any method of `driver.js` by its name."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda *args: self._call(method, *args)

    def _call(self, *call: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def wait_for_newest_entry(self, served: "Served") -> None:
        """Wait until the dashboard shows the newest entry of the request log."""
        last = served.request("GET", "ledger?limit=0")["last"]
        button = "document.querySelector('#traffic-table tbody tr button')"
        self.until(f"{button}?.innerText === '{last}'")

    def is_quiet(self, served: "Served") -> bool:
        """Whether the console is empty, and no other server got a request."""
        assert self.noise() == []
        hosts = {url.split("/")[2] for url in self.requests()}
        return hosts == {served.endpoint.origin.removeprefix("http://")}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, for as long as the tests run; skipped where it is not named."""
    modules = [MODULES / "playwright-core", MODULES / "axe-core" / "axe.min.js"]
    if not all(module.exists() for module in modules) or shutil.which(CHROMIUM) is None:
        pytest.skip(
            "WPS_RUN_NODE_MODULES names no node_modules folder with playwright-core and axe-core, "
            "or WPS_RUN_CHROMIUM no Chromium"
        )
    driver = Path(__file__).with_name("driver.js")
    node = shutil.which("node")
    assert node is not None
    with subprocess.Popen(
        [node, str(driver), *map(str, modules), shutil.which(CHROMIUM) or CHROMIUM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield Browser(process)
        finally:
            process.kill()  # its Chromium ends with it


@dataclass
class Served:
    """An emulator in its own process, and the link to its dashboard."""

    process: "subprocess.Popen[str]"
    connection_string: str
    link: str

    @property
    def endpoint(self) -> Endpoint:
        """Address and access key."""
        return parse_connection_string(self.connection_string)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Request a path below `/_local/` with the access key, and parse the JSON."""
        request = urllib.request.Request(  # noqa: S310 - http, here
            f"{self.endpoint.origin}/_local/{path}",
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self.endpoint.key}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - http, here
            text = answer.read()
        return json.loads(text) if text else None

    def seed_clients(self, count: int) -> None:
        """Connect users, each in the group `everyone` and in one of a hundred teams."""
        clients = [
            {"userId": f"user-{number}", "groups": ["everyone", f"team-{number % 100}"]}
            for number in range(1, count + 1)
        ]
        self.request("POST", "seed", {"hub": "chat", "clients": clients})


@pytest.fixture(scope="session")
def script() -> Path:
    """The installed script."""
    return Path(sys.executable).parent / "wps-run"


@pytest.fixture
def served(script: Path) -> Iterator[Served]:
    """`wps-run serve`, as a user starts it."""
    process = subprocess.Popen(
        [script, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    connection_string = process.stdout.readline().strip()
    link = re.search(r"http\S+key=\S+", process.stderr.readline())
    assert link is not None
    with process:
        yield Served(process, connection_string, link[0])
        process.terminate()
        assert "Traceback" not in process.stderr.read()


@pytest.fixture
def run(
    script: Path, served: Served, tmp_path: Path
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs actions against the emulator, in their own process."""

    def start(*actions: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
        playbook = tmp_path / "playbook.json"
        document = {"hub": "chat", "mode": "concurrent", "onError": "continue", "actions": actions}
        playbook.write_text(json.dumps(document), "utf-8")
        return subprocess.run(
            [script, str(playbook), "-q", "--no-journal", "--attempts", "1"],
            env={**os.environ, "WebPubSubConnectionString": served.connection_string},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=30,
        )

    return start


@pytest.fixture
def opened(browser: Browser, served: Served) -> Callable[..., None]:
    """Opens the dashboard by its link, and waits for its content."""

    def open_(**options: Any) -> None:
        browser.open(served.link, options)
        browser.until("document.getElementById('main')?.hidden === false")

    return open_
