"""Tests of the fixture `wps_local`, in pytest processes of their own."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a test file, or a script, in an empty folder."""

    def call(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "test_theirs.py"
        file.write_text(text, encoding="utf-8")
        return subprocess.run(
            [sys.executable, *arguments, file],
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


def blocks(project: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language in a document."""
    text = (project / "docs" / "how-to" / "test-your-code.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_tests_in_the_document_pass(run: Run, project: Path) -> None:
    """Unchanged, with warnings as errors."""
    *tests, _ = blocks(project, "python")

    for number, text in zip((7, 1), tests, strict=True):
        process = run(text, *PYTEST)

        assert process.returncode == 0, process.stdout + process.stderr
        assert f"{number} passed" in process.stdout


def test_a_failed_assertion_shows_what_is_there(run: Run, project: Path) -> None:
    """As the document shows it."""
    text = """
def test_members(wps_local):
    wps_local.client("grace", hub="chat", groups=["launch"])

    assert "ada" in wps_local.group("launch").users
"""
    (shown,) = blocks(project, "text")

    process = run(text, *PYTEST)

    assert shown in process.stdout


def test_the_script_in_the_document_runs(run: Run, project: Path) -> None:
    """The emulator needs no pytest."""
    *_, script = blocks(project, "python")

    process = run(script)

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ {'ada'} \[\]\n", process.stdout), process.stderr
    assert process.stderr == ""


def test_the_steps_of_the_workflow_in_the_document_run(
    project: Path, script: Path, tmp_path: Path
) -> None:
    """Those of `wps-run`, with a seed of those whom the playbook names."""
    (workflow,) = map(yaml.safe_load, blocks(project, "yaml"))
    steps = [step.get("run", "") for step in workflow["jobs"]["rehearse"]["steps"]]
    commands = [step.split() for step in steps if step.startswith("wps-run")]
    shutil.copytree(project / "playbooks", tmp_path / "playbooks")
    clients = [{"userId": user} for user in ("ada", "grace", "linus")]
    seed = {"clients": [*clients, {"connectionId": "wall-display"}]}
    (tmp_path / "people.yaml").write_text(yaml.safe_dump(seed))

    processes = [
        subprocess.run(
            [script, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        for _, *arguments in commands
    ]

    assert [process.returncode for process in processes] == [0, 0], processes


def test_tests_without_the_fixture_do_not_import_the_emulator(run: Run) -> None:
    """The plug-in is loaded, but neither the emulator nor aiohttp."""
    text = """
import sys

def test_nothing_is_loaded(request):
    assert request.config.pluginmanager.hasplugin("wps-run")
    assert not {name for name in sys.modules if name.startswith(("aiohttp", "wps_run.emulator"))}
"""
    process = run(text, *PYTEST)

    assert "1 passed" in process.stdout, process.stdout + process.stderr


def test_each_test_has_its_own_emulator(run: Run) -> None:
    """It is stopped after the test: no thread is left."""
    text = """
import threading

import pytest

seen = []

@pytest.mark.parametrize("number", range(3))
def test_fresh(wps_local, number):
    assert wps_local.state == {}
    assert wps_local.requests == []
    wps_local.client("ada", hub="chat")
    seen.append(wps_local.endpoint)

def test_gone():
    assert len(set(seen)) == 3
    assert [one.name for one in threading.enumerate() if one.name == "wps-local"] == []
"""
    process = run(text, *PYTEST)

    assert "4 passed" in process.stdout, process.stdout + process.stderr
