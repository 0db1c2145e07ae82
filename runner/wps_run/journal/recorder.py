"""Where a run is kept: its journal, and what an earlier part of it has done."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wps_run.execution.result import Result
from wps_run.journal.writer import Journal
from wps_run.playbook.steps import Step

if TYPE_CHECKING:
    from wps_run.journal.resume import Resumption


@dataclass(frozen=True, slots=True)
class RunRecorder:
    """What the executor tells its journal, and what it is told of an earlier part of the run.

    Attributes:
        journal: Takes results, and what is about to leave; None when the run has none.
        resumption: What is done already, or None.
        elapsed: Seconds since the first part of the run began; 0 in a run of one part.
        began: When that was, as ISO 8601 in UTC; "" when the run has no journal.
    """

    journal: Journal | None = None
    resumption: "Resumption | None" = None
    elapsed: float = 0.0
    began: str = ""

    def settled(self, steps: Iterable[Step]) -> Iterator[Result]:
        """The results that the earlier part has settled; new ones go into the journal."""
        if self.resumption:
            for result in self.resumption.settled(steps):
                if self.resumption.is_new(result):
                    self._add(result)
                yield result

    def left(self, steps: Iterable[Step]) -> Iterable[Step]:
        """The steps that are to be carried out."""
        return self.resumption.left(steps) if self.resumption else steps

    def note(self, index: int) -> bool:
        """Note that an action is about to leave; it must not when this gives False."""
        return self.journal is None or self.journal.note(index)

    async def announce(self, index: int) -> bool:
        """The same, even if the machine dies."""
        return self.journal is None or await self.journal.announce(index)

    def withdraw(self, index: int) -> None:
        """Note that an action was certainly not carried out, and waits to be sent again."""
        if self.journal:
            self.journal.withdraw(index)

    def ended(self, result: Result) -> Result:
        """The result to tell of a step that was left; it goes into the journal."""
        told = self.resumption.told(result) if self.resumption else result
        self._add(told)
        return told

    def _add(self, result: Result) -> None:
        if self.journal:
            self.journal.add_record(result.record)
