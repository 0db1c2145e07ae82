"""The account of a run that has ended: all that a report file is made from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wps_run.execution.record import Record
from wps_run.execution.result import Summary
from wps_run.execution.run_info import RunInfo
from wps_run.report.simulation import Simulation


@dataclass(frozen=True, slots=True)
class RunReport:
    """What is known of a run, from the run itself or from its journal.

    Attributes:
        heading: What was run, and where.
        began: When its first part began, as ISO 8601 in UTC.
        records: The last record of each action that ended, in the order of the playbook. They can
            be gone through any number of times.
        summary: The totals. In a run that was broken off, what may have left counts as unknown
            and what was not done as skipped.
        outlooks: What would happen, a hub each; none unless it is a rehearsal.
        finished: Whether the run came to its end.
    """

    heading: RunInfo
    began: str
    records: Iterable[Record]
    summary: Summary
    outlooks: Sequence[Simulation] = ()
    finished: bool = True
