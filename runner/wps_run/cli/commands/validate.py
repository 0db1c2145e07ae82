"""`wps-run validate`: check playbooks, offline."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from wps_run import checking
from wps_run.cli.inputs import STDIN, read_input, read_variables, variable_options
from wps_run.cli.terminal import styler_for, write
from wps_run.playbook.lint import find_unused_assignments, used_variables
from wps_run.problems import PlaybookError, Problem, Severity, UsageError
from wps_run.report.findings.text import format_text
from wps_run.report.formats import FINDING_FORMATS, finding_help

FINDINGS = 1
SUFFIXES = (".yaml", ".yml", ".json")
SCHEMA = ".schema.json"
"""What `wps-run schema --write` and `init` leave beside playbooks."""


@click.command("validate")
@click.argument("paths", nargs=-1, metavar="PATH…")
@variable_options
@click.option(
    "--binding-only",
    is_flag=True,
    help="Refuse what the Functions output binding does not have.",
)
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FINDING_FORMATS)),
    default="text",
    show_default=True,
    help=f"Write the problems in this format. {finding_help()}.",
)
def command(
    paths: tuple[str, ...],
    assignments: tuple[tuple[str, str], ...],
    vars_files: tuple[str, ...],
    form: str,
    *,
    binding_only: bool,
    strict: bool,
) -> int:
    """Check playbooks and bare batches, without sending anything.

    PATH is a file, `-`, or a folder, which is searched for *.yaml, *.yml and *.json, except for
    *.schema.json.
    Exits 0 when all is well, 1 when something is wrong, 2 when it cannot be read. Warnings
    alone are 0, unless --strict is given.

    \b
    Examples:
      wps-run validate playbooks/
      wps-run validate --strict --format github playbooks/
    """
    files = list(_files(paths))
    given = read_variables(assignments, vars_files)
    check = _Check(given, [name for name, _ in assignments], binding_only=binding_only)
    problems: list[Problem] = []
    unreadable: list[UsageError] = []
    for file in files:
        try:
            problems += check.file(file)
        except UsageError as error:
            unreadable.append(error)
    problems = [*check.unused(), *problems]
    if strict:
        problems = [replace(problem, severity=Severity.ERROR) for problem in problems]
    checked = len(files) - len(unreadable)
    if checked or form != "text":
        write(sys.stdout, _shown(form, problems, checked))
    if unreadable:
        raise UsageError("\nwps-run: ".join(map(str, unreadable)))
    return FINDINGS if any(one.severity is Severity.ERROR for one in problems) else 0


class _Check:
    """Checks file after file, and remembers which variables they use."""

    def __init__(
        self, given: dict[str, str], assigned: Sequence[str], *, binding_only: bool
    ) -> None:
        self._given = given
        self._assigned = assigned
        self._binding_only = binding_only
        self._used: set[str] = set()
        self._unread = False

    def file(self, file: str) -> tuple[Problem, ...]:
        """Every problem of one file."""
        try:
            playbook = read_input(file)
            if self._assigned:
                self._used |= used_variables(playbook)
            return checking.validate(playbook, self._given, binding_only=self._binding_only)
        except PlaybookError as error:
            self._unread = True
            return error.problems

    def unused(self) -> tuple[Problem, ...]:
        """The variables of the command line that no file uses; unknown if one is not YAML."""
        return () if self._unread else tuple(find_unused_assignments(self._assigned, self._used))


def _shown(form: str, problems: Sequence[Problem], files: int) -> str:
    if form == "text":
        return format_text(problems, files, styler_for(sys.stdout))
    if form in {"github", "sarif"}:
        problems = [_from_here(problem) for problem in problems]
    return FINDING_FORMATS[form].render(problems, files)


def _from_here(problem: Problem) -> Problem:
    """The problem with its file named from the current folder, with forward slashes.

    So do GitHub and code scanning name the files of a repository.
    """
    position = problem.position
    if position is None:
        return problem
    file = Path(position.file)
    if file.is_absolute() and file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    return replace(problem, position=position._replace(file=file.as_posix()))


def _files(paths: Sequence[str]) -> Iterator[str]:
    """The files that the paths name, folders searched, in a stable order."""
    if not paths:
        raise UsageError("name a playbook, a folder, or `-` for standard input")
    for path in paths:
        folder = Path(path)
        if path == STDIN or not folder.is_dir():
            yield path
            continue
        found = sorted(
            file
            for file in folder.rglob("*")
            if file.name.endswith(SUFFIXES)
            and not file.name.endswith(SCHEMA)
            and file.is_file()
            and not _hidden(file, folder)
        )
        if not found:
            raise UsageError(f"the folder `{path}` has no {', '.join(SUFFIXES)} file")
        yield from map(str, found)


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
