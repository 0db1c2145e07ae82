"""Records for machines: the lines of ndjson, the one object of JSON, and what ends a run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wps_run.execution.latency import Latency
from wps_run.execution.record import in_json
from wps_run.execution.result import Status, Summary
from wps_run.execution.run_info import RunInfo

if TYPE_CHECKING:
    from wps_run.report.run_report import RunReport
    from wps_run.report.simulation import Simulation


def summary_record(heading: RunInfo, summary: Summary) -> dict[str, Any]:
    """The record that ends a run, and says where the run went."""
    return {
        "type": "summary",
        "total": summary.total,
        **{str(status): summary.counts[status] for status in Status},
        "durationMs": round(summary.duration * 1000, 3),
        "perSecond": round(summary.per_second, 3),
        "latencyMs": _percentiles(summary.latency),
        "exitCode": summary.exit_code,
        "destination": heading.destination,
        "endpoints": list(heading.endpoints),
        "hubs": list(heading.hubs),
        **({"shard": str(heading.shard)} if heading.shard else {}),
    }


def line(record: Mapping[str, Any]) -> str:
    """A record as one line of ndjson, with its line break."""
    return in_json(record) + "\n"


def ndjson(account: "RunReport") -> Iterator[str]:
    """A record a line: results in the order of the playbook, what would happen, the summary."""
    for record in account.records:
        yield record.line
    yield from (line(outlook.as_json()) for outlook in account.outlooks)
    yield line(summary_record(account.heading, account.summary))


def json(account: "RunReport") -> Iterator[str]:
    """One object, on one line."""
    lines = (record.line for record in account.records)
    yield from json_pieces(account.heading, lines, account.summary, account.outlooks)


def json_pieces(
    heading: RunInfo, lines: Iterable[str], summary: Summary, outlooks: "Sequence[Simulation]"
) -> Iterator[str]:
    """The object, piece by piece: the summary, the results in the order of their lines."""
    yield f'{{"summary":{in_json(summary_record(heading, summary))},"results":['
    comma = ""
    for result in lines:
        yield comma + result[:-1]
        comma = ","
    yield "]"
    if outlooks:
        yield f',"rehearsal":{in_json([outlook.as_json() for outlook in outlooks])}'
    yield "}\n"


def _percentiles(latency: Latency) -> dict[str, float] | None:
    """Milliseconds; None when nothing started."""
    if not latency.count:
        return None
    percentiles = {f"p{percent}": latency.percentile(percent) for percent in (50, 90, 99)}
    return {**percentiles, "max": latency.most}
