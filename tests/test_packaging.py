"""What is published: metadata, the license, the address, and the versions of the development."""

import email
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from wps_run.version import REPOSITORY, VERSION

GIT = shutil.which("git")


@pytest.fixture(scope="module")
def metadata(project: Path) -> dict[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((project / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the project, built with what is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=50)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_has_the_license_and_no_groups_of_the_development(
    project: Path, wheel: zipfile.ZipFile
) -> None:
    info = f"wps_run-{VERSION}.dist-info"
    published = email.message_from_bytes(wheel.read(f"{info}/METADATA"))

    assert wheel.read(f"{info}/licenses/LICENSE") == (project / "LICENSE").read_bytes()
    assert (published["License-Expression"], published["Version"]) == ("MIT", VERSION)
    assert published.get_all("Provides-Extra") == ["entra"]


def test_wheel_installs_the_manual_page(project: Path, wheel: zipfile.ZipFile) -> None:
    page = wheel.read(f"wps_run-{VERSION}.data/data/share/man/man1/wps-run.1")

    assert page == (project / "docs/man/wps-run.1").read_bytes()


def test_links_are_relative_in_the_repository_and_absolute_in_the_metadata(
    project: Path, wheel: zipfile.ZipFile
) -> None:
    """Each relative link of the README names the file in the repository, of this version."""
    published = email.message_from_bytes(wheel.read(f"wps_run-{VERSION}.dist-info/METADATA"))
    readme = (project / "README.md").read_text("utf-8")
    relative = re.findall(r"(!?)\[[^]]*\]\(((?!https:|#)[^)]+)\)", readme)
    assert relative

    description = published.get_payload(decode=True).decode()  # type: ignore[union-attr]

    assert re.findall(r"\]\((?!https:|#)", description) == []
    for is_picture, target in relative:
        kind = "raw" if is_picture else "blob"
        assert f"]({REPOSITORY}/{kind}/v{VERSION}/{target})" in description
    for _, address in (line.split(", ") for line in published.get_all("Project-URL", [])):
        assert address.startswith(REPOSITORY)


def test_constraints_have_an_exact_version_of_every_package(
    project: Path, metadata: dict[str, Any]
) -> None:
    """Names, versions and markers only: no address of an index, no hash."""
    lines = (project / "constraints.txt").read_text("utf-8").splitlines()[1:]
    pins = {line.partition("==")[0] for line in lines}

    assert [
        line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [^:]+)?", line)
    ] == []
    groups = metadata["dependency-groups"].values()
    required = [line for group in groups for line in group]
    required += metadata["project"]["dependencies"]
    names = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in required}
    assert names - {name.lower() for name in pins} == set(), "run .ci/constraints"


def test_installed_metadata_has_the_version_of_the_code() -> None:
    assert importlib.metadata.version("wps-run") == VERSION


@pytest.mark.skipif(GIT is None or sys.platform == "win32", reason="needs git and a shebang")
def test_address_and_version_are_repeated_from_one_place(project: Path, tmp_path: Path) -> None:
    """They change in pyproject.toml and in version.py, and .ci/references writes them elsewhere."""
    assert GIT is not None
    files = {
        "pyproject.toml": (project / "pyproject.toml").read_text("utf-8"),
        "runner/wps_run/version.py": (project / "runner/wps_run/version.py").read_text("utf-8"),
        ".ci/references": (project / ".ci/references").read_text("utf-8"),
        "README.md": f"[site]({REPOSITORY}/x)\n- repo: {REPOSITORY}\n  rev: v{VERSION}\n",
        "use.yaml": f"- uses: wps-run/wps-run@v{VERSION}\n- uses: actions/checkout@v4\n"
        f"- {{name: wps-run/wps-run, ref: refs/tags/v{VERSION}}}\nimage: wps-run:{VERSION}\n",
    }
    repository, later = "https://example.com/team/runner", "9.8.7"
    repeated = files["pyproject.toml"].count(REPOSITORY)
    files["pyproject.toml"] = files["pyproject.toml"].replace(REPOSITORY, repository, 1)
    version = files["runner/wps_run/version.py"]
    files["runner/wps_run/version.py"] = version.replace(VERSION, later)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    subprocess.run([GIT, "init", "--quiet"], cwd=tmp_path, check=True)
    command = [sys.executable, str(tmp_path / ".ci/references")]

    before = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    written = subprocess.run(command, check=False)
    after = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)

    assert (before.returncode, before.stderr.count("run .ci/references")) == (1, 4)
    assert (written.returncode, after.returncode, after.stderr) == (0, 0, "")
    assert (tmp_path / "pyproject.toml").read_text("utf-8").count(repository) == repeated
    assert f'REPOSITORY = "{repository}"' in (tmp_path / "runner/wps_run/version.py").read_text()
    entry = f"[site]({repository}/x)\n- repo: {repository}\n  rev: v{later}\n"
    assert (tmp_path / "README.md").read_text() == entry
    uses = (
        f"- uses: team/runner@v{later}\n- uses: actions/checkout@v4\n"
        f"- {{name: team/runner, ref: refs/tags/v{later}}}\nimage: wps-run:{later}\n"
    )
    assert (tmp_path / "use.yaml").read_text() == uses
