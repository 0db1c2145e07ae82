"""Records for programs: lines of ndjson, one JSON object, and the record of a summary."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wps_run.execution.result import ExpectationResult, Result, Status
from wps_run.execution.run_info import RunInfo
from wps_run.execution.summary import LatencyHistogram, Summary
from wps_run.journal.format import encode_text
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import Simulation


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


def summary_record(run_info: RunInfo, summary: Summary) -> dict[str, Any]:
    """Return the last record of a run: its totals and its destination."""
    return {
        "type": "summary",
        "total": summary.total,
        **{str(status): summary.counts[status] for status in Status},
        "durationMs": round(summary.duration * 1000, 3),
        "perSecond": round(summary.per_second, 3),
        "latencyMs": _percentiles(summary.latency),
        "exitCode": summary.exit_code,
        **_expectation_counts(summary),
        **({"earlier": summary.earlier} if summary.earlier else {}),
        "destination": run_info.destination,
        "endpoints": list(run_info.endpoints),
        "hubs": list(run_info.hubs),
        **({"shard": str(run_info.shard)} if run_info.shard else {}),
        **({"selection": run_info.selection} if run_info.selection else {}),
    }


def _expectation_counts(summary: Summary) -> dict[str, dict[str, int]]:
    """Return the number of expectations by status, if there are any."""
    if not summary.expectations.total():
        return {}
    return {"expectations": {str(status): summary.expectations[status] for status in Status}}


def _percentiles(latency: LatencyHistogram) -> dict[str, float] | None:
    """Return milliseconds by percentile, or None when no action started."""
    if not latency.count:
        return None
    percentiles = {f"p{percent}": latency.percentile(percent) for percent in (50, 90, 99)}
    return {**percentiles, "max": latency.longest_ms}
