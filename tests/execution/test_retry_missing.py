"""onMissing: what follows when the service does not find the user or the connection."""

import pytest

from wps_run.actions.table import ACTIONS
from wps_run.connect.reply import Outcome, Reply
from wps_run.execution.result import ActionError, Status
from wps_run.execution.retry import (
    LAST_BOUND,
    AttemptHistory,
    Finish,
    Retry,
    is_missing,
    on_missing,
)
from wps_run.playbook.options import MissingRule, OnMissing

JOIN = ACTIONS["addUserToGroup"]
NOT_THERE = Reply(404, "Warning.User.NotExisted", "User `ada` is not found.")
SKIP = OnMissing(MissingRule.SKIP)
WAIT = OnMissing(MissingRule.WAIT, 60.0)


def missed(*times: float, doubt: bool = False) -> AttemptHistory:
    trail = AttemptHistory(in_doubt=doubt)
    for time in times:
        trail = trail.after(NOT_THERE).missing(time)
    return trail


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (NOT_THERE, True),
        (Reply(404, "Error.Connection.NotExisted"), True),
        (Reply(404, "Info.Connection.NotExisted"), True),
        (Reply(404), True),
        (Reply(404, None, "Not Found, says a proxy"), False),
        (Reply(404, "ResourceNotFound", "no such route"), False),
        (Reply(400, "Warning.User.NotExisted"), False),
    ],
)
def test_only_the_services_own_word_says_that_a_target_is_missing(
    outcome: Outcome, *, expected: bool
) -> None:
    """A 404 of a wrong endpoint is no absent user, and must not be skipped or waited for."""
    assert is_missing(outcome) is expected


def test_fail_is_a_failure_with_its_hint() -> None:
    """The default; the hint names the durable way."""
    end = on_missing(JOIN, OnMissing(), missed(5.0), chance=0.5, now=5.0)

    assert isinstance(end, Finish)
    assert end.error is not None
    assert (end.status, end.error.code) == (Status.FAILED, "Warning.User.NotExisted")
    assert "`webpubsub.group`" in end.error.hint


def test_skip_is_a_skip_in_the_services_words() -> None:
    """Reports and the exit code know it by its code."""
    end = on_missing(JOIN, SKIP, missed(5.0), chance=0.5, now=5.0)

    assert end == Finish(Status.SKIPPED, ActionError("missing", "User `ada` is not found."))


def test_what_may_have_been_done_is_not_skipped() -> None:
    """An attempt in doubt before the 404 leaves the action unknown."""
    end = on_missing(JOIN, SKIP, missed(5.0, doubt=True), chance=0.5, now=5.0)

    assert isinstance(end, Finish)
    assert end.status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("misses", "now", "after"),
    [(1, 100.0, 0.25), (2, 100.0, 0.5), (4, 100.0, 2.0), (5, 100.0, LAST_BOUND / 2),
     (5000, 100.0, LAST_BOUND / 2), (5, 159.0, 1.0), (5, 159.9999, pytest.approx(0.0001))],
)  # fmt: skip
def test_whoever_is_waited_for_is_asked_for_again(misses: int, now: float, after: float) -> None:
    """Random under a bound that doubles to a few seconds; the last time when the time is up."""
    trail = missed(100.0, *[101.0] * (misses - 1))

    assert on_missing(JOIN, WAIT, trail, chance=0.5, now=now) == Retry(after)


def test_the_wait_ends_that_long_after_the_first_miss() -> None:
    """Then it failed, however many attempts there were."""
    end = on_missing(JOIN, WAIT, missed(100.0, 130.0, 160.0), chance=0.5, now=160.0)

    assert isinstance(end, Finish)
    assert end.status is Status.FAILED


def test_misses_do_not_use_up_attempts() -> None:
    """They are counted as what left, not against `retry.attempts`."""
    trail = missed(1.0, 2.0, 3.0).after(Reply(500))

    assert (trail.attempts, trail.misses, trail.counted, trail.missing_since) == (4, 3, 1, 1.0)
