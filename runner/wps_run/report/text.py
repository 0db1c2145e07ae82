"""Results as text for people."""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from wps_run.execution.result import ActionError, ExpectationResult, Result, Status
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.report.simulation import Simulation
from wps_run.report.values import action_text
from wps_run.text import (
    Label,
    Style,
    Styler,
    escape_invisible,
    truncate_middle,
    unstyled,
    wrap_lines,
)

MAX_ALIKE = 5
"""How many actions that are not ok for the same reason are listed; the others are counted."""

MAX_REASONS = 1000
"""The most reasons that are counted; actions with others are listed, which bounds the memory."""

MAX_COUNTED = 10
"""How many reasons are shown at the end, each with the number of actions that were not listed."""

MAX_HINTS = 5
"""How many different hints are repeated at the end, each with the number of actions it is for."""

_STYLES: Mapping[Status, Style] = {
    Status.OK: Style.SUCCESS,
    Status.FAILED: Style.ERROR,
    Status.UNKNOWN: Style.UNKNOWN,
    Status.SKIPPED: Style.WARNING,
}
_Reason = tuple[str, str, str, str, str]
"""Why actions are not ok: status, action, code, message without their names, and hint."""

_RESULT_COLUMNS = 27
"""The columns in front of the action: status, HTTP status and time."""

_INDENT = " " * 8
"""What the lines below an action begin with."""

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
        columns: Gives the width of the terminal, which lines then fit; None for any width.
        lists_all: Whether all actions are listed that are not ok for the same reason. Otherwise
            the first ones are, and the others are counted at the end.
    """

    def __init__(
        self,
        styler: Styler = unstyled,
        columns: Callable[[], int] | None = None,
        *,
        lists_all: bool = True,
    ) -> None:
        self._styler = styler
        self._columns = columns
        self._lists_all = lists_all
        self._alike: Counter[_Reason] = Counter()
        self._hints: Counter[str] = Counter()
        self._skip_codes: set[str] = set()
        self._has_expectations = False
        self._has_results = False
        self._has_final = False

    def begin(self, run_info: RunInfo) -> str:
        self._run_info = run_info
        return self._fit(f"{run_info_line(run_info, self._styler)}\n")

    def result(self, result: Result) -> str:
        self._has_results = True
        error = result.error
        if error is not None and not self._lists_all and self._is_repeated(result, error):
            self._hints.update([error.hint] if error.hint else ())
            return ""
        line = f"{_status(result, self._styler)} {_response(result)}  {self._action(result)}\n"
        if result.final is True and not self._has_final:
            self._has_final = True
            line = f"\nFinally\n{line}"
        if error is None:
            return line
        if result.status is Status.SKIPPED:
            if error.code in self._skip_codes:
                return line
            self._skip_codes.add(error.code)
        return line + self._fit(_reason(result, error) + self._hint(error.hint))

    def expectation(self, result: ExpectationResult) -> str:
        title = "" if self._has_expectations else "Expectations\n"
        if title and self._has_results:
            title = f"\n{title}"
        self._has_expectations = True
        text = f"{_status(result, self._styler)} {escape_invisible(result.statement)}\n"
        error = result.error
        if error is not None and not (
            result.status is Status.SKIPPED and error.code in self._skip_codes
        ):
            self._skip_codes.update([error.code] if result.status is Status.SKIPPED else ())
            reason = escape_invisible(f"{result.source}: {error.code}: {error.message}")
            is_new_hint = error.hint not in self._hints
            text += f"{_INDENT}{reason}\n{self._hint(error.hint) if is_new_hint else ''}"
        return self._fit(title + text)

    def _is_repeated(self, result: Result, error: ActionError) -> bool:
        """Count an action that is not ok; whether as many were listed for the same reason."""
        reason = _reason_of(result, error)
        if reason not in self._alike and len(self._alike) >= MAX_REASONS:
            return False
        self._alike[reason] += 1
        return self._alike[reason] > MAX_ALIKE

    def end(self, summary: Summary, simulations: Sequence[Simulation]) -> str:
        totals = summary_line(self._run_info, summary, self._styler)
        parts = [self._cut(simulation.as_text()) for simulation in simulations]
        rest = "".join((*self._unlisted(), *self._repeated_hints(), totals))
        if parts:
            parts.insert(0, self._fit(f"\n{simulations[0].scope_note}\n"))
        return "".join(parts) + self._fit(rest)

    def _action(self, result: Result) -> str:
        columns = self._columns() - _RESULT_COLUMNS if self._columns else None
        return action_text(
            result.action_name, result.target, escape_invisible(result.name or ""), columns
        )

    def _fit(self, text: str) -> str:
        """Break lines between words where they are wider than the terminal."""
        return wrap_lines(text, self._columns() if self._columns else None, _INDENT)

    def _cut(self, text: str) -> str:
        """Shorten lines that are wider than the terminal."""
        if self._columns is None:
            return text
        width = self._columns()
        return "\n".join(truncate_middle(line, width) for line in text.split("\n"))

    def _unlisted(self) -> Iterator[str]:
        """Yield the reasons of actions that were not listed, most frequent first."""
        reasons = [(key, count - MAX_ALIKE) for key, count in self._alike.most_common()]
        reasons = [(key, count) for key, count in reasons if count > 0]
        if reasons:
            yield "\n"
        for (status, action_name, code, message, _), count in reasons[:MAX_COUNTED]:
            reason = escape_invisible(f"{action_name}: {code}: {message}")
            yield f"… and {count:,} more {status} for the same reason: {reason}\n"
        others = sum(count for _, count in reasons[MAX_COUNTED:])
        if others:
            yield f"… and {others:,} more for {len(reasons) - MAX_COUNTED:,} other reasons\n"
        if reasons:
            yield f"{self._styler(Style.HINT, 'hint:')} -v lists all of them, and so do reports\n"

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

    def expectation(self, result: ExpectationResult) -> str:
        return super().expectation(result) if result.status in _FAILURES else ""

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

    def expectation(self, result: ExpectationResult) -> str:
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
    counts = ", ".join(_counts(summary.counts, styler))
    total = f"{summary.total} {'action' if summary.total == 1 else 'actions'}"
    destination = f"{run_info.destination}{run_info.part_suffix}"
    earlier = ""
    if summary.is_all_earlier:
        done = summary.total - summary.not_done
        earlier = f" ({done} of {summary.total} done earlier, nothing sent)"
    elif summary.earlier:
        earlier = f" ({summary.earlier} of {summary.total} from an earlier part)"
    lines = [f"{total}: {counts} in {summary.duration:.2f} s{earlier}"]
    if expected := summary.expectations.total():
        total = f"{expected} {'expectation' if expected == 1 else 'expectations'}"
        lines.append(f"{total}: {', '.join(_counts(summary.expectations, styler))}")
    shown = lines if summary.total else lines[-1:]
    return "\n" + "".join(f"{destination}: {line}\n" for line in shown)


def next_steps(
    summary: Summary,
    resume_command: str,
    journal: str,
    reports: Sequence[str] = (),
    shell_line: Callable[[Sequence[str]], str] = shlex.join,
) -> Iterator[tuple[Label, str]]:
    """Yield one line, with its label, for each file that a run wrote, and each thing to do next.

    Args:
        summary: How the run ended.
        resume_command: The command that resumes it; "" when it has no journal.
        journal: The path of its journal; "" when it has none.
        reports: The paths of its reports.
        shell_line: Returns arguments as a line for the shell of this system.
    """
    if journal:
        yield Label.NOTE, f"journal: {journal}"
    for report in reports:
        yield Label.NOTE, f"report: {report}"
    unknown = summary.counts[Status.UNKNOWN]
    if unknown:
        repeats = (
            "; --resume repeats only interrupted actions that are safe to repeat"
            if resume_command
            else ""
        )
        actions = "1 action" if unknown == 1 else f"{unknown:,} actions"
        message = f"{actions} may or may not have happened: check before you run again{repeats}"
        yield Label.WARNING, message
        if journal:
            command = f"{shell_line(['wps-run', 'resolve', journal])} N=done|redo"
            yield Label.HINT, f"to record what you find out: {command}"
    if summary.counts[Status.FAILED] and resume_command:
        yield Label.HINT, f"to retry the failed actions: {resume_command} --failed"
        if summary.not_done > 0:
            skip = f"to go on without the failed actions: {resume_command} --skip-failed"
            yield Label.HINT, skip


def _status(result: Result | ExpectationResult, styler: Styler) -> str:
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


def _reason_of(result: Result, error: ActionError) -> _Reason:
    """Return the reason of a result; in its message, names of the target are `…`."""
    message = error.message
    for value in result.target.values():
        if isinstance(value, str) and value in message:
            message = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", message)
    return result.status, result.action_name, error.code, message, error.hint


def _reason(result: Result, error: ActionError) -> str:
    attempts = f", {result.attempts} attempts" if result.attempts > 1 else ""
    message = escape_invisible(f"{result.source}: {error.code}: {error.message}")
    return f"        {message}{attempts}\n"


def _counts(counts: Mapping[str, int], styler: Styler) -> Iterator[str]:
    for status in Status:
        count = counts[status]
        text = f"{count} {status}"
        yield styler(_STYLES[status], text) if count else text
