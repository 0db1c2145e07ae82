"""A run told again from its journal: the heading, the records and the totals it had."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.execution.history import History
from runner.execution.record import Record, record_from
from runner.execution.result import Status, Summary
from runner.report.heading import Destination, Heading


@dataclass(frozen=True, slots=True)
class Replay:
    """What a journal knows of a run.

    Attributes:
        heading: What was run, and where.
        records: The last record of each action that ended, in the order of the playbook.
        summary: The totals. In a run that was broken off, what may have left counts as unknown
            and what was not done as skipped.
        finished: Whether the run came to its end.
    """

    heading: Heading
    records: tuple[Record, ...]
    summary: Summary
    finished: bool


def replay(history: History) -> Replay:
    """Tell a run again.

    Raises:
        KeyError: The header lacks something; no journal of ours does.
    """
    records = tuple(map(record_from, history.ended()))
    summary = Summary(Counter())
    for record in records:
        summary.add(record.status, record.error)
    heading = heading_from(history.header)
    summary.counts[Status.UNKNOWN] += len(history.sending)
    summary.counts[Status.SKIPPED] += max(0, heading.total - summary.total)
    if history.summary is not None:
        summary.duration = history.summary["durationMs"] / 1000
        code = history.summary["exitCode"]
        summary.interrupted_by = code - 128 if code > 128 else None  # noqa: PLR2004 -- 128 + signal
    return Replay(heading, records, summary, finished=history.summary is not None)


def heading_record(heading: Heading) -> dict[str, Any]:
    """A heading as the header of a journal has it."""
    return {
        "destination": heading.destination,
        "endpoints": list(heading.endpoints),
        "hubs": list(heading.hubs),
        "playbooks": list(heading.playbooks),
        "total": heading.total,
        "pace": heading.pace,
    }


def heading_from(record: Mapping[str, Any]) -> Heading:
    """The heading that a journal's header has."""
    return Heading(
        destination=Destination(record["destination"]),
        endpoints=tuple(record["endpoints"]),
        hubs=tuple(record["hubs"]),
        playbooks=tuple(record["playbooks"]),
        total=record["total"],
        pace=record["pace"],
    )
