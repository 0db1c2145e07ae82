"""A run told again from its journal: the heading, the records and the totals it had."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.execution.history import History
from runner.execution.record import Record, record_from
from runner.execution.result import Status, Summary
from runner.playbook.shards import Shard
from runner.problems import JournalError
from runner.report.account import Account
from runner.report.heading import Destination, Heading
from runner.report.outlook import outlook_from


@dataclass(frozen=True, slots=True)
class _Ended:
    """The records of the actions that ended, read anew from the journal each time."""

    history: History

    def __iter__(self) -> Iterator[Record]:
        return map(record_from, self.history.ended())


def replay(history: History) -> Account:
    """Tell a run again, as the run itself told it.

    Raises:
        JournalError: The journal was edited, and something in it is not as we write it.
    """
    records = _Ended(history)
    summary = Summary(Counter(), since_ms=history.elapsed * 1000)
    for record in records:
        summary.count(record)
    try:
        heading = _heading(history)
        outlooks = tuple(map(outlook_from, history.rehearsals))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise JournalError(f"the journal is damaged: {error}") from None
    summary.counts[Status.UNKNOWN] += len(history.sending)
    summary.counts[Status.SKIPPED] += max(0, heading.total - summary.total)
    if history.summary is not None:
        summary.duration = history.summary["durationMs"] / 1000
        code = history.summary["exitCode"]
        summary.interrupted_by = code - 128 if code > 128 else None  # noqa: PLR2004 -- 128 + signal
    finished = history.summary is not None
    return Account(
        heading, history.header["started"], records, summary, outlooks, finished=finished
    )


def _heading(history: History) -> Heading:
    """The heading of its last part, which may be run at another pace than the first."""
    resumed = history.resumed
    return heading_from(resumed if resumed and "destination" in resumed else history.header)


def heading_record(heading: Heading) -> dict[str, Any]:
    """A heading as the header of a journal has it."""
    return {
        "destination": heading.destination,
        "endpoints": list(heading.endpoints),
        "hubs": list(heading.hubs),
        "playbooks": list(heading.playbooks),
        "total": heading.total,
        "pace": heading.pace,
        **_shard_record(heading),
    }


def _shard_record(heading: Heading) -> dict[str, Any]:
    shard = heading.shard
    return (
        {"shard": {"number": shard.number, "count": shard.count, "of": heading.whole}}
        if shard
        else {}
    )


def heading_from(record: Mapping[str, Any]) -> Heading:
    """The heading that a journal's header has."""
    shard = record.get("shard")
    return Heading(
        destination=Destination(record["destination"]),
        endpoints=tuple(record["endpoints"]),
        hubs=tuple(record["hubs"]),
        playbooks=tuple(record["playbooks"]),
        total=record["total"],
        pace=record["pace"],
        shard=Shard(shard["number"], shard["count"]) if shard else None,
        whole=shard["of"] if shard else record["total"],
    )
