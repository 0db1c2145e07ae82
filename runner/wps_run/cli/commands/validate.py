"""`wps-run validate`: check playbooks without sending anything."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from wps_run import checking, input_limits
from wps_run.checking import STDIN
from wps_run.cli.configuration import (
    FILE,
    configuration_options,
    load_configuration,
    with_configuration,
)
from wps_run.cli.errors import NOTHING_SENT
from wps_run.cli.inputs import (
    check_count,
    dry_run_option,
    read_input,
    read_variables,
    variable_options,
)
from wps_run.cli.terminal import show_message, styler_for, write
from wps_run.paths import name_below
from wps_run.playbook.configuration import FILE_NAME, Configuration, read_configuration
from wps_run.playbook.files import require_below
from wps_run.playbook.lint import find_unused_assignments, used_variables
from wps_run.playbook.messages import join_names
from wps_run.playbook.model import Playbook
from wps_run.playbook.rows import InputError
from wps_run.playbook.variables import VariableValue
from wps_run.problems import PlaybookError, Problem, Severity, UsageError, limited, sort_problems
from wps_run.report.findings import format_text
from wps_run.report.formats import FINDING_FORMATS, help_of
from wps_run.text import Label, replace_invisible

FINDINGS = 1
SUFFIXES = (".yaml", ".yml", ".json", *checking.LINES)
SCHEMA = ".schema.json"
"""The suffix of the files that `wps-run schema --write` and `init` create beside playbooks."""

SKIPPED_FOLDERS = frozenset({"node_modules", "venv"})
"""Folders of other people's files. Hidden folders are skipped, too, as `.git` and `.venv`."""

VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
"""A file in each virtual environment of Python, whatever the name of the folder."""

NAMED_FILES = 3
"""So many files that cannot be read are named in a note."""


class FoundFile(NamedTuple):
    """A file to check.

    Attributes:
        path: Its path, as messages name it.
        root: The folder in which it was found, or None when the command line names it.
    """

    path: str
    root: Path | None = None


@click.command("validate")
@click.argument("paths", nargs=-1, type=FILE, metavar="PATH…")
@dry_run_option
@configuration_options
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
    paths: tuple[str, ...], form: str, *, binding_only: bool, strict: bool, **values: Any
) -> int:
    """Check playbooks without sending anything.

    PATH is a file, `-` for standard input, or a folder, which is searched for *.yaml, *.yml,
    *.json, *.ndjson and *.jsonl, but not *.schema.json. Bare batches of actions are checked, too.
    Nothing outside the folder is read: a symbolic link, or a file of rows, that leads out of it is
    an error.

    Playbooks are checked with the variables of each environment of wps-run.yaml, unless --env
    chooses one. This file is checked, too.

    In a folder, files without any key of a playbook are skipped and counted. Hidden folders,
    node_modules and virtual environments of Python are not searched.

    Exits with 0 when there are no errors, 1 when there are, 2 when a file cannot be read. Warnings
    alone exit with 0, unless --strict is given.

    \b
    Examples:
      wps-run validate playbooks/
      wps-run validate --strict --format github playbooks/
    """
    check_count(len(paths))
    files = list(_find_files(paths))
    configurations, wrong = _configurations(values)
    given = read_variables(values["assignments"], values["vars_files"])
    assigned = [name for name, _ in values["assignments"]]
    check = partial(
        checking.validate,
        binding_only=binding_only,
        allowed_environment=with_configuration(values, configurations[0])["allow_env"],
        environment=os.environ,
    )
    variables = {str(each.environment): {**each.variables, **given} for each in configurations}
    found = _validate(files, partial(_check_environments, check, variables), assigned, wrong)
    problems: Sequence[Problem] = found.problems
    if strict:
        problems = [problem._replace(severity=Severity.ERROR) for problem in problems]
    skipped = len(found.others) + len(found.not_text)
    count = len(files) - len(found.unreadable) - skipped
    if count or form != "text":
        write(sys.stdout, _format(form, problems, count))
    if skipped:
        _show_skipped(found)
    for error in found.unreadable:
        show_message(Label.ERROR, str(error))
    if found.unreadable:
        return NOTHING_SENT
    if not count:
        raise UsageError("no playbook was found; name a file to check it in any case")
    return FINDINGS if any(problem.severity is Severity.ERROR for problem in problems) else 0


def _configurations(values: Mapping[str, Any]) -> tuple[list[Configuration], Sequence[Problem]]:
    """Return the configuration for each environment that is checked, and what is wrong with it.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        chosen = load_configuration(values["config"], values["env"])
        names = chosen.environments if values["env"] is None else ()
        return [*map(chosen.of, names)] or [chosen], ()
    except PlaybookError as error:
        return [Configuration()], error.problems


def _check_environments(
    check: Callable[..., Iterable[Problem]],
    variables: Mapping[str, Mapping[str, VariableValue]],
    playbook: Playbook,
    root: Path | None,
) -> Iterator[Problem]:
    """Yield the problems of a playbook in its environments, each once, by position.

    Args:
        check: Checks a playbook with the variables of one environment.
        variables: Those of each environment that is checked, by its name.
        playbook: The playbook.
        root: The folder in which it was found, or None.
    """
    used = used_variables(playbook) | {
        name for part in playbook.parts for name in part.declarations
    }
    found: dict[Problem, list[str]] = {}
    checked: list[tuple[dict[str, VariableValue], Sequence[Problem]]] = []
    for environment, values in variables.items():
        relevant = {name: value for name, value in values.items() if name in used}
        problems = next((found for same, found in checked if same == relevant), None)
        if problems is None:
            problems = tuple(check(playbook, variables=values, root=root))
            checked.append((relevant, problems))
        for problem in problems:
            found.setdefault(problem, []).append(environment)
    for problem in sort_problems(found):
        environments = found[problem]
        if len(environments) < len(variables):
            names = join_names(environments, "and")
            message = f"{problem.message} (with the variables of {names})"
            problem = problem._replace(message=message)  # noqa: PLW2901 -- the same problem
        yield problem


class Findings(NamedTuple):
    """What checking the files gave.

    Attributes:
        problems: The problems of the files that were checked.
        unreadable: An error for each file that cannot be read.
        others: The files in folders that are no playbooks.
        not_text: The files in folders that are neither YAML nor JSON.
    """

    problems: list[Problem]
    unreadable: list[UsageError]
    others: list[str]
    not_text: list[str]


def _show_skipped(found: Findings) -> None:
    """Show one note for each reason why files are skipped."""
    if found.others:
        is_one = len(found.others) == 1
        files = "1 file is no playbook" if is_one else f"{len(found.others)} files are no playbooks"
        show_message(Label.NOTE, f"{files}, skipped")
    if found.not_text:
        is_one = len(found.not_text) == 1
        files = "1 file is" if is_one else f"{len(found.not_text)} files are"
        names = ", ".join(map(replace_invisible, found.not_text[:NAMED_FILES]))
        more = ", …" if len(found.not_text) > NAMED_FILES else ""
        show_message(
            Label.NOTE, f"{files} neither YAML nor JSON, and no playbook, skipped: {names}{more}"
        )


def _validate(
    files: Iterable[FoundFile],
    check: Callable[..., Iterable[Problem]],
    assigned: Sequence[str],
    wrong: Sequence[Problem],
) -> Findings:
    """Check the files; the problems of the configuration file, if any, come first.

    Variables of the command line that no file uses come first. Which ones these are is unknown
    when a file is no YAML.
    """
    problems = [*wrong]
    unreadable: list[UsageError] = []
    skipped: dict[checking.Skipped, list[str]] = {reason: [] for reason in checking.Skipped}
    used: set[str] = set()
    has_syntax_error = False
    counts: Counter[Severity] = Counter()
    known = set(wrong)
    for file in files:
        if counts[Severity.ERROR] > input_limits.ALL_PROBLEMS.value:
            break
        try:
            playbook = _read(file)
            if playbook is None:
                continue
            if isinstance(playbook, checking.Skipped):
                skipped[playbook].append(file.path)
                continue
            if assigned:
                used |= used_variables(playbook)
            found = check(playbook, root=file.root)
        except PlaybookError as error:
            has_syntax_error = True
            found = error.problems
        except UsageError as error:
            unreadable.append(error)
            continue
        problems += _within_limit(found, counts, known)
    unused = () if has_syntax_error else find_unused_assignments(assigned, used)
    return Findings(
        limited([*unused, *problems], input_limits.ALL_PROBLEMS.value),
        unreadable,
        skipped[checking.Skipped.OTHER],
        skipped[checking.Skipped.UNREADABLE],
    )


def _read(file: FoundFile) -> Playbook | checking.Skipped | None:
    """Read a playbook; of a configuration file, check it and return None.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: It is wrong.
    """
    if Path(file.path).name == FILE_NAME:
        text = checking.read_text(file.path, input_limits.CONFIGURATION, file.root)
        read_configuration(text, os.path.normpath(file.path), is_named=True)
        return None
    if file.root is None:
        return read_input(file.path)
    return checking.read_found(file.path, file.root)


def _within_limit(
    found: Iterable[Problem], counts: Counter[Severity], known: set[Problem]
) -> Iterator[Problem]:
    """Yield the problems up to the limit of their severity, so that warnings hide no errors.

    Those that are `known` are left out: a file may be included by several others.
    """
    for problem in found:
        itself = problem._replace(related=None)
        if itself in known:
            continue
        counts[problem.severity] += 1
        if counts[problem.severity] <= input_limits.ALL_PROBLEMS.value + 1:
            known.add(itself)
            yield problem


def _format(form: str, problems: Sequence[Problem], files: int) -> str:
    if form == "text":
        return format_text(problems, files, styler_for(sys.stdout))
    if form in {"github", "azure", "sarif"}:
        problems = [_relative(problem) for problem in problems]
    return FINDING_FORMATS[form].render(problems, files)


def _relative(problem: Problem) -> Problem:
    """Return the problem with a path relative to the current folder, with forward slashes.

    CI services and code scanning name the files of a repository in this form.
    """
    position = problem.position
    if position is None:
        return problem
    file = name_below(Path(position.file), Path.cwd())
    return problem._replace(position=position._replace(file=file))


def _find_files(paths: Sequence[str]) -> Iterator[FoundFile]:
    """Return the files of the paths, and those in folders, in a stable order."""
    if not paths:
        raise UsageError("name a playbook, a folder, or `-` for standard input")
    for path in paths:
        try:
            is_folder = path != STDIN and Path(path).is_dir()
            found = sorted(_search(Path(path))) if is_folder else []
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"cannot read `{path}`: {reason}") from None
        if not is_folder:
            yield FoundFile(path)
        elif not found:
            raise UsageError(f"the folder `{path}` has no {', '.join(SUFFIXES)} file")
        yield from (FoundFile(str(file), Path(path)) for file in found)


def _search(folder: Path) -> list[Path]:
    """Return the playbooks below a folder, each once.

    Links to folders are not followed: what is in a folder below is found there. A link that leads
    out of the folder is returned, since reading it is the error that names it.
    """
    candidates = list(_candidates(folder))
    links = [file for file in candidates if file.is_symlink()]
    files = [file for file in candidates if not file.is_symlink() and file.is_file()]
    seen = {file.resolve() for file in files} if links else set()
    for link in links:
        try:
            target = require_below(link, folder)
        except (InputError, OSError):
            files.append(link)
            continue
        if target.is_file() and target not in seen:
            seen.add(target)
            files.append(link)
    return files


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield what is named as a playbook and is in no folder that is skipped.

    Raises:
        UsageError: There are too many files or folders.
    """
    entries = found = 0
    for parent, folders, names in os.walk(folder):
        if VIRTUAL_ENVIRONMENT in names and Path(parent) != folder:
            folders.clear()
            continue
        folders[:] = (
            name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS
        )
        entries += len(folders) + len(names)
        if entries > input_limits.FOLDER_ENTRIES.value:
            raise UsageError(f"the folder `{folder}` {input_limits.FOLDER_ENTRIES.error}")
        for name in names:
            if name.endswith(SUFFIXES) and not name.endswith(SCHEMA) and not name.startswith("."):
                found += 1
                check_count(found)
                yield Path(parent, name)
