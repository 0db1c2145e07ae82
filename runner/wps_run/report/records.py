"""Records for programs: lines of ndjson, one JSON object, and the record of a summary."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wps_run.execution.result import Count, ExpectationResult, Milliseconds, Result, Status
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import LatencyHistogram, Summary
from wps_run.journal.format import encode_text
from wps_run.playbook.steps import Step
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import Simulation


def step_fields(step: Step) -> dict[str, Any]:
    """Return what records of a step, of whatever kind, have in common."""
    return {
        "index": step.index,
        "action": step.action_index,
        "item": step.item,
        "action_name": step.action.name,
        "name": step.name,
        "target": step.target,
        "source": step.source,
        "final": True if step.is_final else UNSET,
    }


class NdjsonReporter:
    """Reports one record per line as actions end, the summary last."""

    def begin(self, run_info: RunInfo) -> str:
        """Return no text; the summary has the destination."""
        self._run_info = run_info
        return ""

    def result(self, result: Result) -> str:
        return line(result)

    def expectation(self, result: ExpectationResult) -> str:
        return line(result)

    def end(self, summary: Summary, simulations: Sequence[Simulation]) -> str:
        records = [*(simulation.as_json() for simulation in simulations)]
        return "".join(map(line, (*records, summary_record(self._run_info, summary))))


class JsonReporter:
    """Reports one JSON object at the end, with the results in the order of the playbook."""

    def begin(self, run_info: RunInfo) -> str:
        self._run_info = run_info
        self._lines: list[tuple[int, str]] = []
        self._expectations: list[ExpectationResult] = []
        return ""

    def result(self, result: Result) -> str:
        """Store the record; return no text."""
        self._lines.append((result.index, line(result)))
        return ""

    def expectation(self, result: ExpectationResult) -> str:
        """Store the record; return no text."""
        self._expectations.append(result)
        return ""

    def end(self, summary: Summary, simulations: Sequence[Simulation]) -> str:
        lines = (text for _, text in sorted(self._lines))
        pieces = _object(self._run_info, lines, summary, simulations, self._expectations)
        return "".join(pieces)


def json_pieces(report: RunReport) -> Iterator[str]:
    """Yield the JSON object of a report, on one line, in pieces."""
    lines = (line(result) for result in report.results)
    return _object(report.run_info, lines, report.summary, report.simulations, report.expectations)


def _object(
    run_info: RunInfo,
    lines: Iterable[str],
    summary: Summary,
    simulations: Sequence[Simulation],
    expectations: Sequence[ExpectationResult],
) -> Iterator[str]:
    yield f'{{"summary":{encode_text(summary_record(run_info, summary))},"results":['
    comma = ""
    for text in lines:
        yield comma + text[:-1]
        comma = ","
    yield "]"
    if expectations:
        yield f',"expectations":{encode_text(expectations)}'
    if simulations:
        yield f',"rehearsal":{encode_text([simulation.as_json() for simulation in simulations])}'
    yield "}\n"


def line(record: Result | ExpectationResult | Mapping[str, Any]) -> str:
    """Return a record as one line of ndjson, with its line break."""
    return encode_text(record) + "\n"


class StatusCounts(Struct, frozen=True):
    """How many have each status.

    Attributes:
        ok: How many hold.
        failed: How many do not.
        unknown: How many cannot be read.
        skipped: How many were not checked.
    """

    ok: Count
    failed: Count
    unknown: Count
    skipped: Count


class LatencyPercentiles(Struct, frozen=True):
    """How long the actions took, in milliseconds.

    Attributes:
        p50: What half of them did not exceed.
        p90: What 90 % of them did not exceed.
        p99: What 99 % of them did not exceed.
        max: The longest.
    """

    p50: Milliseconds
    p90: Milliseconds
    p99: Milliseconds
    max: Milliseconds


class RunTotals(Struct, frozen=True, kw_only=True, rename="camel", tag="summary"):
    """The last record of a run: its totals and its destination.

    Attributes:
        total: The number of actions.
        ok: How many of them the service accepted.
        failed: How many failed.
        unknown: How many may or may not have happened.
        skipped: How many were not carried out.
        duration_ms: Milliseconds that this part of the run took.
        per_second: How many actions this part carried out in a second.
        latency_ms: How long the actions took that started, or null if none did.
        exit_code: The exit code of the run.
        expectations: The number of expectations by status, if there are any.
        earlier: How many results are of an earlier part of a resumed run, if any.
        destination: Where the actions were sent.
        endpoints: Host and port of each service.
        hubs: The hubs.
        shard: The shard, if the run was one: `2/4`.
        selection: The flags that selected a part of the plan, if there were any.
        environment: The environment of `wps-run.yaml` that was chosen, if any.
    """

    total: Count
    ok: Count
    failed: Count
    unknown: Count
    skipped: Count
    duration_ms: Milliseconds
    per_second: Annotated[float, Meta(ge=0)]
    latency_ms: LatencyPercentiles | None
    exit_code: Annotated[int, Meta(ge=0, le=255)]
    expectations: StatusCounts | UnsetType = UNSET
    earlier: Count | UnsetType = UNSET
    destination: Destination
    endpoints: tuple[str, ...]
    hubs: tuple[str, ...]
    shard: Annotated[str, Meta(extra_json_schema={"pattern": r"^\d+/\d+$"})] | UnsetType = UNSET
    selection: str | UnsetType = UNSET
    environment: str | UnsetType = UNSET


class JsonReport(Struct, frozen=True):
    """What `--output json` writes: the records of a run as one object.

    Attributes:
        summary: The totals.
        results: The results, in the order of the playbook.
        expectations: The results of the expectations, if there are any.
        rehearsal: What a rehearsal found, for each hub.
    """

    summary: RunTotals
    results: tuple[Result, ...]
    expectations: tuple[ExpectationResult, ...] | UnsetType = UNSET
    rehearsal: tuple[Simulation, ...] | UnsetType = UNSET


def summary_record(run_info: RunInfo, summary: Summary) -> dict[str, Any]:
    """Return the last record of a run: its totals and its destination."""
    totals = RunTotals(
        total=summary.total,
        **_by_status(summary.counts),
        duration_ms=round(summary.duration * 1000, 3),
        per_second=round(summary.per_second, 3),
        latency_ms=_percentiles(summary.latency),
        exit_code=summary.exit_code,
        expectations=(
            StatusCounts(**_by_status(summary.expectations))
            if summary.expectations.total()
            else UNSET
        ),
        earlier=summary.earlier or UNSET,
        destination=run_info.destination,
        endpoints=run_info.endpoints,
        hubs=run_info.hubs,
        shard=str(run_info.shard) if run_info.shard else UNSET,
        selection=run_info.selection or UNSET,
        environment=run_info.environment_name or UNSET,
    )
    record: dict[str, Any] = msgspec.to_builtins(totals)
    return record


def _by_status(counts: Mapping[str, int]) -> dict[str, int]:
    return {str(status): counts[status] for status in Status}


def _percentiles(latency: LatencyHistogram) -> LatencyPercentiles | None:
    """Return milliseconds by percentile, or None when no action started."""
    if not latency.count:
        return None
    p50, p90, p99 = map(latency.percentile, (50, 90, 99))
    return LatencyPercentiles(p50, p90, p99, latency.longest_ms)
