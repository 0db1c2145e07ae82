"""The examples and links of the documentation are correct."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [
    str(page.relative_to(PROJECT))
    for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")))
    if "\n```yaml\n" in page.read_text("utf-8")
]


def blocks(project: Path, document: str, language: str) -> list[str]:
    """Return the fenced blocks of a language in a document."""
    text = (project / document).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_times(text: str) -> list[str]:
    """Return the lines without times and sorted: concurrent actions end in any order."""
    return sorted(re.sub(r" +[0-9.]+ (ms|s)\b", " TIME", line) for line in text.splitlines())


def test_the_first_two_commands_of_the_readme_are_one_line_each(project: Path) -> None:
    """The main job, then the tests; .ci/run runs both lines as they are."""
    main_job, tests = blocks(project, "README.md", "sh")

    assert [len(block.splitlines()) for block in (main_job, tests)] == [1, 1]
    assert "wps-run --local playbooks/group-setup.yaml" in main_job
    assert "pytest" in tests


def test_the_output_in_the_readme_is_what_the_command_prints(
    wps_run: Script, project: Path
) -> None:
    """All of it except the times."""
    (shown,) = blocks(project, "README.md", "text")

    printed = wps_run("--local", project / "playbooks" / "group-setup.yaml").stdout

    assert without_times(shown) == without_times(printed)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_playbook_in_the_documents_is_valid(
    wps_run: Script, project: Path, tmp_path: Path, document: str
) -> None:
    """Examples can be pasted next to a file of members, and to those with the name of a file."""
    (tmp_path / "members.csv").write_bytes((project / "playbooks" / "members.csv").read_bytes())
    examples = blocks(project, document, "yaml")
    for block in examples:
        if name := re.match(r"# (\w+/\w+\.yaml)\n", block):
            (tmp_path / name[1]).parent.mkdir(exist_ok=True)
            (tmp_path / name[1]).write_text(block, "utf-8")
    for block in examples:
        if "actions:" in block:
            process = wps_run("validate", "-", stdin=block)
            assert process.returncode == 0, process.stdout


def pages(project: Path) -> list[Path]:
    """All pages of the documentation."""
    return [*project.glob("*.md"), *(project / "docs").rglob("*.md")]


def test_every_link_between_documents_is_valid(project: Path) -> None:
    """Relative links point to existing files."""
    broken = [
        (page.name, link)
        for page in pages(project)
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]

    assert broken == []


def test_every_file_that_pages_for_contributors_name_exists(project: Path) -> None:
    """Relative to the project or to the package: `actions/table.py`, `tests/journals`."""
    roots = (project, project / "runner" / "wps_run")
    contributing = [
        project / "CONTRIBUTING.md",
        project / "docs" / "architecture.md",
        *(project / "docs" / "decisions").glob("*.md"),
    ]
    missing = [
        (page.name, name)
        for page in contributing
        for name in re.findall(r"`([\w./]+(?:\.py|/[\w.]*))`", page.read_text("utf-8"))
        if not any((root / name).exists() for root in roots)
    ]

    assert missing == []
