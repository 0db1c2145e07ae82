"""Take the pictures of the HTML report and of the dashboard, from one real run.

`python docs/browser_pictures.py` starts `wps-run serve`, opens its dashboard, runs a playbook
against it and takes both pictures. It needs Chromium and playwright-core, as tests/browser does:
`WPS_RUN_CHROMIUM` and `WPS_RUN_NODE_MODULES` name them. Each picture contains a digest of the
source files of its page. `--check` needs no browser, and exits with 1 if these have changed.
"""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
RUNNER = DOCS.parent / "runner" / "wps_run"
SCRIPT = Path(sys.executable).parent / "wps-run"
SOURCES = {
    "report.png": (
        *(RUNNER / "report/html").glob("*.py"),
        *(RUNNER / "report/html/assets").iterdir(),
    ),
    "page.png": (*(RUNNER / "emulator/dashboard/assets").iterdir(),),
}
"""The source files of the page in each picture."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"Source\0"

SEED = """\
hub: chat
clients:
  - {userId: ada, groups: [launch-red], permissions: {sendToGroup: [launch-red]}}
  - {userId: grace, groups: [launch-blue]}
  - {userId: "user-${n}", count: 40, groups: [everyone]}
"""
PLAYBOOK = """\
name: Set up the launch groups
hub: chat
mode: concurrent
concurrency: 8
onError: continue
retry: {attempts: 4, backoff: 100ms}
actions:
  - name: Add the members
    actionName: addUserToGroup
    forEach: {matrix: {number: [%s], team: [red, blue]}}
    userId: user-${each.number}
    group: launch-${each.team}
  - name: Add a user without a connection
    actionName: addUserToGroup
    userId: linus
    group: launch-red
  - name: Welcome each team
    actionName: sendToGroup
    forEach: [red, blue]
    group: launch-${each}
    data: Welcome! The launch begins at eight.
  - name: Close the connections of the lobby
    actionName: closeGroupConnections
    group: lobby
    reason: The launch has begun
"""
FAULTS = ("429,retry-after-ms=150,nth=12+13", "delay=20ms,share=30%", "503,nth=31")
HEIGHTS = {"report.png": 1000, "page.png": 1330}


def window(picture: str) -> dict[str, Any]:
    """Return the options of the window in which a picture is taken."""
    return {"viewport": {"width": 1200, "height": HEIGHTS[picture]}}


def digest(picture: str) -> bytes:
    """Return the digest of the source files of a picture, in 64 digits."""
    whole = hashlib.sha256()
    for path in sorted(SOURCES[picture]):
        whole.update(path.read_bytes())
    return whole.hexdigest().encode()


def stored_digest(picture: Path) -> bytes:
    """Return the digest in a picture."""
    match = re.search(rb"tEXt" + KEYWORD + rb"([0-9a-f]{64})", picture.read_bytes())
    return match[1] if match else b""


def store_digest(picture: Path) -> None:
    """Write the digest into a PNG, after its header."""
    data = picture.read_bytes()
    at = len(SIGNATURE) + 25  # the length of the header
    body = b"tEXt" + KEYWORD + digest(picture.name)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    picture.write_bytes(data[:at] + chunk + data[at:])


class Browser:
    """Chromium, controlled by the driver of tests/browser."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def call(self, *command: object) -> Any:  # noqa: ANN401 -- a value of the page
        """Call a method of the driver."""
        print(json.dumps(command), file=self._process.stdin, flush=True)
        reply = json.loads(self._process.stdout.readline() if self._process.stdout else "{}")
        if "error" in reply:
            raise SystemExit(reply["error"])
        return reply["value"]


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Run a browser within the context."""
    modules = Path(os.environ["WPS_RUN_NODE_MODULES"])
    args = (
        shutil.which("node") or "node",
        DOCS.parent / "tests/browser/driver.js",
        modules / "playwright-core",
        modules / "axe-core/axe.min.js",
        shutil.which(os.environ["WPS_RUN_CHROMIUM"]) or "chromium",
    )
    with subprocess.Popen(
        list(map(str, args)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield Browser(process)
        process.kill()


@contextmanager
def start_emulator(folder: Path) -> Iterator[tuple[str, str]]:
    """Run an emulator with clients and faults; yield its connection string and dashboard link."""
    (folder / "seed.yaml").write_text(SEED, "utf-8")
    faults = [arg for fault in FAULTS for arg in ("--fault", fault)]
    with subprocess.Popen(
        [SCRIPT, "serve", "--port", "0", "--seed", "seed.yaml", "--fault-seed", "7", *faults],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        connection_string = process.stdout.readline().strip() if process.stdout else ""
        link = None
        while link is None and process.stderr:
            link = re.search(r"http\S+key=\S+", process.stderr.readline())
        yield connection_string, link[0] if link else ""
        process.terminate()


def take_pictures(folder: Path, pictures: Path) -> None:
    """Run the playbook, and take both pictures."""
    numbers = ", ".join(map(str, range(1, 41)))
    (folder / "rooms.yaml").write_text(PLAYBOOK % numbers, "utf-8")
    with start_emulator(folder) as (connection_string, link), start_browser() as browser:
        browser.call("open", link, window("page.png"))
        browser.call("until", "document.getElementById('main')?.hidden === false")
        subprocess.run(
            [SCRIPT, "rooms.yaml", "-q", "--no-journal", "--report", "report.html"],
            cwd=folder,
            env={**os.environ, "WebPubSubConnectionString": connection_string},
            check=False,
            capture_output=True,
        )
        browser.call("until", "document.getElementById('traffic').innerText.includes('begun')")
        browser.call("click", "#listing input[value=groups]")
        browser.call("until", "document.getElementById('matches').innerText.includes('groups')")
        browser.call("evaluate", "scrollTo(0, 0)")
        browser.call("picture", str(pictures / "page.png"))
        browser.call("open", (folder / "report.html").as_uri(), window("report.png"))
        browser.call("picture", str(pictures / "report.png"))


def main(args: list[str]) -> int:
    """Take the pictures, or check them; return the exit code."""
    pictures = DOCS / "pictures"
    if "--check" not in args:
        with tempfile.TemporaryDirectory() as folder:
            take_pictures(Path(folder), pictures)
        for name in SOURCES:
            store_digest(pictures / name)
        return 0
    outdated = [
        name
        for name in SOURCES
        if not (pictures / name).exists() or stored_digest(pictures / name) != digest(name)
    ]
    for name in outdated:
        print(f"docs/pictures/{name} is outdated; run python docs/browser_pictures.py")
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
