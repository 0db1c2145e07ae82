"""The retry policy: a table of outcomes, and what must hold for every history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.table import ACTIONS, Action
from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.result import Status
from wps_run.execution.retry import (
    AttemptHistory,
    Finish,
    OutcomeKind,
    Retry,
    RetryPolicy,
    classify,
    final_decision,
)
from wps_run.playbook.options import Delivery, RetryOptions

JOIN, SEND, CLOSE = (
    ACTIONS[name] for name in ("addUserToGroup", "sendToAll", "closeGroupConnections")
)
ONCE, REPEATED = Delivery.AT_MOST_ONCE, Delivery.AT_LEAST_ONCE
REFUSED = NoReply(sent=False, code="connect", message="m")
SILENT = NoReply(sent=True, code="timeout", message="m")
POLICY = RetryPolicy(RetryOptions(attempts=4, backoff=0.5, max_backoff=1.5))


def trail(*outcomes: Outcome) -> AttemptHistory:
    one = AttemptHistory()
    for outcome in outcomes:
        one = one.after(outcome)
    return one


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        *((Reply(status), OutcomeKind.ACCEPTED) for status in (200, 202, 204, 299)),
        *((Reply(status), OutcomeKind.NOT_DONE) for status in (429,)),
        *((Reply(status), OutcomeKind.IN_DOUBT) for status in (408, 500, 502, 503, 504, 599)),
        *(
            (Reply(status), OutcomeKind.REFUSED)
            for status in (101, 300, 307, 400, 401, 404, 409, 413)
        ),
        (REFUSED, OutcomeKind.NOT_DONE),
        (NoReply(sent=False, code="dns", message="m"), OutcomeKind.NOT_DONE),
        (NoReply(sent=False, code="timeout", message="m"), OutcomeKind.NOT_DONE),
        (NoReply(sent=False, code="tls", message="m"), OutcomeKind.REFUSED),
        (SILENT, OutcomeKind.IN_DOUBT),
        (NoReply(sent=True, code="tls", message="m"), OutcomeKind.IN_DOUBT),
    ],
)
def test_what_an_outcome_says(outcome: Outcome, expected: OutcomeKind) -> None:
    """Finish, nothing done, in doubt, or refused for good."""
    assert classify(outcome) is expected


@pytest.mark.parametrize("action", [JOIN, SEND, CLOSE], ids=lambda action: action.name)
@pytest.mark.parametrize("outcome", [REFUSED, Reply(429)], ids=["refused", "429"])
def test_where_nothing_was_done_every_action_is_tried_again(
    action: Action, outcome: Outcome
) -> None:
    """A send too: it cannot come twice. At the end it is failed, since it never happened."""
    for attempts in (1, 2, 3):
        assert isinstance(POLICY.decide(action, ONCE, trail(*[outcome] * attempts), 0.0), Retry)
    last = POLICY.decide(action, ONCE, trail(*[outcome] * 4), 0.0)
    assert isinstance(last, Finish)
    assert last.status is Status.FAILED


@pytest.mark.parametrize("outcome", [SILENT, Reply(500), Reply(503), Reply(408)])
def test_where_it_may_have_happened_only_what_is_idempotent_is_tried_again(
    outcome: Outcome,
) -> None:
    """A send or the close of a scope ends as unknown at once, unless the playbook says twice."""
    once = trail(outcome)

    assert isinstance(POLICY.decide(JOIN, ONCE, once, 0.0), Retry)
    for action in (SEND, CLOSE):
        end = POLICY.decide(action, ONCE, once, 0.0)
        assert isinstance(end, Finish)
        assert end.status is Status.UNKNOWN
        assert isinstance(POLICY.decide(action, REPEATED, once, 0.0), Retry)


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ((Reply(200),), Status.OK),
        ((Reply(500), Reply(204)), Status.OK),
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
def test_failed_means_that_no_attempt_can_have_been_carried_out(
    action: Action, delivery: Delivery, outcomes: tuple[Outcome, ...], status: Status
) -> None:
    """One attempt in doubt leaves the action in doubt, whatever comes after it but a success."""
    end = POLICY.decide(action, delivery, trail(*outcomes), 0.0)

    assert isinstance(end, Finish)
    assert end.status is status
    assert (end.error is None) == (status is Status.OK)


@pytest.mark.parametrize(
    ("attempts", "chance", "after"),
    [(1, 0.0, 0.0), (1, 0.5, 0.25), (2, 0.5, 0.5), (3, 0.5, 0.75), (1, 0.999, 0.4995)],
)
def test_a_pause_is_random_under_a_bound_that_doubles(
    attempts: int, chance: float, after: float
) -> None:
    """Full jitter: from nothing to the bound, the bound up to `maxBackoff`."""
    again = POLICY.decide(JOIN, ONCE, trail(*[REFUSED] * attempts), chance)

    assert again == Retry(pytest.approx(after))  # type: ignore[arg-type] # stands for a float


def test_retry_after_is_the_least_that_is_waited() -> None:
    """The random pause comes on top, so that those who were told the same do not meet again."""
    told = trail(Reply(429, retry_after=7.0))

    assert POLICY.decide(SEND, ONCE, told, 0.0) == Retry(7.0)
    assert POLICY.decide(SEND, ONCE, told, 0.5) == Retry(7.25)


OUTCOMES = st.one_of(
    st.builds(Reply, st.integers(100, 599), retry_after=st.none() | st.floats(0, 3600)),
    st.builds(
        NoReply, sent=st.booleans(), code=st.sampled_from(["connect", "tls"]), message=st.just("m")
    ),
)


@given(
    action=st.sampled_from(sorted(ACTIONS)),
    delivery=st.sampled_from(Delivery),
    outcomes=st.lists(OUTCOMES, min_size=1, max_size=8),
    attempts=st.integers(1, 100),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_for_every_history_the_rules_hold(
    action: str, delivery: Delivery, outcomes: list[Outcome], attempts: int, chance: float
) -> None:
    """Bounded attempts, bounded pauses, no send twice, no false certainty."""
    options = RetryOptions(attempts, 0.5, 30.0)
    so_far = trail(*outcomes)
    decision = RetryPolicy(options).decide(ACTIONS[action], delivery, so_far, chance)

    if isinstance(decision, Retry):
        told = outcomes[-1].retry_after if isinstance(outcomes[-1], Reply) else None
        assert len(outcomes) < attempts
        assert (told or 0) <= decision.delay <= 30 + (told or 0)
        in_doubt = classify(outcomes[-1]) is OutcomeKind.IN_DOUBT
        assert not in_doubt or ACTIONS[action].is_idempotent or delivery is REPEATED
    else:
        doubts = [classify(one) is OutcomeKind.IN_DOUBT for one in outcomes]
        done = classify(outcomes[-1]) is OutcomeKind.ACCEPTED
        assert (decision.status is Status.OK) == done
        assert (decision.status is Status.FAILED) == (not done and not any(doubts))


def test_no_attempt_has_no_ending() -> None:
    """Whoever asks has made a mistake."""
    with pytest.raises(ValueError, match="without an attempt"):
        final_decision(JOIN, AttemptHistory())
