"""Results as text for people."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from wps_run.execution.result import ActionError, Result, Status
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.report.simulation import SCOPE_NOTE, Simulation
from wps_run.report.values import cut, target_text
from wps_run.text import Style, Styler, escape_invisible, unstyled

MAX_HINTS = 5
"""How many different hints are repeated at the end, each with the number of actions it is for."""

_STYLES: Mapping[Status, Style] = {
    Status.OK: Style.SUCCESS,
    Status.FAILED: Style.ERROR,
    Status.UNKNOWN: Style.UNKNOWN,
    Status.SKIPPED: Style.WARNING,
}
_LONG = 100_000
"""Milliseconds. Longer times are shown in seconds, so that the columns stay aligned."""


class TextReporter:
    """Reports one line per action, the cause of each failure, and the totals.

    A line has four columns: status, HTTP status, time, and the action with its target. When the
    action is not ok, the lines below it have its source, the error and the hint. Each hint, and
    each reason for skipping, appears once; at the end, hints that apply to several actions are
    repeated with the number of actions.

    Args:
        styler: Adds the colors.
    """

    def __init__(self, styler: Styler = unstyled) -> None:
        self._styler = styler
        self._hints: Counter[str] = Counter()
        self._skip_codes: set[str] = set()

    def begin(self, run_info: RunInfo) -> str:
        self._run_info = run_info
        return f"{run_info_line(run_info, self._styler)}\n"

    def result(self, result: Result) -> str:
        line = f"{_status(result, self._styler)} {_response(result)}  {_action(result)}\n"
        error = result.error
        if error is None:
            return line
        if result.status is Status.SKIPPED:
            if error.code in self._skip_codes:
                return line
            self._skip_codes.add(error.code)
        return line + _reason(result, error) + self._hint(error.hint)

    def end(self, summary: Summary, simulations: Sequence[Simulation]) -> str:
        totals = summary_line(self._run_info, summary, self._styler)
        parts = [simulation.as_text() for simulation in simulations]
        if parts:
            parts.insert(0, f"\n{SCOPE_NOTE}\n")
        return "".join((*parts, *self._repeated_hints(), totals))

    def _hint(self, hint: str) -> str:
        if not hint:
            return ""
        self._hints[hint] += 1
        is_first = self._hints[hint] == 1
        return f"        {self._styler(Style.HINT, 'hint:')} {hint}\n" if is_first else ""

    def _repeated_hints(self) -> Iterator[str]:
        """Yield the hints that apply to several actions, most frequent first."""
        repeated = [(hint, count) for hint, count in self._hints.most_common() if count > 1]
        if repeated:
            yield "\n"
        for hint, count in repeated[:MAX_HINTS]:
            yield f"hint for {count:,} actions: {hint}\n"
        if len(repeated) > MAX_HINTS:
            yield f"… and {len(repeated) - MAX_HINTS:,} more hints\n"


class QuietReporter(TextReporter):
    """Reports only what failed or is unknown, and the totals."""

    def begin(self, run_info: RunInfo) -> str:
        """Return no text; the totals name the destination."""
        self._run_info = run_info
        return ""

    def result(self, result: Result) -> str:
        return super().result(result) if result.status in _FAILURES else ""

    def end(self, summary: Summary, simulations: Sequence[Simulation]) -> str:
        del simulations
        return super().end(summary, ()).lstrip("\n")


_FAILURES = {Status.FAILED, Status.UNKNOWN}


class NullReporter:
    """Reports nothing."""

    def begin(self, run_info: RunInfo) -> str:
        del run_info
        return ""

    def result(self, result: Result) -> str:
        del result
        return ""

    def end(self, summary: Summary, simulations: Sequence[Simulation]) -> str:
        del summary, simulations
        return ""


def run_info_line(run_info: RunInfo, styler: Styler = unstyled) -> str:
    """Return the line that describes a run; its first word, the destination, is colored."""
    destination, space, rest = str(run_info).partition(" ")
    style = Style.LOCATION if run_info.destination is Destination.SERVICE else Style.LOCAL
    return f"{styler(style, destination)}{space}{rest}\n"


def summary_line(run_info: RunInfo, summary: Summary, styler: Styler = unstyled) -> str:
    """Return the totals of a run on one line, after an empty line."""
    counts = ", ".join(_counts(summary, styler))
    total = f"{summary.total} {'action' if summary.total == 1 else 'actions'}"
    destination = f"{run_info.destination}{run_info.shard_suffix}"
    earlier = ""
    if summary.is_all_earlier:
        done = summary.total - summary.not_done
        earlier = f" ({done} of {summary.total} done earlier, nothing sent)"
    elif summary.earlier:
        earlier = f" ({summary.earlier} of {summary.total} from an earlier part)"
    return f"\n{destination}: {total}: {counts} in {summary.duration:.2f} s{earlier}\n"


def next_steps(
    summary: Summary, resume_command: str, journal: str, reports: Sequence[str] = ()
) -> Iterator[str]:
    """Yield one line for each file that a run wrote, and each thing to do next.

    Args:
        summary: How the run ended.
        resume_command: The command that resumes it; "" when it has no journal.
        journal: The path of its journal; "" when it has none.
        reports: The paths of its reports.
    """
    if journal:
        yield f"journal: {journal}"
    for report in reports:
        yield f"report: {report}"
    unknown = summary.counts[Status.UNKNOWN]
    if unknown:
        repeats = (
            "; --resume repeats only interrupted actions that are safe to repeat"
            if resume_command
            else ""
        )
        actions = "1 action" if unknown == 1 else f"{unknown:,} actions"
        yield f"{actions} may or may not have happened: check before you run again{repeats}"
    if summary.counts[Status.FAILED] and resume_command:
        yield f"to retry the failed actions: {resume_command} --failed"
        if summary.not_done > 0:
            yield f"to go on without the failed actions: {resume_command} --skip-failed"


def _status(result: Result, styler: Styler) -> str:
    return styler(_STYLES[result.status], str(result.status)) + " " * (7 - len(result.status))


def _response(result: Result) -> str:
    status = f"{result.http_status or '-':>4}"
    if result.earlier is True:
        return f"{status}  {'earlier':>8}   "
    if not result.attempts and result.status is Status.SKIPPED:
        return f"{status}  {'-':>8}   "
    if result.duration_ms >= _LONG:
        return f"{status}  {result.duration_ms / 1000:8.1f} s "
    return f"{status}  {result.duration_ms:8.1f} ms"


def _action(result: Result) -> str:
    name = f"  ({cut(escape_invisible(result.name))})" if result.name else ""
    return f"{result.action_name} {target_text(result.target)}".rstrip() + name


def _reason(result: Result, error: ActionError) -> str:
    attempts = f", {result.attempts} attempts" if result.attempts > 1 else ""
    message = escape_invisible(f"{result.source}: {error.code}: {error.message}")
    return f"        {message}{attempts}\n"


def _counts(summary: Summary, styler: Styler) -> Iterator[str]:
    for status in Status:
        count = summary.counts[status]
        text = f"{count} {status}"
        yield styler(_STYLES[status], text) if count else text
