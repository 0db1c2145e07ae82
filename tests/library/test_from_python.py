"""The examples of docs/how-to/from-python.md that need a web framework, a notebook or pytest.

`tests/behaviour/test_documents.py` runs the other ones.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from wps_run import LocalPubSub

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "from-python.md"


def block_of(section: str, language: str = "python") -> str:
    """The first block of a language in a section of the page."""
    text = PAGE.read_text("utf-8").partition(f"## {section}\n")[2]
    match = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert match, section
    return match[1]


@pytest.fixture
def service() -> Iterator[LocalPubSub]:
    with LocalPubSub() as emulator:
        yield emulator


@asynccontextmanager
async def application(folder: Path, service: LocalPubSub) -> AsyncIterator[str]:
    """Start the application of the page with its command; yield its URL, and shut it down."""
    (folder / "app.py").write_text(block_of("In FastAPI"), "utf-8")
    command = block_of("In FastAPI", "sh").split()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", *command, "--port", "0"),
        cwd=folder,
        env={**os.environ, "WebPubSubConnectionString": service.connection_string},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    log = b""
    assert process.stderr
    try:
        while not (match := re.search(rb"running on (http://[\d.:]+)", log)):
            line = await process.stderr.readline()
            log += line
            assert line, log
        yield match[1].decode()
    finally:
        process.send_signal(signal.SIGTERM)
        log += await process.stderr.read()
        await process.wait()
    assert b"Application shutdown complete" in log, log
    assert b"Traceback" not in log, log


async def test_the_application_answers_with_what_became_of_the_actions(
    service: LocalPubSub, tmp_path: Path
) -> None:
    ada = service.client("ada", hub="chat")
    async with application(tmp_path, service) as url, aiohttp.ClientSession(url) as session:
        responses = [await session.put(f"/members/{user}") for user in ("ada", "nobody", "a%07")]
        bodies = [await response.json() for response in responses]

    assert [response.status for response in responses] == [200, 502, 422]
    assert bodies[0] == {"user": "ada", "actions": 2}
    assert [result["status"] for result in bodies[1]["detail"]] == ["failed", "skipped"]
    assert "userId" in bodies[2]["detail"]
    assert service.group("launch", hub="chat").users == {"ada"}
    assert ada.messages == [{"joined": "ada"}]


async def test_a_cell_of_a_notebook_shows_the_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the running event loop, as a kernel runs its cells."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    untyped: Any = InteractiveShell
    shell = untyped(config=Config({"HistoryManager": {"enabled": False}}))
    shell.display_formatter.active_types = shell.display_formatter.format_types  # as in a browser
    source = shell.transform_cell(block_of("In a notebook"))

    cell = await shell.run_cell_async(source, transformed_cell=source)

    assert cell.success, cell.error_in_exec
    shown, _ = shell.display_formatter.format(cell.result)
    assert "<td>1</td>" in shown["text/html"]
    assert shown["text/plain"].startswith("<1 actions: 1 ok")


def test_the_test_in_the_document_passes(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(block_of("In tests"), "utf-8")

    process = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"),
            *("-p", "wps_run.pytest_plugin"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # the others take seconds
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert "1 passed" in process.stdout, process.stdout + process.stderr
