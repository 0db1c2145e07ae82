"""Which actions of a broken-off run are done, which are in doubt, and which are left. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Resumption:
    """Splits the steps of a run: what is left is passed on, the rest has its result already.

    Attributes:
        history: What the journal says.
        again: What is to be done again.
        settled: Results of steps that are not passed on, in order, until they are taken.
    """

    history: History
    again: Again
    settled: list[Result] = field(default_factory=list)

    def left(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps that are to be carried out; results of the others go to `settled`."""
        for step in steps:
            result = self._settled(step)
            if result is None:
                yield step
            else:
                self.settled.append(result)

    def take(self) -> list[Result]:
        """The results settled since the last call."""
        taken, self.settled = self.settled, []
        return taken

    def told(self, result: Result) -> Result:
        """The result to tell of a step that was passed on.

        One that failed before and was now skipped keeps its failure: it was not tried again.
        """
        record = self.history.results.get(result.step.index)
        if result.status is Status.SKIPPED and record and record["status"] == Status.FAILED:
            return result_from(result.step, record_from(record))
        return result

    def is_new(self, settled: Result) -> bool:
        """Whether the journal has no result of this action yet."""
        return settled.step.index not in self.history.results

    def _settled(self, step: Step) -> Result | None:
        record = self.history.results.get(step.index)
        status = Status(record["status"]) if record else None
        if self.again is Again.FAILED:
            if status is Status.FAILED:
                return None
            skipped = Result(step, Status.SKIPPED, fault=NOT_FAILED)
            kept = result_from(step, record_from(record)) if record else self._in_doubt(step)
            return kept or skipped
        if record and status is not Status.SKIPPED:
            return result_from(step, record_from(record))
        if record and record["error"] and record["error"]["code"] == Skip.MISSING:
            return result_from(step, record_from(record))
        return self._in_doubt(step)

    def _in_doubt(self, step: Step) -> Result | None:
        """A send that may have left ends as unknown, unless it is wanted at least once."""
        if step.index not in self.history.sending or step.delivery is Delivery.AT_LEAST_ONCE:
            return None
        return Result(step, Status.UNKNOWN, attempts=1, fault=IN_DOUBT)
