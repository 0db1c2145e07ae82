"""Which actions of an interrupted run have ended, which are in doubt, and which still run. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from wps_run.execution.result import ActionError, Result, SkipReason, Status, result_for
from wps_run.journal.reader import History, RecordedStatus
from wps_run.playbook.options import Delivery
from wps_run.playbook.steps import Step


class ResumeMode(StrEnum):
    """What a resumed run does.

    Attributes:
        UNDONE: Every action without a result, those that were skipped, and before them those whose
            failure stopped the run.
        FAILED: Only the actions that failed.
    """

    UNDONE = "undone"
    FAILED = "failed"


_INTERRUPTED = "the run was interrupted while this action was being sent"

IN_DOUBT = ActionError(
    SkipReason.INTERRUPTED.value,
    _INTERRUPTED,
    "check whether it happened; `delivery: atLeastOnce` would send it again",
)
"""Why the outcome is unknown of an action that must not be sent twice."""

REPEATABLE_IN_DOUBT = ActionError(
    SkipReason.INTERRUPTED.value,
    _INTERRUPTED,
    "it may have happened; --resume runs it again, which is safe",
)
"""Why the outcome is unknown of an action that may be sent twice but was not."""

RESOLVED = ActionError(SkipReason.RESOLVED.value, "done, as `wps-run resolve` says")
"""Why an action is ok although no response said so."""

NOT_FAILED = ActionError("not-failed", "only actions that failed run again")

AGAIN = ActionError(SkipReason.STOPPED.value, "it runs again after the actions that now run")
"""Why an action of `finally` that had a result has none any more."""

_NOT_DONE = frozenset({RecordedStatus.NO_RESULT, RecordedStatus.NOT_STARTED})

_ENDED = frozenset(
    {
        RecordedStatus.OK,
        RecordedStatus.FAILED,
        RecordedStatus.UNKNOWN,
        RecordedStatus.SKIPPED_BY_RULE,
    }
)


@dataclass(frozen=True, slots=True)
class Resumption:
    """Divides the steps of a run into those that have ended and those that run.

    Attributes:
        history: What the journal says.
        mode: What the resumed run does.
        retried: The indexes of the actions whose failure stopped the run and that run again,
            before all others.
        repeats_final: Whether other actions run, so that what is in `finally` runs again, as far
            as it may be repeated.
    """

    history: History
    mode: ResumeMode
    retried: frozenset[int] = field(default_factory=frozenset)
    repeats_final: bool = False

    def steps_to_retry(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps that run before all others."""
        return (step for step in steps if step.index in self.retried)

    def steps_to_run(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the other steps that run."""
        return (step for step in steps if step.index not in self.retried and self.runs(step))

    def earlier_results(self, steps: Iterable[Step]) -> Iterator[Result]:
        """Yield the results of the steps that do not run."""
        with self.history.reading() as read:
            for step in steps:
                if self.runs(step):
                    continue
                if self._has_result(step.index):
                    yield read(step.index)
                else:
                    yield self._missing_result(step)

    def count_failures(self, steps: Iterable[Step]) -> int:
        """Count the steps that failed, or are in doubt, and do not run again."""
        return sum(self._is_not_ok(step.index) and not self.runs(step) for step in steps)

    def _is_not_ok(self, index: int) -> bool:
        not_ok = {RecordedStatus.FAILED, RecordedStatus.UNKNOWN}
        is_done = index in self.history.resolved
        return not is_done and (self._is_in_doubt(index) or self.history.status(index) in not_ok)

    def outcomes(self, steps: Iterable[Step], not_done: ActionError) -> Iterator[Result]:
        """Yield the result of each step if nothing runs any more.

        Args:
            steps: The steps.
            not_done: Why the others are skipped that have no result and are not in doubt.
        """
        with self.history.reading() as read:
            for step in steps:
                if self._has_result(step.index):
                    yield read(step.index)
                elif step.index in self.history.sending | self.history.resolved:
                    yield self._missing_result(step)
                else:
                    yield result_for(step, Status.SKIPPED, error=not_done)

    def combined(self, step: Step, result: Result) -> Result:
        """Combine the result of a step that ran with what the journal says of it.

        A step that failed before and was now skipped keeps its failure: it did not run again.
        One that may have been sent before is ok or in doubt, whatever its second run said.
        """
        if result.status is Status.OK:
            return result
        if self._is_in_doubt(step.index):
            # It ran again, so it may be repeated.
            return msgspec.structs.replace(
                result,
                status=Status.UNKNOWN,
                attempts=max(1, result.attempts),
                error=REPEATABLE_IN_DOUBT,
            )
        failed = self.history.status(step.index) is RecordedStatus.FAILED
        if result.status is Status.SKIPPED and failed and not self._is_repeated(step):
            with self.history.reading() as read:
                return read(step.index)
        return result

    def has_nothing_to_do(self, steps: Iterable[Step], total: int) -> bool:
        """Whether each of all `total` steps has a result and none runs."""
        counts = self.history.counts()
        if self.history.sending or self.retried or counts.total() != total:
            return False
        if self.mode is ResumeMode.FAILED:
            return not counts[RecordedStatus.FAILED]
        if counts[RecordedStatus.NOT_STARTED]:
            return False
        return not (counts[RecordedStatus.INTERRUPTED] and any(map(self.runs, steps)))

    def is_new(self, result: Result) -> bool:
        """Whether the journal has no result of this action yet."""
        return not self._has_result(result.index)

    def _has_result(self, index: int) -> bool:
        return index not in self.history.sending and bool(self.history.status(index))

    def _is_in_doubt(self, index: int) -> bool:
        interrupted = self.history.status(index) is RecordedStatus.INTERRUPTED
        return index in self.history.sending or interrupted

    def runs(self, step: Step) -> bool:
        """Whether a step runs."""
        if self._is_repeated(step):
            return True
        if self.mode is ResumeMode.FAILED:
            failed = self.history.status(step.index) is RecordedStatus.FAILED
            return failed and step.index not in self.history.sending
        if self._is_in_doubt(step.index):
            return _is_repeatable(step)
        if step.index in self.history.resolved:
            return False
        return step.index in self.retried or self.history.status(step.index) not in _ENDED

    def results_to_replace(self, steps: Iterable[Step]) -> Iterator[Result]:
        """Yield, for the steps of `finally` that have a result and run again, one in its place.

        If the run ends before they do, it still says what is to be done.
        """
        for step in steps:
            if self._is_repeated(step) and self._has_result(step.index):
                yield result_for(step, Status.SKIPPED, error=AGAIN)

    def _is_repeated(self, step: Step) -> bool:
        """Whether a step of `finally` runs because other actions do, whatever its result."""
        if not (step.is_final and self.repeats_final):
            return False
        if self._is_in_doubt(step.index):
            return _is_repeatable(step)
        return step.action.is_idempotent or self.history.status(step.index) in _NOT_DONE

    def was_tried(self, step: Step) -> bool:
        """Whether a step has failed, or may have been sent."""
        failed = self.history.status(step.index) is RecordedStatus.FAILED
        return failed or self._is_in_doubt(step.index)

    def in_flight(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps that may have been sent without a result."""
        return (step for step in steps if self._is_in_doubt(step.index))

    def _missing_result(self, step: Step) -> Result:
        """Make the result of a step that neither runs nor has a result."""
        if step.index in self.history.resolved:
            return result_for(step, Status.OK, attempts=1, error=RESOLVED)
        if step.index not in self.history.sending:
            return result_for(step, Status.SKIPPED, error=NOT_FAILED)
        error = REPEATABLE_IN_DOUBT if _is_repeatable(step) else IN_DOUBT
        return result_for(step, Status.UNKNOWN, attempts=1, error=error)


def _is_repeatable(step: Step) -> bool:
    return step.action.is_idempotent or step.delivery is Delivery.AT_LEAST_ONCE
