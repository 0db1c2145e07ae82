"""Which actions of a broken-off run are done, which are in doubt, and which are left. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from wps_run.execution.record import ended, record_from
from wps_run.execution.result import ActionError, Result, Skip, Status
from wps_run.journal.reader import History, RecordedStatus
from wps_run.playbook.options import Delivery
from wps_run.playbook.steps import Step


class ResumeMode(StrEnum):
    """What a resumed run does again."""

    UNDONE = "undone"
    """Everything without a result, and what was skipped."""

    FAILED = "failed"
    """Only what failed."""


_BROKEN_OFF = "the run was broken off while this action was on its way"
IN_DOUBT = ActionError(
    Skip.INTERRUPTED,
    _BROKEN_OFF,
    "look whether it happened; `delivery: atLeastOnce` would send it again",
)
"""Why the outcome of what must not be sent twice is unknown."""

STILL_IN_DOUBT = ActionError(
    Skip.INTERRUPTED, _BROKEN_OFF, "it may have happened; --resume does it once more, as it may be"
)
"""Why the outcome of what may be done twice is unknown, when it was not done again."""

NOT_FAILED = ActionError("not-failed", "only what failed is run again")

_SETTLED = frozenset(
    {RecordedStatus.OK, RecordedStatus.FAILED, RecordedStatus.UNKNOWN, RecordedStatus.EXCUSED}
)


@dataclass(frozen=True, slots=True)
class Resumption:
    """Splits the steps of a run: some have their result already, the others are left.

    Attributes:
        history: What the journal says.
        again: What is to be done again.
    """

    history: History
    again: ResumeMode

    def left(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps that are to be carried out."""
        return (step for step in steps if self._is_left(step))

    def settled(self, steps: Iterable[Step]) -> Iterator[Result]:
        """The results of the others."""
        with self.history.reading() as read:
            for step in steps:
                if self._is_left(step):
                    continue
                if self._has_result(step.index):
                    yield Result(step, record_from(read(step.index)))
                else:
                    yield self._without_result(step)

    def told(self, result: Result) -> Result:
        """The result to tell of a step that was left.

        One that failed before and was now skipped keeps its failure: it was not tried again. One
        that may have left before is ok or in doubt, whatever has become of its second time.
        """
        step = result.step
        if result.status is Status.OK:
            return result
        if self._in_doubt(step.index):
            fault = STILL_IN_DOUBT if _may_be_repeated(step) else IN_DOUBT
            attempts = max(1, result.attempts)
            doubtful = replace(result.record, status=Status.UNKNOWN, attempts=attempts, error=fault)
            return Result(step, doubtful)
        if (
            result.status is Status.SKIPPED
            and self.history.known(step.index) is RecordedStatus.FAILED
        ):
            with self.history.reading() as read:
                return Result(step, record_from(read(step.index)))
        return result

    def is_new(self, settled: Result) -> bool:
        """Whether the journal has no result of this action yet."""
        return not self._has_result(settled.step.index)

    def _has_result(self, index: int) -> bool:
        return index not in self.history.sending and bool(self.history.known(index))

    def _in_doubt(self, index: int) -> bool:
        return index in self.history.sending or self.history.known(index) is RecordedStatus.DOUBTED

    def _is_left(self, step: Step) -> bool:
        if self.again is ResumeMode.FAILED:
            failed = self.history.known(step.index) is RecordedStatus.FAILED
            return failed and step.index not in self.history.sending
        if self._in_doubt(step.index):
            return _may_be_repeated(step)
        return self.history.known(step.index) not in _SETTLED

    def _without_result(self, step: Step) -> Result:
        """What is told of a step that is neither done again nor has a result."""
        if step.index not in self.history.sending:
            return ended(step, Status.SKIPPED, fault=NOT_FAILED)
        fault = STILL_IN_DOUBT if _may_be_repeated(step) else IN_DOUBT
        return ended(step, Status.UNKNOWN, attempts=1, fault=fault)


def _may_be_repeated(step: Step) -> bool:
    return step.action.is_idempotent or step.delivery is Delivery.AT_LEAST_ONCE
