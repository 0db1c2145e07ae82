"""What follows from the outcome of an attempt: another attempt after a pause, or the end. Pure."""

from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import NamedTuple

from wps_run.actions.table import Action, RestOperation
from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.errors import NOT_RETRIED, error_for, retry_cancelled_error, skip_error
from wps_run.execution.result import ActionError, SkipReason, Status
from wps_run.playbook.options import Delivery, MissingRule, OnMissing, RetryOptions

FIRST_BOUND, LAST_BOUND = 0.5, 5.0
"""Seconds: the first bound of the random pause while a target is missing, and the last one."""


class OutcomeKind(Enum):
    """What an outcome says about the action.

    Attributes:
        ACCEPTED: The service accepted it.
        NOT_DONE: It was not done; a later attempt may succeed.
        IN_DOUBT: It may or may not have been done.
        REFUSED: It was refused; a later attempt would be too.
    """

    ACCEPTED = auto()
    NOT_DONE = auto()
    IN_DOUBT = auto()
    REFUSED = auto()


class AttemptHistory(NamedTuple):
    """The attempts of one action so far. A tuple, since each attempt makes one.

    Attributes:
        attempts: The number of attempts.
        sent: How many of them were sent, or may have been.
        in_doubt: Whether one of them may have been carried out without a confirmation.
        last: The outcome of the last one, or None before the first.
        kind: What the last outcome says about the action.
        misses: How many of them found the user or the connection missing.
        missing_since: When the first of these was answered, in seconds on the caller's clock.
    """

    attempts: int = 0
    sent: int = 0
    in_doubt: bool = False
    last: Outcome | None = None
    misses: int = 0
    missing_since: float = 0.0
    kind: OutcomeKind = OutcomeKind.IN_DOUBT

    def after(self, action: RestOperation, outcome: Outcome) -> "AttemptHistory":
        """Return the history with one more attempt of the action."""
        kind = classify(action, outcome)
        in_doubt = self.in_doubt or kind is OutcomeKind.IN_DOUBT
        sent = self.sent + (isinstance(outcome, Reply) or outcome.sent)
        return AttemptHistory(
            self.attempts + 1, sent, in_doubt, outcome, self.misses, self.missing_since, kind
        )

    def abandoned(self) -> "AttemptHistory":
        """Return the history with one more attempt whose outcome was not awaited."""
        return self._replace(
            attempts=self.attempts + 1,
            sent=self.sent + 1,
            in_doubt=True,
            last=None,
            kind=OutcomeKind.IN_DOUBT,
        )

    def missing(self, now: float) -> "AttemptHistory":
        """Return the history when its last attempt found the target missing."""
        since = self.missing_since if self.misses else now
        return self._replace(misses=self.misses + 1, missing_since=since)

    @property
    def counted(self) -> int:
        """The attempts that count against `retry.attempts`: misses do not."""
        return self.attempts - self.misses


NO_ATTEMPT = AttemptHistory()


class Finish(NamedTuple):
    """The action ends."""

    status: Status
    error: ActionError | None


class Retry(NamedTuple):
    """Another attempt follows after `delay` seconds."""

    delay: float


Decision = Finish | Retry

ACCEPTED = Finish(Status.OK, None)


_FINAL = frozenset({"tls", "proxy-auth", "proxy-denied", "proxy-tls"})
"""Codes of failures before the first byte that another attempt would repeat."""


def classify(action: RestOperation, outcome: Outcome) -> OutcomeKind:
    """Return what one outcome says about the action.

    Only a documented success of the action says that the service accepted it. With another
    success, or with a page, something between this machine and the service answered. Whether it
    passed the request on is not known; nor is it for a status of no class, such as 000 or 999.

    A 503 may come from behind the point where the action took effect, so it leaves doubt, as
    every 5xx does. A redirect is not followed, so it is a refusal. A failure before anything was
    sent is final if it does not depend on the moment: a certificate that does not verify, or a
    proxy that refuses.
    """
    if isinstance(outcome, NoReply):
        if outcome.sent:
            return OutcomeKind.IN_DOUBT
        return OutcomeKind.REFUSED if outcome.code in _FINAL else OutcomeKind.NOT_DONE
    if outcome.status in action.success and not outcome.is_page:
        return OutcomeKind.ACCEPTED
    return _classify_status(outcome.status)


def _classify_status(status: int) -> OutcomeKind:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return OutcomeKind.NOT_DONE
    is_refusal = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_refusal and status != HTTPStatus.REQUEST_TIMEOUT:
        return OutcomeKind.REFUSED
    return OutcomeKind.IN_DOUBT


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Decides what follows from an attempt.

    Attributes:
        options: The number of attempts and the pauses between them.
    """

    options: RetryOptions

    def decide(
        self, action: RestOperation, delivery: Delivery, history: AttemptHistory, chance: float
    ) -> Decision:
        """Decide whether another attempt follows.

        If nothing was done, every action is retried. If it may have been done, only an
        idempotent action is, or one that the playbook wants delivered at least once.

        Args:
            action: The action.
            delivery: The playbook's rule for sends with an unknown outcome.
            history: The attempts so far, at least one.
            chance: From 0 to below 1, drawn again for each call.
        """
        last = history.kind if history.last else OutcomeKind.REFUSED
        if last is OutcomeKind.ACCEPTED:
            return ACCEPTED
        if history.counted >= self.options.attempts:
            return final_decision(action, history)
        repeatable = action.is_idempotent or delivery is Delivery.AT_LEAST_ONCE
        if last is OutcomeKind.NOT_DONE or (last is OutcomeKind.IN_DOUBT and repeatable):
            return Retry(self._pause(history, chance))
        return final_decision(action, history)

    def throttle_pause(self, history: AttemptHistory, chance: float) -> float:
        """Return the seconds that all requests wait after a throttled response.

        It is what the service asks for, else the back-off of the action itself.
        """
        requested = _retry_after(history)
        return self._backoff(history, chance) if requested is None else requested

    def _pause(self, history: AttemptHistory, chance: float) -> float:
        """Add the service's `Retry-After` to the back-off.

        Added, not replaced: many actions get the same `Retry-After` and must not all return
        at that moment.
        """
        return (_retry_after(history) or 0.0) + self._backoff(history, chance)

    def _backoff(self, history: AttemptHistory, chance: float) -> float:
        """Full jitter under a bound that doubles."""
        bound = min(self.options.max_backoff, self.options.backoff * 2.0 ** (history.counted - 1))
        return chance * bound


def _retry_after(history: AttemptHistory) -> float | None:
    return history.last.retry_after if isinstance(history.last, Reply) else None


def cancelled_retry(action: Action, history: AttemptHistory, reason: SkipReason) -> Finish:
    """Decide how an action ends that waited for another attempt when the run stopped.

    If certainly nothing was done, it is skipped, as if it had never started. Otherwise it may be
    done twice, or no further attempt would have been planned. Resuming the run retries both.
    """
    if history.in_doubt:
        return Finish(Status.UNKNOWN, retry_cancelled_error(action))
    message = NOT_RETRIED if history.attempts else None
    return Finish(Status.SKIPPED, skip_error(reason, message))


def final_decision(action: RestOperation, history: AttemptHistory) -> Finish:
    """Decide how an action ends without a further attempt.

    It is `failed` only if no attempt can have been carried out. A refusal after an attempt in
    doubt leaves the doubt, for an idempotent action too: nobody has seen its effect.

    Raises:
        ValueError: There was no attempt.
    """
    if history.last is None:
        raise ValueError("an action without an attempt cannot end")
    if history.kind is OutcomeKind.ACCEPTED:
        return ACCEPTED
    status = Status.UNKNOWN if history.in_doubt else Status.FAILED
    return Finish(status, error_for(action, history.last, in_doubt=history.in_doubt))


def is_missing(outcome: Outcome) -> bool:
    """Whether the service says that a user or connection does not exist.

    A 404 without its code does not say so: a wrong endpoint or a gateway gives one, and must not
    end as a run in which everything was skipped as planned.

    Source: the service's error codes `Warning.User.NotExisted`, `Error.Connection.NotExisted`
    and `Info.Connection.NotExisted`; the word before the first dot is a log level.
    """
    if not isinstance(outcome, Reply) or outcome.status != HTTPStatus.NOT_FOUND:
        return False
    return outcome.code is not None and outcome.code.endswith(".NotExisted")


def on_missing(
    action: Action, rule: OnMissing, history: AttemptHistory, *, chance: float, now: float
) -> Decision:
    """Decide what follows when the service did not find the target.

    With `wait`, the pauses are random under a bound that doubles, and the last attempt is made
    when the time is up.

    Args:
        action: The action.
        rule: The playbook's rule.
        history: The attempts so far; the last one found its target missing.
        chance: From 0 to below 1, drawn again for each call.
        now: Seconds, on the clock of `history.missing_since`.
    """
    if rule.rule is MissingRule.DONE:
        return ACCEPTED
    # An action that may have been done was not skipped.
    if rule.rule is MissingRule.SKIP and not history.in_doubt:
        message = history.last.message if isinstance(history.last, Reply) else None
        return Finish(Status.SKIPPED, skip_error(SkipReason.MISSING, message))
    remaining = history.missing_since + rule.wait - now
    if rule.rule is MissingRule.WAIT and remaining > 0:
        bound = min(LAST_BOUND, FIRST_BOUND * 2.0 ** min(history.misses - 1, 10))
        return Retry(min(remaining, chance * bound))
    return final_decision(action, history)
