"""What a person may do once a run has ended: the words that go on with it, and where it is kept."""

from collections.abc import Iterator, Sequence

from wps_run.execution.result import Status, Summary


def followup(
    summary: Summary, resume: str, journal: str, reports: Sequence[str] = ()
) -> Iterator[str]:
    """One line for each thing to know or do.

    Args:
        summary: How the run ended.
        resume: The command line that goes on with it; "" when it has no journal.
        journal: Where its journal is; "" when it has none.
        reports: Where its reports are.
    """
    if journal:
        yield f"the journal: {journal}"
    for report in reports:
        yield f"a report: {report}"
    unknown = summary.counts[Status.UNKNOWN]
    if unknown:
        kept = "; --resume repeats only what was broken off and may be done twice" if resume else ""
        yield (
            f"{unknown:,} may or may not have happened: look before you run "
            f"{'it' if unknown == 1 else 'them'} again{kept}"
        )
    if summary.counts[Status.FAILED] and resume:
        yield f"to do again what failed: {resume} --failed"
