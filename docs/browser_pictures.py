"""Takes the pictures of the HTML report and of the live page, from one real run.

`python docs/browser_pictures.py` starts `wps-run serve`, opens its page, runs a playbook against
it and takes both pictures. It needs a Chromium and playwright-core, as the tests of tests/browser
do: `WPS_RUN_CHROMIUM` and `WPS_RUN_NODE_MODULES` name them. With `--check` it needs nothing, and
exits 1 when what the pictures are made with has changed since: each holds the digest of that.
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
"""What each picture shows is made with these files."""

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
name: Open the launch rooms
hub: chat
mode: concurrent
concurrency: 8
onError: continue
retry: {attempts: 4, backoff: 100ms}
actions:
  - name: Seat the members
    actionName: addUserToGroup
    forEach: {matrix: {number: [%s], room: [red, blue]}}
    userId: user-${each.number}
    group: launch-${each.room}
  - name: Seat a latecomer
    actionName: addUserToGroup
    userId: linus
    group: launch-red
  - name: Welcome everybody
    actionName: sendToGroup
    forEach: [red, blue]
    group: launch-${each}
    data: Welcome! The launch begins at eight.
  - name: Close the lobby
    actionName: closeGroupConnections
    group: lobby
    reason: The launch has begun
"""
FAULTS = ("429,retry-after-ms=150,nth=12+13", "delay=20ms,share=30%", "503,nth=31")
HEIGHTS = {"report.png": 1000, "page.png": 1330}


def view(picture: str) -> dict[str, Any]:
    """The window in which a picture is taken."""
    return {"viewport": {"width": 1200, "height": HEIGHTS[picture]}}


def digest(picture: str) -> bytes:
    """What a picture was made with, in 64 digits."""
    whole = hashlib.sha256()
    for path in sorted(SOURCES[picture]):
        whole.update(path.read_bytes())
    return whole.hexdigest().encode()


def kept(picture: Path) -> bytes:
    """The digest that a picture holds."""
    found = re.search(rb"tEXt" + KEYWORD + rb"([0-9a-f]{64})", picture.read_bytes())
    return found[1] if found else b""


def sign(picture: Path) -> None:
    """Write the digest into a PNG, behind its head."""
    data = picture.read_bytes()
    at = len(SIGNATURE) + 25  # the head's length
    body = b"tEXt" + KEYWORD + digest(picture.name)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    picture.write_bytes(data[:at] + chunk + data[at:])


class Browser:
    """Chromium, driven by the program that the tests drive it with."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, *call: object) -> Any:  # noqa: ANN401 -- what the page gives
        """Call a method of the driver."""
        print(json.dumps(call), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline() if self._process.stdout else "{}")
        if "error" in answer:
            raise SystemExit(answer["error"])
        return answer["value"]


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser for as long as it is needed."""
    modules = Path(os.environ["WPS_RUN_NODE_MODULES"])
    words = (
        shutil.which("node") or "node",
        DOCS.parent / "tests/browser/driver.js",
        modules / "playwright-core",
        modules / "axe-core/axe.min.js",
        shutil.which(os.environ["WPS_RUN_CHROMIUM"]) or "chromium",
    )
    with subprocess.Popen(
        list(map(str, words)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield Browser(process)
        process.kill()


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """A service with clients and faults: its connection string, and the link to its page."""
    (folder / "seed.yaml").write_text(SEED, "utf-8")
    faults = [word for fault in FAULTS for word in ("--fault", fault)]
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


def take(folder: Path, pictures: Path) -> None:
    """Run the playbook, and take both pictures."""
    numbers = ", ".join(map(str, range(1, 41)))
    (folder / "rooms.yaml").write_text(PLAYBOOK % numbers, "utf-8")
    with served(folder) as (connection_string, link), browser() as one:
        one.ask("open", link, view("page.png"))
        one.ask("until", "document.getElementById('main')?.hidden === false")
        subprocess.run(
            [SCRIPT, "rooms.yaml", "-q", "--no-journal", "--report", "report.html"],
            cwd=folder,
            env={**os.environ, "WebPubSubConnectionString": connection_string},
            check=False,
            capture_output=True,
        )
        one.ask("until", "document.getElementById('traffic').innerText.includes('begun')")
        one.ask("click", "#listing input[value=groups]")
        one.ask("until", "document.getElementById('matches').innerText.includes('groups')")
        one.ask("picture", str(pictures / "page.png"))
        one.ask("open", (folder / "report.html").as_uri(), view("report.png"))
        one.ask("picture", str(pictures / "report.png"))


def main(words: list[str]) -> int:
    """Take the pictures, or check them."""
    pictures = DOCS / "pictures"
    if "--check" not in words:
        with tempfile.TemporaryDirectory() as folder:
            take(Path(folder), pictures)
        for name in SOURCES:
            sign(pictures / name)
        return 0
    old = [
        name
        for name in SOURCES
        if not (pictures / name).exists() or kept(pictures / name) != digest(name)
    ]
    for name in old:
        print(f"docs/pictures/{name} shows what has changed: python docs/browser_pictures.py")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
