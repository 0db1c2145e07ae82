"""What follows from the outcome of an attempt: another one after a pause, or an end.

What follows when the service does not find the user or the connection: `onMissing`.
"""

from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import NamedTuple

from wps_run.actions.table import Action
from wps_run.connect.reply import Outcome, Reply
from wps_run.execution.errors import NOT_AGAIN, broken_off, error_for, skipped
from wps_run.execution.result import ActionError, Skip, Status
from wps_run.playbook.options import Delivery, MissingRule, OnMissing, RetryOptions


class OutcomeKind(Enum):
    """What an outcome says about the action.

    Attributes:
        ACCEPTED: It was accepted.
        NOTHING: Nothing was done, and it may work later.
        DOUBT: It may or may not have been done.
        FINAL: It was refused, and would be again.
    """

    ACCEPTED = auto()
    NOTHING = auto()
    DOUBT = auto()
    FINAL = auto()


class AttemptHistory(NamedTuple):
    """The attempts of one action so far. A tuple, since each attempt makes one.

    Attributes:
        attempts: How many there were.
        left: How many of them left, or may have.
        doubt: Whether one of them may have been carried out without our knowing.
        last: What the last one ended in, or None before the first.
        misses: How many found the user or the connection missing.
        missed: When the first of these was answered, in seconds on the caller's clock.
    """

    attempts: int = 0
    left: int = 0
    doubt: bool = False
    last: Outcome | None = None
    misses: int = 0
    missed: float = 0.0

    def after(self, outcome: Outcome) -> "AttemptHistory":
        """The trail with one more attempt."""
        doubt = self.doubt or classify(outcome) is OutcomeKind.DOUBT
        left = self.left + (isinstance(outcome, Reply) or outcome.sent)
        return AttemptHistory(self.attempts + 1, left, doubt, outcome, self.misses, self.missed)

    def abandoned(self) -> "AttemptHistory":
        """The trail with one more attempt that nobody waited for."""
        return self._replace(attempts=self.attempts + 1, left=self.left + 1, doubt=True, last=None)

    def missing(self, now: float) -> "AttemptHistory":
        """The trail when its last attempt has found the target missing."""
        return self._replace(misses=self.misses + 1, missed=self.missed if self.misses else now)

    @property
    def counted(self) -> int:
        """The attempts that count against `retry.attempts`: a miss was no trouble."""
        return self.attempts - self.misses


NO_ATTEMPT = AttemptHistory()
"""The trail of an action before its first attempt."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The action ends here, and how."""

    status: Status
    fault: ActionError | None


FINISHED_OK = Finish(Status.OK, None)
"""It was accepted."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt, after a pause in seconds."""

    after: float


def classify(outcome: Outcome) -> OutcomeKind:
    """What one outcome says.

    TLS failures are final: a certificate that does not verify will not at the next attempt.
    A 503 may come from behind the point where the action took effect, so it leaves doubt, as
    each 5xx does. A redirect is not followed, so it is a refusal.
    """
    if isinstance(outcome, Reply):
        return _answered(outcome.status)
    if outcome.sent:
        return OutcomeKind.DOUBT
    return OutcomeKind.FINAL if outcome.code == "tls" else OutcomeKind.NOTHING


def _answered(status: int) -> OutcomeKind:
    if _OK <= status < _REDIRECT:
        return OutcomeKind.ACCEPTED
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return OutcomeKind.NOTHING
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OutcomeKind.DOUBT
    return OutcomeKind.FINAL


_OK, _REDIRECT = 200, 300
"""The range of success, as plain numbers: enumerations are slow to compare."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Decides what follows from an attempt.

    Attributes:
        options: How often and after what pause.
    """

    options: RetryOptions

    def decide(
        self, action: Action, delivery: Delivery, trail: AttemptHistory, chance: float
    ) -> Finish | Retry:
        """Another attempt, or the end.

        Where nothing was done, every action is tried again. Where it may have been done, only
        what is idempotent is, or what the playbook wants delivered at least once.

        Args:
            action: What is attempted.
            delivery: What the playbook says about sends with an unknown outcome.
            trail: The attempts so far, with at least one.
            chance: From 0 to below 1, drawn anew for each call.
        """
        last = classify(trail.last) if trail.last else OutcomeKind.FINAL
        if last is OutcomeKind.ACCEPTED:
            return FINISHED_OK
        if trail.counted >= self.options.attempts:
            return final_decision(action, trail)
        twice = action.is_idempotent or delivery is Delivery.AT_LEAST_ONCE
        if last is OutcomeKind.NOTHING or (last is OutcomeKind.DOUBT and twice):
            return Retry(self._pause(trail, chance))
        return final_decision(action, trail)

    def hold(self, trail: AttemptHistory, chance: float) -> float:
        """Seconds for which nothing at all is to start after the service asked for less.

        As long as it said, else as long as the action itself might wait.
        """
        asked = _asked(trail)
        return self._jitter(trail, chance) if asked is None else asked

    def _pause(self, trail: AttemptHistory, chance: float) -> float:
        """Full jitter under a bound that doubles; what the service asks for comes on top.

        On top, not instead: many actions are told the same time, and must not all return at it.
        """
        return (_asked(trail) or 0.0) + self._jitter(trail, chance)

    def _jitter(self, trail: AttemptHistory, chance: float) -> float:
        bound = min(self.options.max_backoff, self.options.backoff * 2.0 ** (trail.counted - 1))
        return chance * bound


def _asked(trail: AttemptHistory) -> float | None:
    return trail.last.retry_after if isinstance(trail.last, Reply) else None


def cancelled_retry(action: Action, trail: AttemptHistory, reason: Skip) -> Finish:
    """How an action ends that was to be attempted once more, and a stop came before that.

    What was certainly not done is skipped, as if it had never left. The rest may be done twice,
    or there would have been no further attempt. Resuming the run does both.
    """
    if trail.doubt:
        return Finish(Status.UNKNOWN, broken_off(action))
    return Finish(Status.SKIPPED, skipped(reason, NOT_AGAIN if trail.attempts else None))


def final_decision(action: Action, trail: AttemptHistory) -> Finish:
    """How an action ends when there is no further attempt.

    It is `failed` only when no attempt can have been carried out. A refusal after an attempt in
    doubt leaves the doubt; for an idempotent action too, since nobody has seen its effect.

    Raises:
        ValueError: There was no attempt.
    """
    if trail.last is None:
        raise ValueError("an action without an attempt has no ending")
    if classify(trail.last) is OutcomeKind.ACCEPTED:
        return FINISHED_OK
    status = Status.UNKNOWN if trail.doubt else Status.FAILED
    return Finish(status, error_for(action, trail.last, doubt=trail.doubt))


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


def on_missing(
    action: Action, rule: OnMissing, trail: AttemptHistory, *, chance: float, now: float
) -> Finish | Retry:
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
    if rule.rule is MissingRule.SKIP and not trail.doubt:
        words = trail.last.message if isinstance(trail.last, Reply) else None
        return Finish(Status.SKIPPED, skipped(Skip.MISSING, words))
    left = trail.missed + rule.wait - now
    if rule.rule is MissingRule.WAIT and left > 0:
        bound = min(LAST_BOUND, FIRST_BOUND * 2.0 ** min(trail.misses - 1, 10))
        return Retry(min(left, chance * bound))
    return final_decision(action, trail)
