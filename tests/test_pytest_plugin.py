"""The fixture `wps_local`, in pytest runs of their own, as users have it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a test file, or a script, in an empty folder."""

    def call(text: str, *words: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "test_theirs.py"
        file.write_text(text, encoding="utf-8")
        return subprocess.run(
            [sys.executable, *words, file],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return call


PYTEST = (
    *("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"),
    *("-p", "no:schemathesis", "-p", "no:hypothesispytest"),  # they take a second to import
    *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
)


def blocks(project: Path) -> list[str]:
    """The Python in the document about testing."""
    text = (project / "docs" / "testing.md").read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_tests_in_the_document_pass(run: Run, project: Path) -> None:
    """Word for word, with warnings as errors."""
    tests, _ = blocks(project)

    done = run(tests, *PYTEST)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_the_script_in_the_document_runs(run: Run, project: Path) -> None:
    """The service needs no pytest."""
    _, script = blocks(project)

    done = run(script)

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ \[\]\n", done.stdout), done.stderr
    assert done.stderr == ""


def test_tests_that_do_not_ask_for_it_load_nothing(run: Run) -> None:
    """The plugin is there, and that is all: neither the service nor its HTTP is imported."""
    text = """
import sys

def test_nothing_is_loaded(request):
    assert request.config.pluginmanager.hasplugin("wps-run")
    assert not {name for name in sys.modules if name.startswith(("aiohttp", "wps_run.emulator"))}
"""
    done = run(text, *PYTEST)

    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_each_test_has_a_service_of_its_own(run: Run) -> None:
    """And nothing of it is left: no thread, no open port."""
    text = """
import threading

import pytest

seen = []

@pytest.mark.parametrize("number", range(3))
def test_fresh(wps_local, number):
    assert wps_local.state == {}
    assert wps_local.ledger == []
    wps_local.client("ada", hub="chat")
    seen.append(wps_local.endpoint)

def test_gone():
    assert len(set(seen)) == 3
    assert [one.name for one in threading.enumerate() if one.name == "wps-local"] == []
"""
    done = run(text, *PYTEST)

    assert "4 passed" in done.stdout, done.stdout + done.stderr
