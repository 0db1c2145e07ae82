"""`wps-run validate`: check playbooks, offline."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from runner import api
from runner.cli.options import STDIN, read, variable_options, variables
from runner.problems import PlaybookError, Problem, UsageError
from runner.report.findings import FORMATS

FINDINGS = 1
SUFFIXES = (".yaml", ".yml", ".json")


@click.command("validate")
@click.argument("paths", nargs=-1, metavar="PATH…")
@variable_options
@click.option(
    "--binding-only",
    is_flag=True,
    help="Refuse what the Functions output binding does not have.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="For people, or for machines.",
)
def command(
    paths: tuple[str, ...],
    assignments: tuple[tuple[str, str], ...],
    vars_files: tuple[str, ...],
    form: str,
    *,
    binding_only: bool,
) -> int:
    """Check playbooks and bare batches, without sending anything.

    PATH is a file, `-`, or a folder, which is searched for *.yaml, *.yml and *.json.
    Exits 0 when all is well, 1 when something is wrong, 2 when it cannot be read.

    \b
    Example:
      wps-run validate playbooks/
    """
    given = variables(assignments, vars_files)
    files = list(_files(paths))
    problems: list[Problem] = []
    for file in files:
        problems += _problems(file, given, binding_only=binding_only)
    click.echo(FORMATS[form](problems, len(files)), nl=False)
    return FINDINGS if problems else 0


def _problems(file: str, given: dict[str, str], *, binding_only: bool) -> tuple[Problem, ...]:
    try:
        return api.validate(read(file), given, binding_only=binding_only)
    except PlaybookError as error:
        return error.problems


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
            if file.suffix in SUFFIXES and file.is_file() and not _hidden(file, folder)
        )
        if not found:
            raise UsageError(f"the folder `{path}` has no {', '.join(SUFFIXES)} file")
        yield from map(str, found)


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
