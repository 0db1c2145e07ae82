"""Which actions of a broken-off run are done, which are in doubt, and which are left. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from runner.execution.history import History
from runner.execution.record import record_from, result_from
from runner.execution.result import Fault, Result, Skip, Status
from runner.playbook.options import Delivery
from runner.playbook.step import Step


class Again(StrEnum):
    """What a resumed run does again."""

    UNDONE = "undone"
    """Everything without a result, and what was skipped."""

    FAILED = "failed"
    """Only what failed."""


IN_DOUBT = Fault(
    "interrupted",
    "the run was broken off while this action was on its way",
    "look whether it happened; `delivery: atLeastOnce` would send it again",
)

NOT_FAILED = Fault("not-failed", "only what failed is run again")


@dataclass(frozen=True, slots=True)
class Resumption:
    """Splits the steps of a run: some have their result already, the others are left.

    Attributes:
        history: What the journal says.
        again: What is to be done again.
    """

    history: History
    again: Again

    def left(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps that are to be carried out."""
        return (step for step in steps if self._settled(step) is None)

    def settled(self, steps: Iterable[Step]) -> Iterator[Result]:
        """The results of the others."""
        return (result for step in steps if (result := self._settled(step)))

    def told(self, result: Result) -> Result:
        """The result to tell of a step that was left.

        One that failed before and was now skipped keeps its failure: it was not tried again. One
        that may have left before is ok or in doubt, whatever has become of its second time.
        """
        if result.step.index in self.history.sending and result.status is not Status.OK:
            return replace(result, status=Status.UNKNOWN, fault=IN_DOUBT)
        record = self.history.result(result.step.index)
        if result.status is Status.SKIPPED and record and record["status"] == Status.FAILED:
            return result_from(result.step, record_from(record))
        return result

    def is_new(self, settled: Result) -> bool:
        """Whether the journal has no result of this action yet."""
        return self.history.result(settled.step.index) is None

    def _settled(self, step: Step) -> Result | None:
        if step.index in self.history.sending:
            return self._in_doubt(step)
        written = self.history.result(step.index)
        if written is None:
            return self._undone(step)
        result = result_from(step, record_from(written))
        if self.again is Again.FAILED:
            return None if result.status is Status.FAILED else result
        return None if _is_postponed(result) else result

    def _undone(self, step: Step) -> Result | None:
        if self.again is Again.FAILED:
            return Result(step, Status.SKIPPED, fault=NOT_FAILED)
        return None

    def _in_doubt(self, step: Step) -> Result | None:
        """A send that may have left ends as unknown, unless it is wanted at least once."""
        if step.delivery is Delivery.AT_LEAST_ONCE:
            return None
        return Result(step, Status.UNKNOWN, attempts=1, fault=IN_DOUBT)


def _is_postponed(result: Result) -> bool:
    """Whether an action was skipped, and not because the playbook says so."""
    missing = result.fault is not None and result.fault.code == Skip.MISSING
    return result.status is Status.SKIPPED and not missing
