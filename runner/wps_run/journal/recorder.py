"""Records a run in its journal, with the results of an earlier part of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from msgspec import structs

from wps_run.execution.errors import skip_error
from wps_run.execution.result import ExpectationResult, Result, SkipReason, Status, result_for
from wps_run.journal.format import Unsent
from wps_run.journal.resume import Resumption
from wps_run.journal.writer import Journal
from wps_run.playbook.expectations import Expectation
from wps_run.playbook.steps import Step


@dataclass(frozen=True, slots=True)
class RunRecorder:
    """Records what the executor sends and what ended, if the run has a journal.

    Attributes:
        journal: The journal, or None.
        resumption: What an earlier part of the run has done, or None.
        elapsed: Seconds since the first part of the run began; 0 in a run of one part.
        started: When that was, as ISO 8601 in UTC; "" without a journal.
        is_temporary: Whether the journal only serves to write reports.
        in_place: A byte for each step by its index: 1 if it is left out, since it would change
            nothing. Empty if no step is left out.
        others: The journals of the processes that run the actions; empty if this one does.
    """

    journal: Journal | None = None
    resumption: Resumption | None = None
    elapsed: float = 0.0
    started: str = ""
    is_temporary: bool = False
    in_place: bytes = b""
    others: tuple[Journal, ...] = ()

    def of_process(self, number: int) -> "RunRecorder":
        """Return the recorder of a process that runs the actions of a shard."""
        return replace(self, journal=self.others[number - 1], others=())

    def release_all_but(self, number: int) -> None:
        """Close, in a process that was forked, the journals that it does not write."""
        for journal in (self.journal, *self.others):
            if journal and journal is not self.others[number - 1]:
                journal.release()

    @property
    def lasting(self) -> Journal | None:
        """The journal if it outlives the run, else None."""
        return None if self.is_temporary else self.journal

    def earlier_results(self, steps: Iterable[Step]) -> Iterator[Result]:
        """Yield the results of the steps that do not run again; new ones are recorded."""
        if self.resumption:
            for result in self.resumption.earlier_results(steps):
                if self.resumption.is_new(result):
                    self._add(result)
                yield result

    def earlier_failures(self, steps: Iterable[Step]) -> int:
        """Return how many steps failed, or are in doubt, and do not run again."""
        return self.resumption.count_failures(steps) if self.resumption else 0

    def steps_to_run(self, steps: Callable[[], Iterable[Step]]) -> Iterator[Iterable[Step]]:
        """Yield the steps that run: first those that are retried, when these ended the others.

        Args:
            steps: Makes an iterator over the steps of a plan.
        """
        for part in self._parts(steps):
            left_out = self.in_place
            yield (step for step in part if not left_out[step.index]) if left_out else part

    def left_out(self, steps: Callable[[], Iterable[Step]]) -> Iterator[Result]:
        """Record and yield the results of the steps that would run but are in place."""
        error = skip_error(SkipReason.IN_PLACE)
        for part in self._parts(steps) if self.in_place else ():
            for step in part:
                if self.in_place[step.index]:
                    yield self.record(step, result_for(step, Status.SKIPPED, error=error))

    def _parts(self, steps: Callable[[], Iterable[Step]]) -> Iterator[Iterable[Step]]:
        if self.resumption and self.resumption.retried:
            yield self.resumption.steps_to_retry(steps())
        yield self.resumption.steps_to_run(steps()) if self.resumption else steps()

    def has_nothing_to_do(self, steps: Iterable[Step], total: int) -> bool:
        """Whether an earlier part has done all `total` steps."""
        return self.resumption is not None and self.resumption.has_nothing_to_do(steps, total)

    def mark_sending(self, index: int) -> bool:
        """Record that an action is about to be sent; it must not be if this returns False."""
        return self.journal is None or self.journal.mark_sending(index)

    async def sync_sending(self, index: int) -> bool:
        """Do the same, on disk before it returns."""
        return self.journal is None or await self.journal.sync_sending(index)

    def mark_unsent(self, index: int) -> None:
        """Record that an action was certainly not done, and waits for another attempt."""
        if self.journal:
            self.journal.add(Unsent(index))

    def record(self, step: Step, result: Result) -> Result:
        """Record the result of a step that ran. Returns the result to report."""
        if self.resumption:
            result = self.resumption.combined(step, result)
        self._add(result)
        return result

    def record_expectation(self, expectation: Expectation, result: ExpectationResult) -> None:
        """Record the result of an expectation; a journal that lasts has no messages."""
        if self.lasting:
            result = structs.replace(result, statement=expectation.recorded_statement)
        if self.journal:
            self.journal.add(result)

    def record_settled(self, results: Iterable[Result]) -> list[Result]:
        """Record the results that reading has settled, in place of those in doubt. Returns all."""
        results = list(results)
        for result in results:
            if result.status is Status.OK:
                self._add(result)
        return results

    def discard_temporary(self) -> None:
        """Delete the journals if they only serve to write reports."""
        if self.is_temporary and self.journal:
            for journal in (self.journal, *self.others):
                journal.path.unlink(missing_ok=True)

    def _add(self, result: Result) -> None:
        if self.journal:
            self.journal.add(result)
