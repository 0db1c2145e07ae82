"""Playbooks and variables that are named on the command line."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from wps_run.checking import load_variables, read_text
from wps_run.document.loader import decode
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.problems import PlaybookError, Problem, UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

ALLOW_VARIABLE = "WPS_RUN_ALLOW_ENV"
"""The environment variable with the names that `--allow-env` allows."""

STDIN = "-"
STDIN_NAME = "<stdin>"


def _assignments(
    _: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Split `NAME=VALUE` into name and value; the value may be empty and may contain `=`."""
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter("write it as name=value", param=parameter)
    return tuple((name, text) for name, _, text in (value.partition("=") for value in values))


def variable_options(command: Decorated) -> Decorated:
    """Add `--var`, `--vars-file` and `--allow-env`."""
    command = click.option(
        "--allow-env",
        "allowed_environment",
        multiple=True,
        metavar="NAME",
        envvar=ALLOW_VARIABLE,
        show_envvar=True,
        help="Allow ${env.NAME} although its name or value is that of a key, token or password. "
        "Playbooks cannot allow it themselves. Repeatable; names in the variable are separated by "
        "spaces.",
    )(command)
    command = click.option(
        "--vars-file",
        "vars_files",
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
        help="Set a variable for ${NAME}. Overrides --vars-file and the playbook's `vars`.",
    )(command)


def read_variables(
    assignments: Iterable[tuple[str, str]], vars_files: Iterable[str]
) -> dict[str, str]:
    """Merge the variables of the command line; assignments override files."""
    variables: dict[str, str] = {}
    for file in vars_files:
        variables.update(load_variables(file))
    variables.update(assignments)
    return variables


def read_input(path: str) -> Playbook:
    """Read one playbook; `-` is standard input. Its problems are in `problems`, not raised.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: The file is not YAML.
    """
    if path == STDIN:
        if sys.stdin is None:
            raise UsageError("standard input is closed")
        return read_playbook(decode(sys.stdin.buffer.read(), STDIN_NAME), STDIN_NAME)
    return read_playbook(read_text(path), path)


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
    playbooks: list[Playbook] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            playbooks.append(read_input(path))
        except PlaybookError as error:
            problems += error.problems
    if problems:
        others = (problem for playbook in playbooks for problem in playbook.problems)
        raise PlaybookError([*problems, *others])
    return playbooks
