"""The retry policy and `onMissing`: tables of outcomes, and rules for every history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.table import ACTIONS, Action
from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.result import ActionError, SkipReason, Status
from wps_run.execution.retry import (
    LAST_BOUND,
    AttemptHistory,
    Finish,
    OutcomeKind,
    Retry,
    RetryPolicy,
    cancelled_retry,
    classify,
    final_decision,
    is_missing,
    on_missing,
)
from wps_run.playbook.options import Delivery, MissingRule, OnMissing, RetryOptions

JOIN, SEND, CLOSE = (
    ACTIONS[name] for name in ("addUserToGroup", "sendToAll", "closeGroupConnections")
)
ONCE, REPEATED = Delivery.AT_MOST_ONCE, Delivery.AT_LEAST_ONCE
REFUSED = NoReply(sent=False, code="connect", message="m")
OK = Reply(0, "the documented success of an action")
SILENT = NoReply(sent=True, code="timeout", message="m")
POLICY = RetryPolicy(RetryOptions(attempts=4, backoff=0.5, max_backoff=1.5))


def history_of(*outcomes: Outcome, action: Action = JOIN) -> AttemptHistory:
    history = AttemptHistory()
    for outcome in outcomes:
        history = history.after(action, outcome)
    return history


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        *((Reply(status), OutcomeKind.NOT_DONE) for status in (429,)),
        *((Reply(status), OutcomeKind.IN_DOUBT) for status in (0, 99, 100, 101, 199)),
        *((Reply(status), OutcomeKind.IN_DOUBT) for status in (201, 203, 206, 207, 226, 299)),
        *((Reply(status), OutcomeKind.IN_DOUBT) for status in (408, 500, 502, 503, 504, 599)),
        *((Reply(status), OutcomeKind.IN_DOUBT) for status in (600, 999)),
        *(
            (Reply(status), OutcomeKind.REFUSED)
            for status in (300, 302, 307, 399, 400, 401, 404, 407, 409, 413, 499)
        ),
        (REFUSED, OutcomeKind.NOT_DONE),
        (NoReply(sent=False, code="dns", message="m"), OutcomeKind.NOT_DONE),
        (NoReply(sent=False, code="timeout", message="m"), OutcomeKind.NOT_DONE),
        (NoReply(sent=False, code="tls", message="m"), OutcomeKind.REFUSED),
        (NoReply(sent=False, code="proxy", message="m"), OutcomeKind.NOT_DONE),
        (NoReply(sent=False, code="proxy-auth", message="m"), OutcomeKind.REFUSED),
        (NoReply(sent=False, code="proxy-denied", message="m"), OutcomeKind.REFUSED),
        (NoReply(sent=False, code="proxy-tls", message="m"), OutcomeKind.REFUSED),
        (SILENT, OutcomeKind.IN_DOUBT),
        (NoReply(sent=True, code="tls", message="m"), OutcomeKind.IN_DOUBT),
    ],
)
@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_outcomes_are_classified(action: Action, outcome: Outcome, expected: OutcomeKind) -> None:
    assert classify(action, outcome) is expected


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
@pytest.mark.parametrize("status", [200, 202, 204])
def test_only_a_documented_success_without_a_page_is_accepted(action: Action, status: int) -> None:
    """Another success, or a page, is an answer of something else."""
    documented = status in action.success

    assert (classify(action, Reply(status)) is OutcomeKind.ACCEPTED) is documented
    assert classify(action, Reply(status, is_page=True)) is OutcomeKind.IN_DOUBT


@pytest.mark.parametrize("action", [JOIN, SEND, CLOSE], ids=lambda action: action.name)
@pytest.mark.parametrize("outcome", [REFUSED, Reply(429)], ids=["refused", "429"])
def test_every_action_is_retried_if_it_was_not_done(action: Action, outcome: Outcome) -> None:
    """After the last attempt it is failed: it certainly did not happen."""
    for attempts in (1, 2, 3):
        assert isinstance(
            POLICY.decide(action, ONCE, history_of(*[outcome] * attempts), 0.0), Retry
        )
    last = POLICY.decide(action, ONCE, history_of(*[outcome] * 4), 0.0)
    assert isinstance(last, Finish)
    assert last.status is Status.FAILED


@pytest.mark.parametrize("outcome", [SILENT, *map(Reply, (500, 503, 408, 206, 0, 999))])
def test_action_in_doubt_is_retried_only_if_that_is_safe(
    outcome: Outcome,
) -> None:
    """It must be idempotent, or the playbook allows a second delivery; else it is unknown."""
    once = history_of(outcome)

    assert isinstance(POLICY.decide(JOIN, ONCE, once, 0.0), Retry)
    for action in (SEND, CLOSE):
        end = POLICY.decide(action, ONCE, once, 0.0)
        assert isinstance(end, Finish)
        assert end.status is Status.UNKNOWN
        assert isinstance(POLICY.decide(action, REPEATED, once, 0.0), Retry)


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ((OK,), Status.OK),
        ((Reply(500), OK), Status.OK),
        ((Reply(404),), Status.FAILED),
        ((Reply(307),), Status.FAILED),
        ((REFUSED, Reply(429), Reply(400)), Status.FAILED),
        ((Reply(500),) * 4, Status.UNKNOWN),
        ((SILENT, Reply(404)), Status.UNKNOWN),
        ((SILENT, Reply(401)), Status.UNKNOWN),
        ((SILENT, REFUSED, REFUSED, REFUSED), Status.UNKNOWN),
    ],
)
@pytest.mark.parametrize(("action", "delivery"), [(JOIN, ONCE), (SEND, REPEATED)])
def test_failed_means_that_the_action_certainly_did_not_happen(
    action: Action, delivery: Delivery, outcomes: tuple[Outcome, ...], status: Status
) -> None:
    """One attempt in doubt leaves the action in doubt, unless a later one succeeds."""
    answers = (Reply(action.success[0]) if outcome is OK else outcome for outcome in outcomes)
    end = POLICY.decide(action, delivery, history_of(*answers, action=action), 0.0)

    assert isinstance(end, Finish)
    assert end.status is status
    assert (end.error is None) == (status is Status.OK)


@pytest.mark.parametrize(
    ("attempts", "chance", "after"),
    [(1, 0.0, 0.0), (1, 0.5, 0.25), (2, 0.5, 0.5), (3, 0.5, 0.75), (1, 0.999, 0.4995)],
)
def test_pause_is_random_below_a_bound_that_doubles(
    attempts: int, chance: float, after: float
) -> None:
    """Full jitter; the bound doubles up to `maxBackoff`."""
    again = POLICY.decide(JOIN, ONCE, history_of(*[REFUSED] * attempts), chance)

    assert again == Retry(pytest.approx(after))  # type: ignore[arg-type] # stands for a float


def test_retry_after_is_the_shortest_pause() -> None:
    """The jitter is added, so that clients with the same Retry-After spread out."""
    history = history_of(Reply(429, retry_after=7.0))

    assert POLICY.decide(SEND, ONCE, history, 0.0) == Retry(7.0)
    assert POLICY.decide(SEND, ONCE, history, 0.5) == Retry(7.25)


def test_throttled_response_pauses_all_requests_as_long_as_the_service_asks() -> None:
    """Without `Retry-After`, as long as the back-off of the action."""
    assert POLICY.throttle_pause(history_of(Reply(429, retry_after=7.0)), 0.5) == 7.0
    assert POLICY.throttle_pause(history_of(Reply(429, retry_after=0.0)), 0.5) == 0.0
    assert POLICY.throttle_pause(history_of(Reply(503), Reply(503)), 0.5) == 0.5


OUTCOMES = st.one_of(
    st.builds(
        Reply,
        st.integers(0, 999) | st.sampled_from([200, 202, 204]),
        retry_after=st.none() | st.floats(0, 3600),
        is_page=st.booleans(),
    ),
    st.builds(
        NoReply, sent=st.booleans(), code=st.sampled_from(["connect", "tls"]), message=st.just("m")
    ),
)


@given(
    action=st.sampled_from(list(ACTIONS.values())),
    delivery=st.sampled_from(Delivery),
    outcomes=st.lists(OUTCOMES, min_size=1, max_size=8),
    attempts=st.integers(1, 100),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_rules_hold_for_every_history(
    action: Action, delivery: Delivery, outcomes: list[Outcome], attempts: int, chance: float
) -> None:
    """Bounded attempts, bounded pauses, no second send, no false certainty."""
    options = RetryOptions(attempts, 0.5, 30.0)
    history = history_of(*outcomes, action=action)
    decision = RetryPolicy(options).decide(action, delivery, history, chance)

    if isinstance(decision, Retry):
        retry_after = outcomes[-1].retry_after if isinstance(outcomes[-1], Reply) else None
        assert len(outcomes) < attempts
        assert (retry_after or 0) <= decision.delay <= 30 + (retry_after or 0)
        in_doubt = classify(action, outcomes[-1]) is OutcomeKind.IN_DOUBT
        assert not in_doubt or action.is_idempotent or delivery is REPEATED
    else:
        doubts = [classify(action, outcome) is OutcomeKind.IN_DOUBT for outcome in outcomes]
        done = classify(action, outcomes[-1]) is OutcomeKind.ACCEPTED
        assert (decision.status is Status.OK) == done
        assert (decision.status is Status.FAILED) == (not done and not any(doubts))


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ((), Status.SKIPPED),
        ((REFUSED, Reply(429)), Status.SKIPPED),
        ((SILENT,), Status.UNKNOWN),
        ((Reply(500), Reply(429)), Status.UNKNOWN),
    ],
)
def test_cancelled_retry_is_skipped_only_if_certainly_nothing_was_done(
    outcomes: tuple[Outcome, ...], status: Status
) -> None:
    end = cancelled_retry(JOIN, history_of(*outcomes), SkipReason.INTERRUPTED)

    assert end.error is not None
    assert (end.status, end.error.code) == (status, "interrupted")


def test_history_without_attempts_has_no_final_decision() -> None:
    with pytest.raises(ValueError, match="without an attempt"):
        final_decision(JOIN, AttemptHistory())


NOT_THERE = Reply(404, "Warning.User.NotExisted", "User `ada` is not found.")
SKIP = OnMissing(MissingRule.SKIP)
WAIT = OnMissing(MissingRule.WAIT, 60.0)


def history_of_misses(*times: float, in_doubt: bool = False) -> AttemptHistory:
    history = AttemptHistory(in_doubt=in_doubt)
    for time in times:
        history = history.after(JOIN, NOT_THERE).missing(time)
    return history


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (NOT_THERE, True),
        (Reply(404, "Error.Connection.NotExisted"), True),
        (Reply(404, "Info.Connection.NotExisted"), True),
        (Reply(404), False),
        (Reply(404, is_page=True), False),
        (Reply(404, None, "Not Found, says a proxy"), False),
        (Reply(404, "ResourceNotFound", "no such route"), False),
        (Reply(400, "Warning.User.NotExisted"), False),
    ],
)
def test_target_is_missing_only_by_the_error_code_of_the_service(
    outcome: Outcome, *, expected: bool
) -> None:
    """A 404 of a wrong endpoint is no missing user."""
    assert is_missing(outcome) is expected


def test_missing_target_fails_by_default_with_a_hint() -> None:
    end = on_missing(JOIN, OnMissing(), history_of_misses(5.0), chance=0.5, now=5.0)

    assert isinstance(end, Finish)
    assert end.error is not None
    assert (end.status, end.error.code) == (Status.FAILED, "Warning.User.NotExisted")
    assert "`webpubsub.group`" in end.error.hint


def test_missing_target_is_skipped_with_the_message_of_the_service() -> None:
    end = on_missing(JOIN, SKIP, history_of_misses(5.0), chance=0.5, now=5.0)

    assert end == Finish(Status.SKIPPED, ActionError("missing", "User `ada` is not found."))


def test_missing_target_after_an_attempt_in_doubt_is_unknown() -> None:
    end = on_missing(JOIN, SKIP, history_of_misses(5.0, in_doubt=True), chance=0.5, now=5.0)

    assert isinstance(end, Finish)
    assert end.status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("misses", "now", "after"),
    [(1, 100.0, 0.25), (2, 100.0, 0.5), (4, 100.0, 2.0), (5, 100.0, LAST_BOUND / 2),
     (5000, 100.0, LAST_BOUND / 2), (5, 159.0, 1.0), (5, 159.9999, pytest.approx(0.0001))],
)  # fmt: skip
def test_missing_target_is_retried_with_increasing_pauses(
    misses: int, now: float, after: float
) -> None:
    """Random below a bound that doubles; the last attempt is at the end of the wait."""
    history = history_of_misses(100.0, *[101.0] * (misses - 1))

    assert on_missing(JOIN, WAIT, history, chance=0.5, now=now) == Retry(after)


def test_wait_is_measured_from_the_first_miss() -> None:
    end = on_missing(JOIN, WAIT, history_of_misses(100.0, 130.0, 160.0), chance=0.5, now=160.0)

    assert isinstance(end, Finish)
    assert end.status is Status.FAILED


def test_misses_do_not_count_against_the_attempts() -> None:
    history = history_of_misses(1.0, 2.0, 3.0).after(JOIN, Reply(500))

    assert (history.attempts, history.misses, history.counted, history.missing_since) == (
        4,
        3,
        1,
        1.0,
    )
