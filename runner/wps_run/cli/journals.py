"""The journal of a run: a new one, a named one, an earlier one that is resumed, or none."""

import os
import secrets
import shlex
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from msgspec import UNSET, structs

from wps_run.cli.configuration import load_configuration
from wps_run.cli.inputs import STDIN, STDIN_NAME
from wps_run.cli.options import CONFIRMED, ENVIRONMENT, VARIABLES, VARIABLES_FILE, is_unrepeatable
from wps_run.cli.terminal import show_message
from wps_run.connect.settings import HUB_SETTING, SettingFinder, merge_settings
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.fingerprint import require_same
from wps_run.journal.format import (
    VERSION,
    Header,
    KeptOptions,
    ProcessRecord,
    Resumed,
    format_moment,
)
from wps_run.journal.reader import History, RecordedStatus
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.resume import ResumeMode, Resumption
from wps_run.journal.rows_file import LiveGroup
from wps_run.journal.store import SUFFIX, prune, state_folder
from wps_run.journal.writer import (
    Journal,
    main_journal,
    process_path,
    remove_incomplete,
    remove_unbegun,
    reopen_run,
)
from wps_run.planning import Plan, RunOverrides
from wps_run.playbook.configuration import FILE_NAME, Configuration, kept_configuration
from wps_run.playbook.live import LiveConnection, LiveGroups
from wps_run.playbook.model import Playbook
from wps_run.playbook.options import CONFIRM, OPTIONS, YES, Confirmation, OnError, merge_options
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError, UsageError
from wps_run.running import fingerprint_of, has_expired, new_salt
from wps_run.text import Label


@dataclass(frozen=True, slots=True)
class JournalOptions:
    """The command line's options of the journal.

    Attributes:
        file: `--journal`: where a new one goes, or None for the state folder.
        resume_if_exists: `--resume-if-exists`: whether the run of `file` is resumed if it exists.
        is_off: `--no-journal`, or a rehearsal.
        resume: `--resume`: the one whose run is resumed, or None.
        only_failed: `--failed`: whether only failed actions run again.
        skip_failed: `--skip-failed`: whether the failures that stopped the run are not retried.
        kept: The options in force that the journal keeps.
        processes: How many processes run the actions; each has a journal if there are several.
    """

    file: str | None = None
    resume_if_exists: bool = False
    is_off: bool = False
    resume: str | None = None
    only_failed: bool = False
    skip_failed: bool = False
    kept: KeptOptions = field(default_factory=dict)
    processes: int = 1

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            UsageError: Two of them do.
        """
        if self.resume and (self.file or self.is_off):
            raise UsageError(
                "--resume continues its own journal; leave out --journal and --no-journal"
            )
        if self.file and self.is_off:
            raise UsageError("--journal and --no-journal contradict each other")
        if self.only_failed and not self.resume:
            raise UsageError("--failed selects what --resume runs; name the journal with --resume")
        if self.only_failed and self.skip_failed:
            raise UsageError("--failed and --skip-failed contradict each other")
        if self.skip_failed and not (self.resume or self.resume_if_exists):
            raise UsageError(
                "--skip-failed selects what --resume runs; name the journal with --resume"
            )
        if self.resume_if_exists and not self.file:
            raise UsageError("--resume-if-exists resumes --journal FILE; name the file")

    def resolved(self) -> "JournalOptions":
        """Return the options once it is known whether the named journal exists.

        One with an incomplete header was interrupted before anything was sent; it is deleted. That
        of one process of several stands for the main journal of its run.

        Raises:
            UsageError: Two of the options contradict each other.
            JournalError: It cannot be read, or another run is just creating it.
        """
        self.check()
        if self.resume:
            return replace(self, resume=str(main_journal(Path(self.resume))))
        if not (self.resume_if_exists and self.file):
            return self
        path = Path(self.file)
        if path.exists() and not remove_incomplete(path):
            return replace(self, file=None, resume=str(main_journal(path)))
        return self


def open_recorder(
    options: JournalOptions,
    run: RunInfo,
    plans: Sequence[Plan],
    endpoints: Sequence[str],
    *,
    report_folder: Path | None = None,
    needs_report: bool = False,
) -> RunRecorder:
    """Open the journal of a run.

    A run without a journal that writes reports has a temporary one, from which they are made. So
    has one in several processes, to say what was in flight if one of them is killed.

    Args:
        options: The command line's options.
        run: What is run and where, for the header.
        plans: The plans of the run.
        endpoints: Host and port to which the actions of each plan are sent.
        report_folder: Where a temporary journal goes; None for the system's folder.
        needs_report: Whether reports are written at the end.

    Raises:
        JournalError: A named journal cannot be written, or an earlier one cannot be resumed.
            If the default journal cannot be written, there is only a warning.
        UsageError: The temporary journal cannot be written.
    """
    if options.resume:
        return _resume(Path(options.resume), run, plans, endpoints, options)
    if not options.is_off:
        header, live = _header(plans, endpoints, options.kept), groups_read(plans)
        header = _with_process(header, 0, options.processes)
        if options.file:
            path = Path(options.file)
            remove_unbegun(path)
            return _create(path, header, run, live)
        try:
            return _create_in_store(header, run, live)
        except (JournalError, OSError) as error:
            show_message(Label.WARNING, f"this run has no journal: {error}")
    if not needs_report and options.processes == 1:
        return RunRecorder()
    header = Header(format_moment(datetime.now(UTC)), (), secrets.token_hex(16), {})
    header = _with_process(header, 0, options.processes)
    try:
        journal = Journal.create_temporary(report_folder, header.record(run))
    except OSError as error:
        raise UsageError(f"cannot store results for the report: {error.strerror}") from None
    others = _create_others(journal.path, header, run, is_durable=False)
    return RunRecorder(journal, started=header.started, is_temporary=True, others=others)


def _with_process(header: Header, number: int, count: int) -> Header:
    """Return the header of one process of so many; the same one if there is one only."""
    process = ProcessRecord(number, count) if count > 1 else UNSET
    return structs.replace(header, process=process)


def _create(path: Path, header: Header, run: RunInfo, live: Sequence[LiveGroup]) -> RunRecorder:
    """Create the journals of a run.

    Raises:
        JournalError: One exists already, or cannot be written; none is left then.
    """
    if path.exists():  # those of other processes would be there before this is refused
        others: tuple[Journal, ...] = ()
    else:
        others = _create_others(path, header, run)
    try:
        journal = Journal.create(path, header.record(run), live)
    except JournalError:
        _discard(others)
        raise
    return RunRecorder(journal, started=header.started, others=others)


def _create_others(
    path: Path, header: Header, run: RunInfo, *, is_durable: bool = True
) -> tuple[Journal, ...]:
    """Create the journals of the processes of a run; () if there is one only.

    Raises:
        JournalError: One exists already, or cannot be written; none is left then.
    """
    count, journals = header.process_count, list[Journal]()
    try:
        for number in range(1, count + 1) if count > 1 else ():
            record = _with_process(header, number, count).record(run)
            other = process_path(path, number, count)
            journals.append(Journal.create(other, record, is_durable=is_durable))
    except JournalError:
        _discard(journals)
        raise
    return tuple(journals)


def _discard(journals: Iterable[Journal]) -> None:
    """Close and delete journals with which nothing has begun."""
    for journal in journals:
        journal.release()
        journal.path.unlink(missing_ok=True)


def show_journal_error(journal: Journal) -> None:
    """Show if a journal could not be written to the end."""
    if journal.error is not None:
        show_message(
            Label.ERROR, f"the journal `{journal.path}` cannot be written: {journal.error}"
        )


def playbook_paths(plans: Sequence[Plan]) -> tuple[str, ...]:
    """Return the playbooks of a run, as they are named on the command line."""
    files = [plan.playbook.document.file for plan in plans if not plan.is_final]
    return tuple(STDIN if file == STDIN_NAME else file for file in files)


def recorded_paths(history: History) -> tuple[str, ...]:
    """Return the playbooks of the run of a journal, as they are named from this folder."""
    paths, folder = history.header.paths, history.header.folder
    if not folder or folder == _working_folder():
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


def warn_if_unchecked(history: History, name: str) -> None:
    """Warn of a journal whose lines have no checksums."""
    if not history.is_checked:
        show_message(
            Label.WARNING,
            f"an older version of wps-run wrote `{name}`, without checksums: lost or changed lines "
            "may not show",
        )


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
    """Return the values of a repeatable option that is kept, such as the names of `--var`."""
    return value if isinstance(value, tuple) else ()


def path_word(path: Path | str) -> str:
    """Return a path as an argument that is not taken for an option."""
    text = str(path)
    return f"./{text}" if text.startswith("-") and text != STDIN else text


def near(file: str) -> str:
    """Return an absolute path as it is named from the working folder if it is below it."""
    folder = _working_folder()
    is_below = folder and Path(file).is_relative_to(folder)
    return path_word(Path(file).relative_to(folder)) if is_below else file


def shell_line(words: Sequence[str]) -> str:
    """Return arguments as a line for a shell."""
    if sys.platform == "win32":
        from subprocess import list2cmdline  # noqa: PLC0415 -- only Windows needs it

        return list2cmdline(words)
    return shlex.join(words)


def groups_read(plans: Sequence[Plan]) -> list[LiveGroup]:
    """Return what was read for the plans, in the order of `recorded_live`."""
    return [
        LiveGroup(plan.hub, plan.scope.secrets.mask(group), plan.scope.live[group])
        for plan in plans
        if plan.scope.live is not None
        for group in plan.live_groups
    ]


def recorded_live(recorded: Iterable[LiveGroup], plans: Sequence[Plan]) -> tuple[LiveGroups, ...]:
    """Return what was recorded of live groups, by `groups_read`, for each of the same plans.

    If they are other plans, groups may be missing or be other ones. That shows in the fingerprint.
    """
    groups = iter(recorded)

    def connections(name: str) -> tuple[LiveConnection, ...]:
        found = next(groups, None)
        return found.connections if found and found.name == name else ()

    return tuple(
        {group: connections(plan.scope.secrets.mask(group)) for group in plan.live_groups}
        for plan in plans
    )


def _create_in_store(header: Header, run: RunInfo, live: Sequence[LiveGroup]) -> RunRecorder:
    """Create the journals of a run in the state folder.

    Raises:
        JournalError, OSError: They cannot be written.
    """
    folder = state_folder(os.environ, windows=sys.platform == "win32")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    recorder = _create(folder / f"{now}-{secrets.token_hex(3)}{SUFFIX}", header, run, live)
    prune(folder)
    return recorder


def _header(plans: Sequence[Plan], endpoints: Sequence[str], kept: KeptOptions) -> Header:
    salt = new_salt(plans)
    return Header(
        started=format_moment(datetime.now(UTC)),
        paths=playbook_paths(plans),
        salt=salt,
        fingerprint=fingerprint_of(plans, endpoints, salt),
        folder=_working_folder(),
        options=kept,
    )


def _working_folder() -> str:
    """Return the working folder; "" if it was deleted."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _resume(
    path: Path,
    run: RunInfo,
    plans: Sequence[Plan],
    endpoints: Sequence[str],
    options: JournalOptions,
) -> RunRecorder:
    opened, history = reopen_run(path)
    try:
        require_same(history, fingerprint_of(plans, endpoints, history.header.salt), str(path))
    except JournalError:
        for journal, _ in opened:
            journal.release()
        raise
    warn_if_unchecked(history, str(path))
    resumption = resumption_of(history, plans, options)
    resumed = Resumed(format_moment(datetime.now(UTC)), VERSION, options.kept)
    final_steps = (step for plan in plans if plan.is_final for step in plan.steps())
    replaced = resumption.results_to_replace(final_steps)
    for journal, of_process in opened:
        of_main = replaced if of_process is history else ()
        journal.resume(of_process.length, resumed.record(run), of_main)
        of_process.begin_part(resumed)
    if run.destination is Destination.LOCAL:
        show_message(
            Label.WARNING,
            "this rehearsal resumes in a new emulator, which has none of the effects of its "
            "earlier parts; start a new rehearsal to see everything that would happen",
        )
    journal, *others = (journal for journal, _ in opened)
    return RunRecorder(
        journal, resumption, history.elapsed, history.header.started, others=tuple(others)
    )


def resumption_of(history: History, plans: Sequence[Plan], options: JournalOptions) -> Resumption:
    """Return what a resumed run does, before its part begins in the journal."""
    if options.only_failed:
        resumption = Resumption(history, ResumeMode.FAILED)
    else:
        retried = frozenset[int]() if options.skip_failed else _stopping_failures(history, plans)
        resumption = Resumption(history, ResumeMode.UNDONE, retried)
    if not any(plan.is_final for plan in plans):
        return resumption
    others = (
        step
        for plan in plans
        if not (plan.is_final or has_expired(plan.options.not_after))
        for step in plan.steps()
    )
    return replace(resumption, repeats_final=any(map(resumption.runs, others)))


def _stopping_failures(history: History, plans: Sequence[Plan]) -> frozenset[int]:
    """Return the indexes of the failed actions whose failure stopped the last part of a run.

    Its `onError` counts, not that of the part that begins; a journal without options does not say
    what it was.
    """
    recorded = history.options
    stopping = [
        plan.stopping_actions(
            plan.options.on_error if recorded is None else _recorded_on_error(recorded, plan)
        )
        for plan in plans
    ]
    if not any(stopping):
        return frozenset()
    starts = [plan.first for plan in plans]
    return frozenset(
        result.index
        for result in history.results(RecordedStatus.FAILED)
        if result.action in stopping[bisect_right(starts, result.index) - 1]
    )


def _recorded_on_error(recorded: KeptOptions, plan: Plan) -> OnError:
    """Return the `onError` of a plan in the part of a run that had these options."""
    configuration = kept_configuration(recorded, None, {})
    flags = {
        option.key: recorded[str(option.flag)]
        for option in (OPTIONS["onError"], OPTIONS["maxFailures"])
        if option.flag in recorded
    }
    layers = (configuration.defaults, plan.playbook.options, configuration.options, flags)
    return merge_options(*layers).on_error
