"""Playbooks and variables that are named on the command line."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from wps_run import input_limits
from wps_run.checking import STDIN, STDIN_NAME, load_variables, read_text, with_includes
from wps_run.cli.configuration import FILE, Decorated, override_option
from wps_run.document.loader import decode
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.playbook.options import ALLOW_ENV
from wps_run.playbook.variables import VariableValue
from wps_run.problems import (
    PlaybookError,
    Position,
    Problem,
    UsageError,
    limited,
)

if TYPE_CHECKING:
    pass


def _assignments(
    _: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Split `NAME=VALUE` into name and value; the value may be empty and may contain `=`."""
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter("write it as name=value", param=parameter)
        if len(value) > input_limits.VARIABLE_VALUE.value:
            raise click.BadParameter(input_limits.VARIABLE_VALUE.error, param=parameter)
    return tuple((name, text) for name, _, text in (value.partition("=") for value in values))


def variable_options(command: Decorated) -> Decorated:
    """Add `--var`, `--vars-file` and `--allow-env`."""
    command = override_option(ALLOW_ENV, metavar="NAME")(command)
    command = click.option(
        "--vars-file",
        "vars_files",
        type=FILE,
        multiple=True,
        metavar="FILE",
        help="Read variables from a YAML or JSON file; later files override earlier ones.",
    )(command)
    return click.option(
        "--var",
        "assignments",
        callback=_assignments,
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a variable for ${NAME}. Overrides --vars-file and the playbook's `vars`. The "
        "value of a list is YAML or JSON: --var 'teams=[red, blue]'.",
    )(command)


def dry_run_option(command: Decorated) -> Decorated:
    """Accept `--dry-run` and `--check` in a command that always sends nothing."""
    return click.option("--dry-run", "--check", is_flag=True, hidden=True, expose_value=False)(
        command
    )


def read_variables(
    assignments: Iterable[tuple[str, str]], vars_files: Iterable[str]
) -> dict[str, VariableValue]:
    """Merge the variables of the command line; assignments override files."""
    variables: dict[str, VariableValue] = {}
    for file in vars_files:
        variables.update(load_variables(file))
    variables.update(assignments)
    return variables


def read_input(path: str) -> Playbook:
    """Read one playbook; `-` is standard input. Its problems are in `problems`, not raised.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: The file is not YAML, or too large.
    """
    if path == STDIN:
        return with_includes(read_playbook(_read_stdin(), STDIN_NAME))
    return with_includes(read_playbook(read_text(path), path))


def _read_stdin() -> str:
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    limit = input_limits.PLAYBOOK
    raw = sys.stdin.buffer.read(limit.value + 1)
    if len(raw) > limit.value:
        message = f"standard input {limit.error}"
        raise PlaybookError([Problem(message, "file", Position(STDIN_NAME, 1))])
    return decode(raw, STDIN_NAME)


def read_inputs(paths: Iterable[str]) -> list[Playbook]:
    """Read the playbooks of one run. Their problems are left for `plan` to raise.

    Raises:
        UsageError: A file cannot be read, or none is named.
        PlaybookError: Some files are not YAML; has every problem of every file.
    """
    paths = list(paths)
    if not paths:
        raise UsageError("name a playbook, or `-` for standard input")
    if paths.count(STDIN) > 1:
        raise UsageError("standard input can be read only once")
    check_count(len(paths))
    playbooks: list[Playbook] = []
    problems: list[Problem] = []
    files = size = 0
    for path in paths:
        try:
            playbook = read_input(path)
        except PlaybookError as error:
            problems += error.problems
            if len(problems) > input_limits.ALL_PROBLEMS.value:
                break
            continue
        playbooks.append(playbook)
        files += len(playbook.parts)
        check_count(files)
        size += sum(len(part.document.text) for part in playbook.parts)
        if size > input_limits.PLAYBOOKS.value:
            message = f"the playbooks up to here: {input_limits.PLAYBOOKS.error}"
            raise PlaybookError([Problem(message, "file", Position(path, 1))])
    if problems:
        others = (problem for playbook in playbooks for problem in playbook.problems)
        raise PlaybookError(limited([*problems, *others], input_limits.ALL_PROBLEMS.value))
    return playbooks


def check_count(playbooks: int) -> None:
    """Refuse too many playbooks.

    Raises:
        UsageError: There are more than the limit.
    """
    if playbooks > input_limits.PLAYBOOK_FILES.value:
        raise UsageError(f"the command {input_limits.PLAYBOOK_FILES.error}")
