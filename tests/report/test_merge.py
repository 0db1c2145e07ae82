"""The journals of all shards are merged into one report; others are refused."""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from wps_run.journal.format import UNCHECKED_VERSION, VERSION, Chain, encode
from wps_run.journal.reader import History, read_history
from wps_run.problems import JournalError
from wps_run.report.merge import merge_histories
from wps_run.report.prometheus import prometheus

WHOLE = 6
STARTED = "2026-11-24T12:00:0{}.000+00:00"


def result(index: int, status: str = "ok", **changes: Any) -> dict[str, Any]:
    """Make the record of a result."""
    error = {"code": "x", "message": "no", "hint": ""}
    return {
        "type": "result",
        "index": index,
        "action": 0,
        "item": index,
        "actionName": "addUserToGroup",
        "name": None,
        "target": {"userId": f"u{index}", "group": "red"},
        "source": f"m.csv:{index + 2}",
        "status": status,
        "httpStatus": 200,
        "attempts": 1,
        "durationMs": 5.0,
        "requestId": f"r{index}",
        "error": None if status == "ok" else error,
        "startedMs": 10.0 * index,
        "waitedFor": None,
        "tries": [],
        **changes,
    }


@dataclass
class Journal:
    """The journal of a shard, with parameters for what can be wrong with it."""

    number: int
    results: Iterable[dict[str, Any]]
    total: int | None = None
    exit_code: int | None = 0
    count: int = 3
    of: int = WHOLE
    second: int = 0
    seconds: float = 1.0
    is_shard: bool = True
    version: int = VERSION
    header: dict[str, Any] = field(default_factory=dict)
    extra_records: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> History:
        """Return its history."""
        results = list(self.results)
        shard = {"number": self.number, "count": self.count, "of": self.of}
        records: list[dict[str, Any]] = [
            {
                "type": "run",
                "version": self.version,
                "started": STARTED.format(self.second),
                "paths": ["p.yaml"],
                "destination": "SERVICE",
                "endpoints": ["x.webpubsub.azure.com"],
                "hubs": ["chat"],
                "playbooks": ["p.yaml"],
                "total": len(results) if self.total is None else self.total,
                "pace": "concurrent, at most 16 in flight",
                **({"shard": shard} if self.is_shard else {}),
                "salt": "s",
                "fingerprint": {"the shard": str(self.number), "the playbook p.yaml": "1"},
                **self.header,
            },
            *results,
            *self.extra_records,
        ]
        if self.exit_code is not None:
            records.append(
                {
                    "type": "summary",
                    "durationMs": self.seconds * 1000,
                    "exitCode": self.exit_code,
                }
            )
        if self.version == UNCHECKED_VERSION:
            text = b"".join(encode(record) + b"\n" for record in records)
        else:
            text = b"".join(map(Chain().seal, records))
        return read_history(lambda: io.BytesIO(text), str(self.number))


def three_shards() -> list[Journal]:
    """Make the journals of three shards of a plan of six actions, the last of them empty."""
    return [
        Journal(1, [result(3), result(0)]),
        Journal(2, [result(1), result(2), result(4), result(5)], second=2, seconds=4),
        Journal(3, []),
    ]


def errors_of(journals: Iterable[Journal]) -> list[str]:
    """Return the errors of merging the journals."""
    with pytest.raises(JournalError) as caught:
        merge_histories(
            [(f"{number}.j", journal.read()) for number, journal in enumerate(journals, start=1)]
        )
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_results_are_in_the_order_of_the_playbook() -> None:
    """Whatever the order of the journals, and in each of them; at each iteration."""
    report = merge_histories(
        [(str(journal.number), journal.read()) for journal in reversed(three_shards())]
    )

    assert [result.index for result in report.results] == list(range(WHOLE))
    assert [result.index for result in report.results] == list(range(WHOLE))


def test_totals_add_up_and_the_run_info_is_that_of_the_plan() -> None:
    """It is no shard, and has the number of shards."""
    report = merge_histories([(str(journal.number), journal.read()) for journal in three_shards()])

    assert report.summary.total == report.run_info.total == WHOLE
    assert report.run_info.shard is None
    assert report.run_info.pace == "3 shards, each concurrent, at most 16 in flight"
    assert (report.summary.exit_code, report.is_finished) == (0, True)


def test_shards_of_different_versions_of_wps_run_make_one_run() -> None:
    """One of the journals has no checksums."""
    journals = three_shards()
    journals[1].version = UNCHECKED_VERSION
    histories = [(str(journal.number), journal.read()) for journal in journals]

    assert [history.is_checked for _, history in histories] == [True, False, True]
    assert [result.index for result in merge_histories(histories).results] == list(range(WHOLE))


def test_metrics_are_of_the_whole_plan() -> None:
    """Without the label of a shard; durations add up."""
    report = merge_histories([(str(journal.number), journal.read()) for journal in three_shards()])

    text = "".join(prometheus(report))

    run = 'destination="SERVICE",hub="chat",playbook="p.yaml",endpoint="x.webpubsub.azure.com"'
    assert f'wps_run_actions{{{run},action="addUserToGroup",status="ok"}} 6\n' in text
    assert f"wps_run_action_duration_seconds_sum{{{run}}} 0.03\n" in text
    assert f"wps_run_action_duration_seconds_count{{{run}}} 6\n" in text


def test_times_count_from_the_start_of_the_first_shard() -> None:
    """The second one began two seconds later and took four; attempts move with their action."""
    journals = three_shards()
    tries = [{"atMs": 1.0, "httpStatus": 429, "error": None, "pauseMs": 2.0}]
    journals[1].results = [result(1, tries=tries), result(2), result(4), result(5)]

    report = merge_histories([(str(journal.number), journal.read()) for journal in journals])

    results = list(report.results)
    assert [result.started_ms for result in results] == [0, 2010, 2020, 30, 2040, 2050]
    assert results[1].tries[0].at_ms == 2001
    assert results[1].as_json()["startedMs"] == 2010
    assert report.summary.duration == 6
    assert report.started == STARTED.format(0)


@pytest.mark.parametrize(
    ("codes", "statuses", "expected"),
    [
        ((0, 0), ("ok", "ok"), 0),
        ((1, 0), ("failed", "ok"), 1),
        ((1, 3), ("failed", "unknown"), 3),
        ((3, 130), ("unknown", "ok"), 130),
        ((143, 130), ("ok", "ok"), 143),
        ((0, None), ("ok", None), 1),
    ],
)
def test_the_exit_code_is_the_highest(
    codes: tuple[int | None, ...], statuses: tuple[str | None, ...], expected: int
) -> None:
    """In a shard that did not end, actions that were not done are skipped, which is a failure."""
    journals = [
        Journal(
            number,
            [] if status is None else [result(number - 1, status)],
            total=1,
            exit_code=code,
            count=2,
            of=2,
        )
        for number, (code, status) in enumerate(zip(codes, statuses, strict=True), start=1)
    ]

    report = merge_histories([(str(journal.number), journal.read()) for journal in journals])

    assert report.summary.exit_code == expected
    assert report.summary.total == 2
    assert report.is_finished == (None not in codes)


def test_an_action_that_a_killed_shard_may_have_sent_is_unknown() -> None:
    """The journal has a record before the request, but no result."""
    sending = {"type": "sending", "index": 1}
    killed = Journal(2, [], total=1, exit_code=None, count=2, of=2, extra_records=[sending])

    report = merge_histories(
        [("1", Journal(1, [result(0)], count=2, of=2).read()), ("2", killed.read())]
    )

    assert report.summary.exit_code == 3


def test_all_missing_and_repeated_shards_are_listed() -> None:
    """By number, and by name of the journals."""
    second = Journal(2, [], count=9)
    assert errors_of([second, Journal(5, [], count=9), second]) == [
        "shard 2/9 is there 2 times: `1.j` and `3.j`",
        "missing of 9: shards 1, 3 to 4, 6 to 9",
    ]
    assert errors_of([three_shards()[0], three_shards()[1]]) == ["missing of 3: shard 3"]


def test_shards_of_another_plan_are_listed_with_the_difference() -> None:
    """A variable, a file, a hub: every part of the fingerprint except the shard."""
    other = three_shards()
    other[1].header["fingerprint"] = {"the shard": "2", "the playbook p.yaml": "2"}
    assert errors_of(other) == [
        "`2.j` is of another plan than `1.j`; this differs: the playbook p.yaml"
    ]

    other[1].header["salt"] = "t"
    assert errors_of(other) == ["`2.j` is of another plan than `1.j`; the playbooks differ"]


def test_a_playbook_in_another_folder_is_the_same() -> None:
    """Only its name differs."""
    shards = three_shards()
    shards[1].header["fingerprint"] = {"the shard": "2", "the playbook away/p.yaml": "1"}

    assert (
        merge_histories([(str(journal.number), journal.read()) for journal in shards]).summary.total
        == WHOLE
    )


def test_shards_of_different_counts_are_refused() -> None:
    """1/3 and 2/4 are of two splits."""
    shards = three_shards()
    shards[1].count = 4

    assert "`2.j` is of 4 shards, `1.j` of 3" in errors_of(shards)


def test_runs_without_shards_are_refused() -> None:
    """Two complete runs are not merged."""
    shards = [Journal(1, [result(0)], is_shard=False), Journal(2, [], is_shard=False)]

    assert errors_of(shards) == [
        "`1.j` is the journal of a run without shards",
        "`2.j` is the journal of a run without shards",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"of": 7}, "the shards have 6 actions, the plan 6 or 7"),
        ({"total": 3}, "`2.j` has 4 actions, its shard has 3"),
        ({"results": [result(1), result(2), result(4)]}, "the shards have 5 actions, the plan 6"),
        (
            {"results": [result(1), result(2), result(4), result(3)]},
            "action 3 is in two journals",
        ),
    ],
)
def test_shards_that_do_not_add_up_are_refused(changes: dict[str, Any], message: str) -> None:
    """They were edited, or are of versions that split the plan differently."""
    shards = three_shards()
    for name, value in changes.items():
        setattr(shards[1], name, value)

    assert message in errors_of(shards)
