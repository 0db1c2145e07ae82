"""The journal of a run: a new one, a named one, an earlier one that is resumed, or none."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from wps_run.checking import STDIN
from wps_run.cli.configuration import load_configuration
from wps_run.cli.options import CONFIRMED, ENVIRONMENT, VARIABLES, VARIABLES_FILE, is_unrepeatable
from wps_run.cli.terminal import shell_line, show_message
from wps_run.connect.settings import HUB_SETTING, SettingFinder, merge_settings
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.format import (
    KeptOptions,
)
from wps_run.journal.reader import History
from wps_run.journal.writer import Journal
from wps_run.journaling import unchecked_warning, working_folder
from wps_run.planning import RunOverrides
from wps_run.playbook.configuration import FILE_NAME, Configuration, kept_configuration
from wps_run.playbook.model import Playbook
from wps_run.playbook.options import CONFIRM, YES, Confirmation
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError, UsageError
from wps_run.text import Label


def show_journal_error(journal: Journal) -> None:
    """Show if a journal could not be written to the end."""
    if journal.error is not None:
        show_message(
            Label.ERROR, f"the journal `{journal.path}` cannot be written: {journal.error}"
        )


def warn_if_unchecked(history: History, name: str) -> None:
    """Show a warning if the lines of a journal have no checksums."""
    if warning := unchecked_warning(history, name):
        show_message(Label.WARNING, warning)


def recorded_paths(history: History) -> tuple[str, ...]:
    """Return the playbooks of the run of a journal, as they are named from this folder."""
    paths, folder = history.header.paths, history.header.folder
    if not folder or folder == working_folder():
        return paths
    return tuple(path if path == STDIN else str(Path(folder, path)) for path in paths)


def recorded_shard(history: History, requested: Shard | None, journal: str) -> Shard | None:
    """Return the shard of the run of a journal.

    Args:
        history: What the journal says.
        requested: The shard on the command line, or None.
        journal: The name of the journal in messages.

    Raises:
        UsageError: The journal is of another shard than the requested one.
    """
    shard = history.run.shard
    if requested in {None, shard}:
        return shard
    recorded = f"shard {shard}" if shard else "a run without shards"
    raise UsageError(
        f"`{journal}` is the journal of {recorded}, not of shard {requested}; --resume takes the "
        "shard from the journal, so leave out --shard, or name the other journal"
    )


def recorded_configuration(
    history: History, values: Mapping[str, Any], journal: str
) -> Configuration:
    """Return what the configuration file said when the run of a journal began.

    Only the variables of its environment, which are in no journal, are read again; the fingerprint
    shows whether they are the same. What confirms a run counts only in a file that is named again.

    Args:
        history: What the journal says.
        values: The values of the command line, options of the journal included.
        journal: The name of the journal in messages.

    Raises:
        UsageError: Another environment is asked for, or the file cannot be read.
        JournalError: The journal's entry is not one.
        PlaybookError: The file is wrong, or no longer has the environment.
    """
    options = history.options or {}
    environment = str(options.get(ENVIRONMENT, "")) or None
    source_of = click.get_current_context().get_parameter_source
    if source_of("env") is ParameterSource.COMMANDLINE and (values["env"] or None) != environment:
        recorded = f"for the environment `{environment}`" if environment else "for no environment"
        raise UsageError(
            f"`{journal}` is the journal of a run {recorded}; --resume takes the environment from "
            "the journal, so leave out --env"
        )
    file, folder = values["config"], history.header.folder
    is_named = source_of("config") in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}
    read = Configuration()
    if environment or is_named:
        read = load_configuration(file, environment, folder or None)
    try:
        kept = kept_configuration(options, environment, read.variables)
        return kept.confirmed_by(read if is_named else Configuration())
    except ValueError as error:
        raise JournalError(f"{FILE_NAME} in `{journal}`: {error}") from None


def resumed_overrides(history: History, overrides: RunOverrides, journal: str) -> RunOverrides:
    """Return the overrides of a resumed run, with what its journal says of shard and hub.

    Args:
        history: What the journal says.
        overrides: Those of the command line, options of the journal included.
        journal: The name of the journal in messages.

    Raises:
        UsageError: The journal is of another shard, or a variable must be given again.
    """
    overrides = reused_overrides(
        history.options or {}, overrides, f"the journal `{journal}` has no values of variables"
    )
    return replace(overrides, shard=recorded_shard(history, overrides.shard, journal))


def reused_overrides(
    options: KeptOptions, overrides: RunOverrides, reason: str, command: str = ""
) -> RunOverrides:
    """Return overrides with the hub that an earlier command took from the settings.

    Args:
        options: The options of the earlier command.
        overrides: Those of this command.
        reason: Why its variables must be given again.
        command: This command without variables; "" to say only which are missing.

    Raises:
        UsageError: A variable has no value.
    """
    names = words_of(options.get(VARIABLES))
    missing = [name for name in names if name not in overrides.variables]
    if missing:
        given = [command, *map(variable_words, names)] if command else map(variable_words, missing)
        raise UsageError(f"{reason}; give them again: {' '.join(given)}")
    if hub := options.get(HUB_SETTING):
        environment = merge_settings(overrides.environment, {HUB_SETTING: str(hub)})
        return replace(overrides, environment=environment)
    return overrides


def variable_words(name: str) -> str:
    """Return the words that give a variable the value that only the user has."""
    return f"{VARIABLES} {shell_line([name])}={PLACEHOLDER}"


def require_stdin(paths: Sequence[str], file: str, again: str) -> None:
    """Refuse to wait at a terminal for a playbook that came from standard input.

    Args:
        paths: The playbooks of an earlier command.
        file: Its journal or plan.
        again: The command to which the playbook is given.

    Raises:
        UsageError: One of them came from standard input.
    """
    if STDIN in paths and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError(
            f"the playbook of `{file}` came from standard input; give it again: {again}"
        )


def kept_options(
    given: KeptOptions,
    recorded: KeptOptions,
    overrides: RunOverrides,
    assigned: Iterable[str],
    playbooks: Iterable[Playbook],
) -> KeptOptions:
    """Return the options in force that the journal of a run keeps.

    Args:
        given: Those of the command line.
        recorded: Those in the journal that is resumed; they apply unless given again.
        overrides: What the command line adds to the playbooks.
        assigned: The names of the variables of `--var`.
        playbooks: The playbooks of the run.
    """
    kept = {**recorded, **given, VARIABLES: tuple(dict.fromkeys(assigned))}
    setting = SettingFinder(overrides.environment).find(HUB_SETTING)
    named = overrides.hub is not None or "hub" in overrides.defaults
    if setting and not named and not all(playbook.hub for playbook in playbooks):
        kept[HUB_SETTING] = setting
    return {name: value for name, value in kept.items() if value}


PLACEHOLDER = "…"
STDIN_PLACEHOLDER = "playbook.yaml"


def resume_command(path: Path, run: RunInfo, playbooks: Sequence[str], options: KeptOptions) -> str:
    """Return the command line that resumes a run or a rehearsal, for a shell.

    Args:
        path: The journal, which has the options of the run.
        run: The run.
        playbooks: Its playbooks, as the command line names them.
        options: Its options. What only the user has is a placeholder.
    """
    words = ["wps-run", *(["--local"] if run.destination is Destination.LOCAL else [])]
    words += ["--resume", path_word(path)]
    if _is_confirmed(options):
        words += [CONFIRMED]
    line = shell_line(words)
    for name in words_of(options.get(VARIABLES)):
        line += f" {variable_words(name)}"
    for name, value in options.items():
        if is_unrepeatable(value):
            line += f" {name} {PLACEHOLDER}"
        elif name == VARIABLES_FILE:
            line += "".join(f" {name} {shell_line([near(file)])}" for file in words_of(value))
    return with_playbooks(line, playbooks)


def _is_confirmed(options: KeptOptions) -> bool:
    """Return whether a run with these options asked for no confirmation."""
    configuration = Configuration()
    if FILE_NAME in options:
        with suppress(ValueError):  # an error when the run is resumed
            configuration = kept_configuration(options, None, {})
    rule = options.get(str(CONFIRM.flag)) or configuration.value_of(CONFIRM.key)
    is_given = CONFIRMED in options or configuration.value_of(YES.key)
    return bool(is_given) or rule == Confirmation.NEVER


def with_playbooks(line: str, playbooks: Sequence[str]) -> str:
    """Return a command line with its playbooks, for a shell."""
    line += "".join(f" {shell_line([path_word(playbook)])}" for playbook in playbooks)
    return line + (f" < {STDIN_PLACEHOLDER}" if STDIN in playbooks else "")


def resume_notes(playbooks: Sequence[str], options: KeptOptions | None) -> Iterator[str]:
    """Yield what the user has to change in the command that resumes a run."""
    if options is None:
        yield "the journal has no options: give the options and variables of the run again"
        return
    if options.get(VARIABLES) or any(map(is_unrepeatable, options.values())):
        yield f"replace each {PLACEHOLDER} by the value that the run had"
    if STDIN in playbooks:
        yield (
            f"the playbook came from standard input: give it again, in place of {STDIN_PLACEHOLDER}"
        )


def words_of(value: object) -> tuple[str, ...]:
    """Return the values of a repeatable option in the journal, such as the names of `--var`."""
    return value if isinstance(value, tuple) else ()


def path_word(path: Path | str) -> str:
    """Return a path as an argument that is not taken for an option."""
    text = str(path)
    return f"./{text}" if text.startswith("-") and text != STDIN else text


def near(file: str) -> str:
    """Return an absolute path as it is named from the working folder if it is below it."""
    folder = working_folder()
    is_below = folder and Path(file).is_relative_to(folder)
    return path_word(Path(file).relative_to(folder)) if is_below else file
