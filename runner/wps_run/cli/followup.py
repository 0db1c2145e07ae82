"""What is said on stderr once a run has ended: how to go on, and where everything is."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from wps_run import planning
from wps_run.cli.journals import paths_of, resume_words
from wps_run.execution.result import Status, Summary
from wps_run.journal.writer import Journal
from wps_run.report.text import next_steps


def say_what_next(
    summary: Summary,
    plans: Sequence[planning.Plan],
    journal: Journal | None,
    reports: Sequence[Path],
    *,
    for_people: bool,
) -> None:
    """Say how the run can be gone on with, and to people what else there is to do or to read.

    A script that had its results, all of them good, hears nothing.
    """
    words = resume_words(journal.path, paths_of(plans)) if journal else ""
    if for_people and (summary.exit_code or sys.stderr.isatty()):
        where = str(journal.path) if journal else ""
        for line in next_steps(summary, words, where, list(map(str, reports))):
            click.echo(f"wps-run: {line}", err=True)
    if journal and summary.counts[Status.SKIPPED] > summary.excused:
        click.echo(f"wps-run: to do the rest: {words}", err=True)
