"""docs/compatibility.md says what the code does."""

import re
import tomllib
from pathlib import Path

import pytest

from wps_run import approval
from wps_run.actions.request import API_VERSION
from wps_run.execution.summary import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN
from wps_run.journal.format import UNCHECKED_VERSION, VERSION


@pytest.fixture(scope="module")
def page(project: Path) -> str:
    """The page."""
    return (project / "docs" / "compatibility.md").read_text("utf-8")


def row(page: str, name: str) -> list[str]:
    """Return the cells of the row that begins with a name."""
    (line,) = re.findall(rf"^\| \[?{name}\b.*", page, re.MULTILINE)
    return [cell.strip() for cell in str(line).strip("|").split("|")]


def test_versions_of_files_are_those_that_the_code_reads(page: str) -> None:
    _, written, read, _ = row(page, "journal")
    assert written == f"version {VERSION}"
    assert f"versions {UNCHECKED_VERSION} and {VERSION};" in read

    _, written, read, _ = row(page, "plan")
    assert written == read == f"version {approval.VERSION}"


def test_supported_versions_of_python_are_those_of_the_metadata(page: str, project: Path) -> None:
    """Also in the matrix of the workflow, which has the next one in addition."""
    metadata = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(metadata["classifiers"]))
    workflow = (project / ".github" / "workflows" / "ci.yml").read_text("utf-8")

    *others, last = supported
    assert f"Python {', '.join(others)} and {last} are tested" in page
    assert metadata["requires-python"] == f">={supported[0]}"
    matrix = re.search(r"python: \[(.*)\]", workflow)
    assert matrix is not None
    assert set(re.findall(r'"([\d.]+)"', matrix[1])) == {*supported, "3.14"}


def test_version_of_the_rest_api_is_the_one_that_is_called(page: str) -> None:
    assert f"`api-version` {API_VERSION}" in page


def test_exit_codes_of_runs_are_in_their_table(project: Path) -> None:
    table = (project / "docs" / "reference" / "exit-codes.md").read_text("utf-8")

    for code in (EXIT_OK, EXIT_FAILED, EXIT_UNKNOWN):
        assert f"| {code} | " in table
