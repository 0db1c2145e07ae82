"""The wheel does not change other projects: it installs only the name `wps_run`."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

BIN = "Scripts" if sys.platform == "win32" else "bin"
THEIRS = """\
import sys

NAME = "theirs"

if __name__ == "__main__":
    print(NAME, sys.argv[1:])
"""
THEIR_TEST = """\
import runner

def test_it_is_their_runner():
    assert runner.NAME == "theirs"
"""
PLAYBOOK = "hub: chat\nactions:\n  - {actionName: sendToAll, data: hello}\n"


def pip(*args: str | Path) -> None:
    """Run pip of this environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *args]
    subprocess.run(command, check=True, capture_output=True, timeout=250)


def link_distributions(requirements: list[str], site: Path) -> None:
    """Link installed distributions and all that they require into another environment.

    It costs no download. Nothing else of this environment comes along: no other pytest plug-in,
    and not the editable installation of wps-run.

    Args:
        requirements: What to link, as in `dependencies` of a project.
        site: The folder `site-packages` of the other environment.
    """
    pending, linked = list(requirements), set()
    while pending:
        requirement = Requirement(pending.pop())
        if requirement.name in linked or (
            requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
        ):
            continue
        linked.add(requirement.name)
        distribution = importlib.metadata.distribution(requirement.name)
        pending += distribution.requires or []
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(str(distribution.locate_file(top)))


class Environment:
    """A virtual environment with pytest and the run-time dependencies of wps-run.

    Args:
        path: Its folder.
        tools: What else is linked into it.
    """

    def __init__(self, path: Path, *tools: str) -> None:
        command = [sys.executable, "-m", "venv", "--without-pip", str(path)]
        subprocess.run(command, check=True, timeout=50)
        self.bin = path / BIN
        self.python = self.bin / "python"
        self.site = next(path.rglob("site-packages"))
        runtime = [
            line for line in importlib.metadata.requires("wps-run") or [] if "extra ==" not in line
        ]
        link_distributions([*runtime, "pytest", *tools], self.site)
        pytest_script = self.bin / "pytest"
        pytest_script.write_text(
            f"#!{self.python}\nimport pytest\nraise SystemExit(pytest.main())\n"
        )
        pytest_script.chmod(0o755)

    def install(self, *args: str | Path) -> None:
        """Install wps-run without its dependencies."""
        pip("--python", self.python, "install", "--no-deps", *args)

    def run(self, folder: Path, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment in a folder, without settings of wps-run or pytest."""
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().startswith(("webpubsub", "wps_", "python", "pytest"))
        }
        return subprocess.run(
            [str(self.bin / args[0]), *args[1:]],
            cwd=folder,
            env={**clean, "XDG_STATE_HOME": str(folder.parent / "state"), **variables},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this project."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, project)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def with_wps_run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment in which the wheel is installed."""
    environment = Environment(tmp_path_factory.mktemp("with") / "venv")
    environment.install(wheel)
    return environment


@pytest.fixture(scope="module")
def without_wps_run(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The same environment without the wheel."""
    return Environment(tmp_path_factory.mktemp("without") / "venv")


@pytest.fixture
def foreign_project(tmp_path: Path) -> Path:
    """A project that has its own `runner/`."""
    folder = tmp_path / "project"
    (folder / "runner").mkdir(parents=True)
    (folder / "runner" / "__init__.py").write_text('NAME = "theirs"\n')
    (folder / "runner" / "__main__.py").write_text(THEIRS)
    (folder / "test_theirs.py").write_text(THEIR_TEST)
    (folder / "playbook.yaml").write_text(PLAYBOOK)
    return folder


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command",
    [
        ("python", "-m", "pytest", "-p", "no:cacheprovider"),
        ("pytest", "-p", "no:cacheprovider"),
        ("python", "-m", "runner", "an argument"),
    ],
    ids=["python-m-pytest", "pytest", "python-m-runner"],
)
def test_project_with_its_own_runner_is_not_affected(
    foreign_project: Path,
    with_wps_run: Environment,
    without_wps_run: Environment,
    command: tuple[str, ...],
) -> None:
    """Same exit code and output, except for the list of plug-ins and the time."""
    with_us = with_wps_run.run(foreign_project, *command)
    without_us = without_wps_run.run(foreign_project, *command)

    assert with_us.returncode == 0, with_us.stdout + with_us.stderr
    assert (comparable(with_us.stdout), with_us.stderr) == (
        comparable(without_us.stdout),
        without_us.stderr,
    )
    assert "theirs" in with_us.stdout


def comparable(output: str) -> str:
    """Return the output of pytest without the list of plug-ins and the time."""
    return re.sub(r"^plugins: .*\n|={3,}| in \d+\.\d+s", "", output, flags=re.MULTILINE)


@pytest.mark.timeout(300)
def test_wps_run_works_in_a_project_with_its_own_runner(
    foreign_project: Path, with_wps_run: Environment
) -> None:
    """Also if the project's folder is first on the path."""
    version = with_wps_run.run(foreign_project, "wps-run", "--version", PYTHONPATH=".")
    check = with_wps_run.run(
        foreign_project, "wps-run", "validate", "playbook.yaml", PYTHONPATH="."
    )
    rehearsal = with_wps_run.run(
        foreign_project, "wps-run", "--local", "playbook.yaml", PYTHONPATH="."
    )
    module = with_wps_run.run(foreign_project, "python", "-m", "wps_run", "--help")

    assert version.stdout.startswith("wps-run, version "), version.stderr
    assert (check.returncode, check.stderr) == (0, "")
    assert rehearsal.returncode == 0, rehearsal.stderr
    assert "1 ok" in rehearsal.stdout
    assert module.stdout.startswith("Usage: wps-run "), module.stderr


@pytest.mark.timeout(300)
def test_wheel_installs_only_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
        points = archive.read(entry_points).decode()

    tops = {name.partition("/")[0] for name in names if "/share/man/" not in name}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"wps_run"}
    assert "wps_run/py.typed" in names
    assert re.sub(r"\s", "", points) == (
        "[console_scripts]wps-run=wps_run.cli.main:entry[pytest11]wps-run=wps_run.pytest_plugin"
    )


@pytest.mark.timeout(300)
def test_fixture_works_in_a_foreign_project(
    foreign_project: Path, with_wps_run: Environment
) -> None:
    (foreign_project / "test_local.py").write_text(
        "from urllib.request import Request, urlopen\n\n"
        "def test_served(wps_local):\n"
        "    assert type(wps_local).__module__ == 'wps_run.emulator.testing'\n"
        "    with urlopen(Request(wps_local.endpoint + '/api/health', method='HEAD')) as reply:\n"
        "        assert reply.status == 200\n"
    )

    process = with_wps_run.run(foreign_project, "pytest", "-p", "no:cacheprovider")

    assert "2 passed" in process.stdout, process.stdout + process.stderr


@pytest.mark.timeout(300)
def test_loggers_are_named_after_the_package(tmp_path: Path, with_wps_run: Environment) -> None:
    code = (
        "import logging, pkgutil, asyncio, aiohttp, click, jsonschema, jwt, pytest, yaml\n"
        "theirs = set(logging.root.manager.loggerDict)\n"
        "import wps_run\n"
        "for module in pkgutil.walk_packages(wps_run.__path__, 'wps_run.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        __import__(module.name)\n"
        "print(*sorted(set(logging.root.manager.loggerDict) - theirs))\n"
    )

    process = with_wps_run.run(tmp_path, "python", "-c", code)

    names = process.stdout.split()
    assert "wps_run.connect" in names, process.stderr
    assert [name for name in names if name.split(".")[0] != "wps_run"] == []


@pytest.mark.timeout(300)
def test_editable_installation_works(project: Path, tmp_path: Path) -> None:
    """It runs the source files, and adds only `wps_run` to the path."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project / name, source / name)
    for folder in ("docs/man", "runner"):
        shutil.copytree(project / folder, source / folder)
    environment = Environment(
        tmp_path / "venv", "hatchling", "hatch-fancy-pypi-readme", "editables"
    )
    environment.install("--no-build-isolation", "--editable", source)

    module = environment.run(tmp_path, "python", "-m", "wps_run", "--version")
    script = environment.run(tmp_path, "wps-run", "--version")
    origin = environment.run(tmp_path, "python", "-c", "import wps_run; print(wps_run.__file__)")
    runner = environment.run(tmp_path, "python", "-c", "import runner")

    assert script.stdout.startswith("wps-run, version "), script.stderr
    assert module.stdout == script.stdout
    assert Path(origin.stdout.strip()) == source / "runner" / "wps_run" / "__init__.py"
    assert "No module named 'runner'" in runner.stderr
