"""The formats that a run's results can be given in: one class a format, listed by name.

The formats of report files, by suffix.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from wps_run.execution.record import Record
from wps_run.execution.result import Status, Summary
from wps_run.execution.run_info import RunInfo
from wps_run.problems import Styler, plain
from wps_run.report.html.page import page
from wps_run.report.junit import junit
from wps_run.report.markdown import markdown
from wps_run.report.records import json, json_pieces, line, ndjson, summary_record
from wps_run.report.run_report import RunReport
from wps_run.report.text import Lines, heading_line, summary_lines

if TYPE_CHECKING:
    from wps_run.report.simulation import Simulation


class Reporter(Protocol):
    """Turns a run into text, piece by piece; its caller writes what it returns."""

    def begin(self, heading: RunInfo) -> str:
        """What comes before the first result."""
        ...

    def result(self, record: Record) -> str:
        """What to write for one result, as it comes."""
        ...

    def end(self, summary: Summary, outlooks: "Sequence[Simulation]") -> str:
        """What ends the report; outlooks are there after a rehearsal."""
        ...


class Text:
    """For people: a line a result, why it failed, and what would happen.

    Args:
        paint: Gives it its colours.
    """

    def __init__(self, paint: Styler = plain) -> None:
        self._paint = paint
        self._lines = Lines(paint)

    def begin(self, heading: RunInfo) -> str:
        """The heading, on one line."""
        self._heading = heading
        return f"{heading_line(heading, self._paint)}\n"

    def result(self, record: Record) -> str:
        """The result's line, and what to do about a failure."""
        return self._lines.result(record)

    def end(self, summary: Summary, outlooks: "Sequence[Simulation]") -> str:
        """What would happen, the hints that many actions share, then the totals."""
        totals = summary_lines(self._heading, summary, self._paint)
        return "".join((*(one.lines() for one in outlooks), self._lines.repeated(), totals))


class Quiet(Text):
    """For people who want to see only failures, and the totals."""

    def begin(self, heading: RunInfo) -> str:
        """Nothing; the summary says where the run went."""
        self._heading = heading
        return ""

    def result(self, record: Record) -> str:
        """The result when it failed or is unknown; what is skipped is in the totals."""
        return self._lines.result(record) if record.status in _FAILURES else ""

    def end(self, summary: Summary, outlooks: "Sequence[Simulation]") -> str:
        """The totals."""
        del outlooks
        return super().end(summary, ()).lstrip("\n")


_FAILURES = {Status.FAILED, Status.UNKNOWN}


class Ndjson:
    """For machines that read along: a record a line, the summary last."""

    def begin(self, heading: RunInfo) -> str:
        """Nothing; the summary says where the run went."""
        self._heading = heading
        return ""

    def result(self, record: Record) -> str:
        """The result's record."""
        return record.line

    def end(self, summary: Summary, outlooks: "Sequence[Simulation]") -> str:
        """What would happen, a record a hub, then the summary."""
        records = [*(one.as_json() for one in outlooks), summary_record(self._heading, summary)]
        return "".join(map(line, records))


class Json:
    """For machines that read at the end: one object, results in the order of the playbook."""

    def begin(self, heading: RunInfo) -> str:
        """Nothing; all is written at the end."""
        self._heading = heading
        self._results: list[tuple[int, str]] = []
        return ""

    def result(self, record: Record) -> str:
        """Nothing yet; the result is kept."""
        self._results.append((record.index, record.line))
        return ""

    def end(self, summary: Summary, outlooks: "Sequence[Simulation]") -> str:
        """The whole report."""
        lines = (text for _, text in sorted(self._results))
        return "".join(json_pieces(self._heading, lines, summary, outlooks))


class Silent:
    """Nothing at all; the exit code says how the run ended."""

    def begin(self, heading: RunInfo) -> str:
        """Nothing."""
        del heading
        return ""

    def result(self, record: Record) -> str:
        """Nothing."""
        del record
        return ""

    def end(self, summary: Summary, outlooks: "Sequence[Simulation]") -> str:
        """Nothing."""
        del summary, outlooks
        return ""


REPORTERS: Mapping[str, Callable[[], Reporter]] = MappingProxyType(
    {"text": Text, "ndjson": Ndjson, "json": Json, "none": Silent}
)
"""Format name to reporter."""


FILES: Mapping[str, Callable[[RunReport], Iterator[str]]] = MappingProxyType(
    {".json": json, ".ndjson": ndjson, ".xml": junit, ".html": page, ".md": markdown}
)
"""Suffix to what gives the file's text, piece by piece. The same account gives the same text."""
