"""What a person is told to do once a run has ended."""

from collections import Counter

import pytest

from wps_run.execution.result import Status, Summary
from wps_run.report.followup import followup

WORDS = "wps-run --resume j p.yaml"
REPEATS = "--resume repeats only what was broken off and may be done twice"


@pytest.mark.parametrize(
    ("counts", "lines"),
    [
        ({Status.OK: 3}, []),
        ({Status.OK: 1, Status.FAILED: 2}, [f"to do again what failed: {WORDS} --failed"]),
        (
            {Status.UNKNOWN: 1},
            [f"1 may or may not have happened: look before you run it again; {REPEATS}"],
        ),
        (
            {Status.UNKNOWN: 1200},
            [f"1,200 may or may not have happened: look before you run them again; {REPEATS}"],
        ),
    ],
)
def test_each_outcome_has_its_words(counts: dict[Status, int], lines: list[str]) -> None:
    """Words that can be pasted, after where the journal and the reports are."""
    told = list(followup(Summary(Counter(counts)), WORDS, "j", ["out.html"]))

    assert told == ["the journal: j", "a report: out.html", *lines]


def test_without_a_journal_no_words_go_on() -> None:
    """What may have happened is told all the same."""
    summary = Summary(Counter({Status.FAILED: 1, Status.UNKNOWN: 2}))

    assert list(followup(summary, "", "")) == [
        "2 may or may not have happened: look before you run them again"
    ]
