r"""A report in Prometheus' text format, for node exporter's textfile collector and for Pushgateway.

The values are those of one run, so none of them is a counter. No sample has a timestamp, since
neither reader accepts one. Each sample has the labels of the run, so that the files of several runs
can be in one folder.

Source: version 0.0.4 of the format; the naming rules of `promtool check metrics`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from wps_run.execution.result import Result, Status
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.report.run_report import RunReport
from wps_run.report.statistics import statistics_of
from wps_run.text import escape_controls

_Labels = Mapping[str, str]

_PERCENTILES = (50, 90, 99)
"""As in the other reports. The maximum is the quantile 1."""


class _Sample(NamedTuple):
    """One value of a metric, and what distinguishes it from the metric's other ones."""

    value: float
    labels: _Labels = MappingProxyType({})
    suffix: str = ""


class _Metric(NamedTuple):
    """A metric with its samples; the name is without its prefix `wps_run_`."""

    name: str
    help: str
    samples: Iterable[_Sample]
    type: str = "gauge"


def prometheus(report: RunReport) -> Iterator[str]:
    """Yield the text in pieces, one for each metric."""
    run_labels = _run_labels(report.run_info)
    for metric in _metrics(report):
        name = f"wps_run_{metric.name}"
        lines = [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.type}"]
        lines += (
            f"{name}{sample.suffix}{_label_text({**run_labels, **sample.labels})} {sample.value!r}"
            for sample in metric.samples
        )
        yield "\n".join(lines) + "\n"


def _metrics(report: RunReport) -> Iterator[_Metric]:
    summary = report.summary
    started = datetime.fromisoformat(report.started).timestamp()
    yield _Metric(
        "exit_code",
        "The exit code of the run: 0 ok, 1 failed, 3 unknown, 128 + signal interrupted.",
        [_Sample(summary.exit_code)],
    )
    yield _Metric(
        "finished",
        "Whether the run ended by itself (1), or its process ended during the run (0).",
        [_Sample(int(report.is_finished))],
    )
    yield _Metric(
        "start_timestamp_seconds",
        "When the run started; a resumed run, when its first part did.",
        [_Sample(started)],
    )
    duration = round(summary.duration, 6)  # as in the journal
    if report.is_finished:
        ended = started + summary.since_ms / 1000 + duration
        yield _Metric("end_timestamp_seconds", "When the run ended.", [_Sample(round(ended, 3))])
    yield _Metric(
        "duration_seconds",
        "How long the run took; a resumed run, its last part.",
        [_Sample(duration)],
    )
    yield _Metric(
        "actions",
        "Actions by status; those that a run left without a result have no action label.",
        _action_samples(report),
    )
    yield _Metric(
        "expectations",
        "Expectations by status.",
        [_Sample(summary.expectations[status], {"status": status}) for status in Status],
    )
    yield from _attempt_metrics(report.results)
    yield _Metric(
        "action_duration_seconds",
        "How long actions took that started, pauses between attempts included; quantile 1 is the "
        "maximum.",
        _duration_samples(summary, report.results),
        type="summary",
    )


def _action_samples(report: RunReport) -> Iterator[_Sample]:
    recorded = Counter((result.action_name, result.status) for result in report.results)
    for action in sorted({action for action, _ in recorded}):
        for status in Status:
            yield _Sample(recorded[action, status], {"action": action, "status": status})
    for status in Status:
        missing = report.summary.counts[status] - sum(
            count for (_, each), count in recorded.items() if each is status
        )
        if missing or not recorded:
            yield _Sample(missing, {"status": status})


def _attempt_metrics(results: Iterable[Result]) -> Iterator[_Metric]:
    statistics = statistics_of(results)
    yield _Metric(
        "attempts",
        "Requests that were sent for actions, or may have been.",
        [_Sample(sum(result.attempts for result in results))],
    )
    yield _Metric(
        "retried_actions",
        "Actions that took more than one attempt.",
        [_Sample(statistics.retried)],
    )
    yield _Metric(
        "throttled_attempts",
        "Attempts with the HTTP status 429 or 503.",
        [_Sample(statistics.throttled)],
    )


def _duration_samples(summary: Summary, results: Iterable[Result]) -> Iterator[_Sample]:
    latency = summary.latency
    if latency.count:
        for percent in _PERCENTILES:
            seconds = latency.percentile(percent) / 1000
            yield _Sample(round(seconds, 6), {"quantile": str(percent / 100)})
        yield _Sample(round(latency.longest_ms / 1000, 6), {"quantile": "1"})
    # In whole microseconds, so that the sum does not depend on the order.
    total = sum(
        round(result.duration_ms * 1000) for result in results if result.started_ms is not None
    )
    yield _Sample(total / 1_000_000, suffix="_sum")
    yield _Sample(latency.count, suffix="_count")


def _run_labels(run_info: RunInfo) -> dict[str, str]:
    """Return the labels of all samples.

    Those that most runs do not have come only where they have a value. The endpoint of a rehearsal
    is another one each time, so it is left out.
    """
    is_local = run_info.destination is Destination.LOCAL
    optional = {
        "endpoint": "" if is_local else ", ".join(run_info.endpoints),
        "environment": run_info.environment_name or "",
        "selection": run_info.selection,
        "shard": str(run_info.shard or ""),
    }
    return {
        "destination": run_info.destination,
        "hub": ", ".join(run_info.hubs),
        "playbook": ", ".join(run_info.playbooks),
        **{name: value for name, value in optional.items() if value},
    }


def _label_text(labels: _Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    r"""Return a label's value escaped.

    Readers disagree about other control characters than a line break, so these are text: `\u0000`.
    """
    lines = (
        escape_controls(line).replace("\\", r"\\").replace('"', r"\"") for line in value.split("\n")
    )
    return r"\n".join(lines)
