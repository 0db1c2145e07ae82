"""`wps-run validate`: check playbooks without sending anything."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import click

from wps_run import checking
from wps_run.cli.inputs import STDIN, read_input, read_variables, variable_options
from wps_run.cli.terminal import styler_for, write
from wps_run.playbook.lint import find_unused_assignments, used_variables
from wps_run.playbook.model import Playbook
from wps_run.problems import PlaybookError, Problem, Severity, UsageError
from wps_run.report.findings import format_text
from wps_run.report.formats import FINDING_FORMATS, help_of

FINDINGS = 1
SUFFIXES = (".yaml", ".yml", ".json")
SCHEMA = ".schema.json"
"""The suffix of the files that `wps-run schema --write` and `init` create beside playbooks."""


@click.command("validate")
@click.argument("paths", nargs=-1, metavar="PATH…")
@variable_options
@click.option(
    "--binding-only",
    is_flag=True,
    help="Reject what the Functions output binding does not support.",
)
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FINDING_FORMATS)),
    default="text",
    show_default=True,
    help=f"Write the problems in this format. {help_of(FINDING_FORMATS)}.",
)
def command(
    paths: tuple[str, ...],
    assignments: tuple[tuple[str, str], ...],
    vars_files: tuple[str, ...],
    allowed_environment: tuple[str, ...],
    form: str,
    *,
    binding_only: bool,
    strict: bool,
) -> int:
    """Check playbooks without sending anything.

    PATH is a file, `-` for standard input, or a folder, which is searched for *.yaml, *.yml and
    *.json, but not *.schema.json. Bare batches of actions are checked, too.

    Exits with 0 when there are no errors, 1 when there are, 2 when a file cannot be read. Warnings
    alone exit with 0, unless --strict is given.

    \b
    Examples:
      wps-run validate playbooks/
      wps-run validate --strict --format github playbooks/
    """
    files = list(_find_files(paths))
    variables = read_variables(assignments, vars_files)
    assigned = [name for name, _ in assignments]
    check = partial(
        checking.validate,
        variables=variables,
        binding_only=binding_only,
        allowed_environment=allowed_environment,
    )
    problems, unreadable = _validate(files, check, assigned)
    if strict:
        problems = [problem._replace(severity=Severity.ERROR) for problem in problems]
    count = len(files) - len(unreadable)
    if count or form != "text":
        write(sys.stdout, _format(form, problems, count))
    if unreadable:
        raise UsageError("\nwps-run: ".join(map(str, unreadable)))
    return FINDINGS if any(problem.severity is Severity.ERROR for problem in problems) else 0


def _validate(
    files: Iterable[str],
    check: Callable[[Playbook], Iterable[Problem]],
    assigned: Sequence[str],
) -> tuple[list[Problem], list[UsageError]]:
    """Return the problems of the files, and an error for each file that cannot be read.

    Variables of the command line that no file uses come first. Which ones these are is unknown
    when a file is no YAML.
    """
    problems: list[Problem] = []
    unreadable: list[UsageError] = []
    used: set[str] = set()
    has_syntax_error = False
    for file in files:
        try:
            playbook = read_input(file)
            if assigned:
                used |= used_variables(playbook)
            problems += check(playbook)
        except PlaybookError as error:
            has_syntax_error = True
            problems += error.problems
        except UsageError as error:
            unreadable.append(error)
    unused = () if has_syntax_error else find_unused_assignments(assigned, used)
    return [*unused, *problems], unreadable


def _format(form: str, problems: Sequence[Problem], files: int) -> str:
    if form == "text":
        return format_text(problems, files, styler_for(sys.stdout))
    if form in {"github", "sarif"}:
        problems = [_relative(problem) for problem in problems]
    return FINDING_FORMATS[form].render(problems, files)


def _relative(problem: Problem) -> Problem:
    """Return the problem with a path relative to the current folder, with forward slashes.

    GitHub and code scanning name the files of a repository in this form.
    """
    position = problem.position
    if position is None:
        return problem
    file = Path(position.file)
    if file.is_absolute() and file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    return problem._replace(position=position._replace(file=file.as_posix()))


def _find_files(paths: Sequence[str]) -> Iterator[str]:
    """Return the files of the paths, and those in folders, in a stable order."""
    if not paths:
        raise UsageError("name a playbook, a folder, or `-` for standard input")
    for path in paths:
        try:
            is_folder = path != STDIN and Path(path).is_dir()
            files = sorted(_search(Path(path))) if is_folder else [path]
        except OSError as error:
            raise UsageError(f"cannot read `{path}`: {error.strerror}") from None
        if not files:
            raise UsageError(f"the folder `{path}` has no {', '.join(SUFFIXES)} file")
        yield from map(str, files)


def _search(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        is_playbook = file.name.endswith(SUFFIXES) and not file.name.endswith(SCHEMA)
        if is_playbook and file.is_file() and not _is_hidden(file, folder):
            yield file


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
