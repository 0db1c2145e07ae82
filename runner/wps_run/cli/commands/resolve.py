"""`wps-run resolve`: record what became of actions whose result is unknown."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from msgspec import UNSET, structs

from wps_run.cli.configuration import FILE
from wps_run.cli.journals import recorded_paths, resume_command, resume_notes, warn_if_unchecked
from wps_run.cli.terminal import show_message
from wps_run.execution.errors import skip_error
from wps_run.execution.result import Result, SkipReason, Status
from wps_run.journal.format import Resolved, Unsent
from wps_run.journal.reader import History, RecordedStatus
from wps_run.journal.resume import RESOLVED
from wps_run.journal.writer import main_journal, read_journal, reopen_run
from wps_run.problems import UsageError
from wps_run.report.values import target_text
from wps_run.text import Label, replace_invisible

DONE, REDO = "done", "redo"

_OUTCOME = re.compile(r"([0-9]{1,9})=(done|redo)")
_IN_DOUBT = (RecordedStatus.UNKNOWN, RecordedStatus.INTERRUPTED)


@click.command("resolve")
@click.argument("journal", type=FILE, metavar="JOURNAL")
@click.argument("outcomes", nargs=-1, metavar="[N=done|redo…]")
def command(journal: str, outcomes: tuple[str, ...]) -> None:
    """Record what became of actions whose result is unknown.

    A message or a close that may have been carried out stays unknown, and is not sent again. When
    you have found out what happened, record it: N is the number of the action in the report, `done`
    makes it ok, and `redo` lets the next `--resume` run it.

    Without N=…, lists the actions of the run that are in doubt. The journal keeps
    the earlier result as well.

    \b
    Examples:
      wps-run resolve run.journal
      wps-run resolve run.journal 275=done 276=redo
    """
    wanted = _parse_outcomes(outcomes)
    path = main_journal(Path(journal))
    if not wanted:
        _list_doubts(read_journal(path), journal)
        return
    opened, history = reopen_run(path)
    try:
        warn_if_unchecked(history, journal)
        _require_doubts(history, wanted, journal)
        for number, (part, of_process) in enumerate(opened):
            own = {index: wanted[index] for index in wanted if history.process_of(index) == number}
            if own:
                records = [*_records(history, own)]
                part.amend(of_process.length, records, is_checked=of_process.is_checked)
    finally:
        for part, _ in opened:
            part.close_now()
    for index, outcome in wanted.items():
        effect = "counts as done" if outcome == DONE else "runs with the next --resume"
        show_message(Label.NOTE, f"action {index} {effect}")
    if REDO in wanted.values():
        paths = recorded_paths(history)
        resume = resume_command(path, history.run, paths, history.options or {})
        for note in resume_notes(paths, history.options):
            show_message(Label.NOTE, note)
        show_message(Label.HINT, f"to run it: {resume}")


def _parse_outcomes(texts: tuple[str, ...]) -> dict[int, str]:
    outcomes: dict[int, str] = {}
    for text in texts:
        match = _OUTCOME.fullmatch(text)
        if match is None:
            raise UsageError(
                f"`{replace_invisible(text)}` must be N=done or N=redo, such as 275=done; N is the "
                "number of an action"
            )
        index, outcome = int(match[1]), match[2]
        if outcomes.setdefault(index, outcome) != outcome:
            raise UsageError(f"action {index} is both done and to redo; write one of them")
    return outcomes


def _require_doubts(history: History, wanted: Mapping[int, str], journal: str) -> None:
    """Refuse actions that are not in doubt.

    Raises:
        UsageError: There is one.
    """
    wrong = [index for index in wanted if not _is_in_doubt(history, index)]
    if wrong:
        index = wrong[0]
        status = history.status(index)
        state = f"is {status.name.lower().replace('_', ' ')}" if status else "has no result"
        raise UsageError(
            f"action {index} {state}, so there is no doubt to resolve; `wps-run resolve {journal}` "
            "lists the actions in doubt"
        )


def _is_in_doubt(history: History, index: int) -> bool:
    return index in history.sending or history.status(index) in _IN_DOUBT


def _records(history: History, wanted: Mapping[int, str]) -> Iterator[Result | Resolved | Unsent]:
    """Yield the lines that say what the user says."""
    with history.reading() as read:
        for index, outcome in wanted.items():
            if not history.status(index):
                yield Resolved(index) if outcome == DONE else Unsent(index)
                continue
            status = Status.OK if outcome == DONE else Status.SKIPPED
            error = RESOLVED if outcome == DONE else skip_error(SkipReason.RESOLVED)
            yield structs.replace(read(index), status=status, error=error, earlier=UNSET)


def _list_doubts(history: History, journal: str) -> None:
    lines = [f"{index:>6}  was being sent when the run ended" for index in sorted(history.sending)]
    for status in _IN_DOUBT:
        lines += map(_doubt_line, history.results(status))
    click.echo("\n".join(lines) if lines else f"no action of `{journal}` is in doubt")


def _doubt_line(result: Result) -> str:
    reason = f": {result.error.message}" if result.error else ""
    what = f"{result.action_name} {target_text(result.target)}".rstrip()
    return f"{result.index:>6}  {what}  {replace_invisible(result.source + reason)}"
