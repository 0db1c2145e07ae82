"""What follows when the service does not find the user or the connection: `onMissing`."""

from http import HTTPStatus

from wps_run.actions.table import Action
from wps_run.actions.wire import Outcome, Reply
from wps_run.execution.faults import skipped
from wps_run.execution.result import Skip, Status
from wps_run.execution.retry import Again, Done, Trail, ending
from wps_run.playbook.options import Missing, OnMissing

FIRST_BOUND, LAST_BOUND = 0.5, 5.0
"""Seconds: the bound of the first random pause, and where it stops doubling."""


def is_missing(outcome: Outcome) -> bool:
    """Whether the service says that a user or connection is not there.

    A 404 with a page or with another code does not say so: a wrong endpoint gives one, and must
    not end as a run of which everything was skipped as planned.

    Source: the service's error codes `Warning.User.NotExisted`, `Error.Connection.NotExisted`
    and `Info.Connection.NotExisted`; the word before the first dot is a log level.
    """
    if not isinstance(outcome, Reply) or outcome.status != HTTPStatus.NOT_FOUND:
        return False
    if outcome.code is None:
        return outcome.message is None
    return outcome.code.endswith(".NotExisted")


def follow(
    action: Action, rule: OnMissing, trail: Trail, *, chance: float, now: float
) -> Done | Again:
    """Another attempt, or the end, after the service did not find the target.

    While it is waited for, the pauses are random under a bound that doubles, and the last
    attempt is made when the time is up.

    Args:
        action: What is attempted.
        rule: What the playbook says.
        trail: The attempts so far; the last one found its target missing.
        chance: From 0 to below 1, drawn anew for each call.
        now: Seconds, on the clock of `trail.missed`.
    """
    # Whatever may have been done was not skipped.
    if rule.rule is Missing.SKIP and not trail.doubt:
        words = trail.last.message if isinstance(trail.last, Reply) else None
        return Done(Status.SKIPPED, skipped(Skip.MISSING, words))
    left = trail.missed + rule.wait - now
    if rule.rule is Missing.WAIT and left > 0:
        bound = min(LAST_BOUND, FIRST_BOUND * 2.0 ** min(trail.misses - 1, 10))
        return Again(min(left, chance * bound))
    return ending(action, trail)
