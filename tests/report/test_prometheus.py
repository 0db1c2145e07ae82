"""Metrics as Prometheus' own parser reads them, under the names that `promtool` accepts."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from wps_run.execution.result import ActionError, Attempt, ExpectationResult, Result, Status
from wps_run.execution.run_info import Destination
from wps_run.execution.summary import Summary
from wps_run.playbook.shards import Shard
from wps_run.report.prometheus import prometheus
from wps_run.report.run_report import RunReport

RUN_LABELS = {
    "destination": "SERVICE",
    "endpoint": "contoso.example",
    "hub": "chat",
    "playbook": "Open the rooms",
}
NAMES = st.text('"\\\n\r\0\x85{},=# é😀', max_size=8) | st.text(max_size=20)


def families(report: RunReport) -> list[Metric]:
    """The metrics of a report."""
    return list(text_string_to_metric_families("".join(prometheus(report))))


def samples(report: RunReport) -> dict[Any, float]:
    """Each sample by its name and by the values of its own labels."""
    found: dict[Any, float] = {}
    for metric in families(report):
        for sample in metric.samples:
            own = [value for name, value in sample.labels.items() if name not in RUN_LABELS]
            key = (sample.name.removeprefix("wps_run_"), *own)
            assert key not in found
            found[key] = sample.value
    return found


RESERVED = {"gauge", "summary", "count", "sum", "bucket", "info", "total", "ms", "milliseconds"}


def broken_rules(metrics: list[Metric]) -> Iterator[str]:
    """Check the rules of `promtool check metrics`, and of those who read files and pushes."""
    for metric in metrics:
        if not metric.documentation or metric.type not in {"gauge", "summary"}:
            yield f"{metric.name} has no help, or another type"
        if not re.fullmatch(r"wps_run(_[a-z]+)+", metric.name):
            yield f"{metric.name} is not in snake case"
        if RESERVED & set(metric.name.split("_")):
            yield f"{metric.name} has a reserved word or another unit in its name"
        for sample in metric.samples:
            if sample.timestamp is not None:
                yield f"{sample.name} has a timestamp"
            if "quantile" in sample.labels and metric.type != "summary":
                yield f"{sample.name} has a reserved label"


def test_the_totals_are_by_action_and_by_status(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result]
) -> None:
    """All four statuses of each action, so that a query finds zeros, too."""
    error = ActionError("c", "m")
    report = make_report(
        make_result(),
        make_result(index=4, status=Status.FAILED, error=error),
        make_result(index=5, action_name="sendToAll", status=Status.UNKNOWN, error=error),
    )

    found = samples(report)

    assert {key[1:]: value for key, value in found.items() if key[0] == "actions"} == {
        ("addUserToGroup", "ok"): 1,
        ("addUserToGroup", "failed"): 1,
        ("addUserToGroup", "unknown"): 0,
        ("addUserToGroup", "skipped"): 0,
        ("sendToAll", "ok"): 0,
        ("sendToAll", "failed"): 0,
        ("sendToAll", "unknown"): 1,
        ("sendToAll", "skipped"): 0,
    }
    assert found["exit_code",] == report.summary.exit_code == 3


def test_times_are_in_seconds(make_report: Callable[..., RunReport]) -> None:
    """The quantiles are those of the other reports; the sum and the count are exact."""
    found = samples(make_report())

    assert found["start_timestamp_seconds",] == 1_795_528_800
    assert found["end_timestamp_seconds",] == 1_795_528_801.5
    assert found["duration_seconds",] == 1.5
    assert {key[1:]: value for key, value in found.items() if "action_duration" in key[0]} == {
        ("0.5",): 0.0031,
        ("0.9",): 0.25,
        ("0.99",): 0.25,
        ("1",): 0.25,
        (): 2,
    }
    assert found["action_duration_seconds_sum",] == 0.2531
    assert found["action_duration_seconds_count",] == 2


def test_attempts_are_counted(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result]
) -> None:
    """All of them, the actions with more than one, and those that were throttled."""
    tries = (Attempt(0.5, 429, "TooManyRequests", 1.0), Attempt(2.0, 503, None, 1.0))
    found = samples(make_report(make_result(), make_result(index=4, attempts=3, tries=tries)))

    assert found["attempts",] == 4
    assert found["retried_actions",] == 1
    assert found["throttled_attempts",] == 2


def test_expectations_are_counted_apart(make_report: Callable[..., RunReport]) -> None:
    """They are not in the number of actions."""
    summary = Summary(Counter())
    error = ActionError("c", "m")
    summary.count_expectation(ExpectationResult(0, "s", "p:1", Status.FAILED, error, 1.0))

    found = samples(make_report(summary=summary))

    assert found["expectations", "failed"] == 1
    assert found["expectations", "ok"] == 0


def test_a_run_that_did_not_end_has_actions_without_a_name(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result]
) -> None:
    """The sum is that of the other reports; there is no time of an end."""
    summary = Summary(Counter({Status.OK: 1, Status.UNKNOWN: 1, Status.SKIPPED: 7}))
    found = samples(make_report(make_result(), summary=summary, is_finished=False))

    assert found["finished",] == 0
    assert (found["actions", "unknown"], found["actions", "skipped"]) == (1, 7)
    assert sum(value for key, value in found.items() if key[0] == "actions") == 9
    assert ("end_timestamp_seconds",) not in found


def test_a_run_without_actions_has_all_metrics(make_report: Callable[..., RunReport]) -> None:
    """No quantile is made up."""
    found = samples(make_report(results=(), summary=Summary(Counter())))

    assert [found["actions", status] for status in Status] == [0, 0, 0, 0]
    assert found["action_duration_seconds_count",] == 0
    assert ("action_duration_seconds", "0.5") not in found


def test_every_sample_says_of_which_run_it_is(make_report: Callable[..., RunReport]) -> None:
    """The files of several runs can be in one folder. The port of an emulator is no label."""
    report = make_report()
    local = replace(
        report.run_info,
        destination=Destination.LOCAL,
        endpoints=("127.0.0.1:50123",),
        environment_name="prod",
        selection="--tags a",
        shard=Shard(2, 3),
    )

    for metric in families(report):
        assert all(RUN_LABELS.items() <= sample.labels.items() for sample in metric.samples)
    for metric in families(make_report(run_info=local)):
        for sample in metric.samples:
            assert (
                sample.labels.items()
                >= {
                    "destination": "LOCAL",
                    "hub": "chat",
                    "playbook": "Open the rooms",
                    "environment": "prod",
                    "selection": "--tags a",
                    "shard": "2/3",
                }.items()
            )
            assert "endpoint" not in sample.labels


@example(name='say "a\\b"\n')
@given(name=NAMES)
def test_whatever_the_names_it_is_valid(make_report: Callable[..., RunReport], name: str) -> None:
    """Quotes, backslashes and line breaks come back; other control characters are text."""
    text = "".join(prometheus(make_report(playbook=name)))
    metrics = list(text_string_to_metric_families(text))
    (sample,) = metrics[0].samples

    text.encode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert list(broken_rules(metrics)) == []
    if re.fullmatch(r"[\n -~]*", name):
        assert sample.labels["playbook"] == name
