"""The journal of a run: a new one, a named one, an earlier one that is resumed, or none."""

import json
import os
import secrets
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from msgspec import UNSET, structs

from wps_run.actions.request import API_VERSION
from wps_run.actions.table import ACTIONS
from wps_run.checking import STDIN, STDIN_NAME, relative_name
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.fingerprint import (
    ACTIONS_PART,
    ENDPOINT_PART,
    ROWS_PART,
    SELECTION_PART,
    SHARD_PART,
    actions_content,
    fingerprint,
    require_same,
    shared_salt,
)
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
from wps_run.planning import Plan, has_expired, used_values
from wps_run.playbook.configuration import kept_configuration
from wps_run.playbook.files import Files, open_input
from wps_run.playbook.live import LiveConnection, LiveGroups
from wps_run.playbook.options import OPTIONS, OnError, merge_options
from wps_run.problems import JournalError, UsageError


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


def open_recorder(  # noqa: PLR0913 -- by name, but for what a run has
    options: JournalOptions,
    run: RunInfo,
    plans: Sequence[Plan],
    endpoints: Sequence[str],
    *,
    report_folder: Path | None = None,
    needs_report: bool = False,
    warn: Callable[[str], object],
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
        warn: Called with each warning.

    Raises:
        JournalError: A named journal cannot be written, or an earlier one cannot be resumed.
            If the default journal cannot be written, there is only a warning.
        UsageError: The temporary journal cannot be written.
    """
    if options.resume:
        return _resume(options.resume, run, plans, endpoints, options=options, warn=warn)
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
            warn(f"this run has no journal: {error}")
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


def playbook_paths(plans: Sequence[Plan]) -> tuple[str, ...]:
    """Return the playbooks of a run, as they are named on the command line."""
    files = [plan.playbook.document.file for plan in plans if not plan.is_final]
    return tuple(STDIN if file == STDIN_NAME else file for file in files)


def unchecked_warning(history: History, name: str) -> str:
    """Return a warning about a journal whose lines have no checksums; "" if they have."""
    if history.is_checked:
        return ""
    return (
        f"an older version of wps-run wrote `{name}`, without checksums: lost or changed lines may "
        "not show"
    )


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
        folder=working_folder(),
        options=kept,
    )


def working_folder() -> str:
    """Return the working folder; "" if it was deleted."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _resume(  # noqa: PLR0913 -- as `open_recorder`
    file: str,
    run: RunInfo,
    plans: Sequence[Plan],
    endpoints: Sequence[str],
    *,
    options: JournalOptions,
    warn: Callable[[str], object],
) -> RunRecorder:
    opened, history = reopen_run(Path(file))
    try:
        require_same(history, fingerprint_of(plans, endpoints, history.header.salt), file)
    except JournalError:
        for journal, _ in opened:
            journal.release()
        raise
    if warning := unchecked_warning(history, file):
        warn(warning)
    resumption = resumption_of(history, plans, options)
    resumed = Resumed(format_moment(datetime.now(UTC)), VERSION, options.kept)
    final_steps = (step for plan in plans if plan.is_final for step in plan.steps())
    replaced = resumption.results_to_replace(final_steps)
    for journal, of_process in opened:
        of_main = replaced if of_process is history else ()
        journal.resume(of_process.length, resumed.record(run), of_main)
        of_process.begin_part(resumed)
    if run.destination is Destination.LOCAL:
        warn(
            "this rehearsal resumes in a new emulator, which has none of the effects of its "
            "earlier parts; start a new rehearsal to see everything that would happen"
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


def new_salt(plans: Sequence[Plan]) -> str:
    """Return a salt for a new journal; the shards of one plan share theirs."""
    if any(plan.shard for plan in plans):
        return shared_salt(part.document.text for plan in plans for part in plan.playbook.parts)
    return secrets.token_hex(16)


def playbook_part(plan: Plan) -> str:
    """Return the name of a playbook in the fingerprint of its run."""
    # Only the file name: from another folder it is the same playbook.
    file = Path(plan.playbook.document.file).name
    return f"the playbook {file}" + (f" (number {plan.number + 1})" if plan.number else "")


def fingerprint_of(plans: Sequence[Plan], endpoints: Sequence[str], salt: str) -> dict[str, str]:
    """Return the digests of all that a run consists of, each under the name that messages use.

    Args:
        plans: The plans of the run, whose files were read at least once.
        endpoints: Host and port to which the actions of each plan are sent.
        salt: The salt of the journal.
    """
    parts: dict[str, str | Iterable[bytes]] = {
        ACTIONS_PART: actions_content(ACTIONS.values(), API_VERSION),
        **_carried_out(plans),
    }
    for plan, endpoint in zip(plans, endpoints, strict=True):
        playbook = playbook_part(plan)
        if plan.is_final:  # all else is of its playbook
            if plan.live_groups:
                parts[f"{ROWS_PART}`finally` of {playbook}"] = _live_rows(plan)
            continue
        parts[playbook] = plan.playbook.document.text
        parts[f"the hub of {playbook}"] = plan.hub.lower()
        parts[ENDPOINT_PART + playbook] = endpoint
        for name, value in used_values(plan).items():
            content = value if isinstance(value, str) else value.digest_pieces()
            parts[f"the variable {name} of {playbook}"] = content
        if plan.live_groups:
            parts[ROWS_PART + playbook] = _live_rows(plan)
        parts |= _file_parts(plan, playbook)
    return fingerprint(salt, parts)


def _file_parts(plan: Plan, playbook: str) -> dict[str, str | Iterable[bytes]]:
    """Return the content of the files that a playbook includes or names, under their names."""
    contents: dict[str, str | Iterable[bytes]] = {}
    for part in plan.playbook.parts:
        owner = playbook
        if part.include:
            owner = f"the included file {relative_name(part, plan.playbook)} of {playbook}"
            contents[owner] = part.document.text
        inputs = plan.scope.of(part).inputs
        for name, path in inputs.paths.items() if isinstance(inputs, Files) else ():
            contents[f"the file {name} of {owner}"] = _chunks(path)
    return contents


def _carried_out(plans: Sequence[Plan]) -> dict[str, str]:
    """Return which part of the plans is carried out, for a digest; nothing for all of it."""
    parts: dict[str, str] = {}
    for plan in plans[:1]:  # it is the same for all of them
        if plan.shard:
            parts[SHARD_PART] = str(plan.shard)
        if plan.selection:
            parts[SELECTION_PART] = plan.selection.content
    return parts


def _live_rows(plan: Plan) -> Iterator[bytes]:
    """Yield the connections in the live groups of a plan, for a digest."""
    for group in plan.live_groups:
        yield b"group\n"
        for connection in (plan.scope.live or {}).get(group, ()):
            yield json.dumps(connection).encode() + b"\n"


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, a mebibyte at a time."""
    with open_input(path) as file:
        while chunk := file.read(1024 * 1024):
            yield chunk
