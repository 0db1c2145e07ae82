"""The formats that a run's results can be given in: one class a format, listed by name."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from runner.execution.record import Record
from runner.execution.result import Status, Summary
from runner.report.heading import Heading
from runner.report.outlook import Outlook, outlook_lines, outlook_record
from runner.report.records import line, summary_record
from runner.report.text import result_lines, summary_lines


class Reporter(Protocol):
    """Turns a run into text, piece by piece; its caller writes what it returns."""

    def begin(self, heading: Heading) -> str:
        """What comes before the first result."""
        ...

    def result(self, record: Record) -> str:
        """What to write for one result, as it comes."""
        ...

    def end(self, summary: Summary, outlooks: Sequence[Outlook]) -> str:
        """What ends the report; outlooks are there after a rehearsal."""
        ...


class Text:
    """For people: a line a result, why it failed, and what would happen."""

    def begin(self, heading: Heading) -> str:
        """The heading, on one line."""
        self._heading = heading
        return f"{heading}\n\n"

    def result(self, record: Record) -> str:
        """The result's line, and what to do about a failure."""
        return result_lines(record)

    def end(self, summary: Summary, outlooks: Sequence[Outlook]) -> str:
        """What would happen, then the totals."""
        return "".join(map(outlook_lines, outlooks)) + summary_lines(self._heading, summary)


class Quiet(Text):
    """For people who want to see only what is not ok, and the totals."""

    def begin(self, heading: Heading) -> str:
        """Nothing; the summary says where the run went."""
        self._heading = heading
        return ""

    def result(self, record: Record) -> str:
        """The result, unless it is ok."""
        return "" if record.status is Status.OK else result_lines(record)

    def end(self, summary: Summary, outlooks: Sequence[Outlook]) -> str:
        """The totals."""
        del outlooks
        return summary_lines(self._heading, summary).lstrip("\n")


class Ndjson:
    """For machines that read along: a record a line, the summary last."""

    def begin(self, heading: Heading) -> str:
        """Nothing; the summary says where the run went."""
        self._heading = heading
        return ""

    def result(self, record: Record) -> str:
        """The result's record."""
        return line(record.as_json())

    def end(self, summary: Summary, outlooks: Sequence[Outlook]) -> str:
        """What would happen, a record a hub, then the summary."""
        records = [*map(outlook_record, outlooks), summary_record(self._heading, summary)]
        return "".join(map(line, records))


class Json:
    """For machines that read at the end: one object, results in the order of the playbook."""

    def begin(self, heading: Heading) -> str:
        """Nothing; all is written at the end."""
        self._heading = heading
        self._results: list[dict[str, Any]] = []
        return ""

    def result(self, record: Record) -> str:
        """Nothing yet; the result is kept."""
        self._results.append(record.as_json())
        return ""

    def end(self, summary: Summary, outlooks: Sequence[Outlook]) -> str:
        """The whole report."""
        report: dict[str, Any] = {
            "summary": summary_record(self._heading, summary),
            "results": sorted(self._results, key=lambda one: int(one["index"])),
        }
        if outlooks:
            report["rehearsal"] = list(map(outlook_record, outlooks))
        return line(report)


class Silent:
    """Nothing at all; the exit code says how the run ended."""

    def begin(self, heading: Heading) -> str:
        """Nothing."""
        del heading
        return ""

    def result(self, record: Record) -> str:
        """Nothing."""
        del record
        return ""

    def end(self, summary: Summary, outlooks: Sequence[Outlook]) -> str:
        """Nothing."""
        del summary, outlooks
        return ""


REPORTERS: Mapping[str, Callable[[], Reporter]] = MappingProxyType(
    {"text": Text, "ndjson": Ndjson, "json": Json, "none": Silent}
)
"""Format name to reporter."""
