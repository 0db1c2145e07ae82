"""`--report FILE`: the files that tell a run, and the job summary of GitHub Actions."""

import os
import secrets
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wps_run.cli.journals import written
from wps_run.cli.spool import Spool
from wps_run.execution.record import Record
from wps_run.execution.result import Summary
from wps_run.execution.run_info import RunInfo
from wps_run.journal.recorder import RunRecorder
from wps_run.problems import UsageError
from wps_run.report.formats import FILE_FORMATS, file_help, suffix_list

if TYPE_CHECKING:
    from wps_run.report.run_report import RunReport
    from wps_run.report.simulation import Simulation

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

JOB_SUMMARY = "GITHUB_STEP_SUMMARY"
_MOST = 1024 * 1024
"""GitHub refuses a job summary of more bytes."""


def report_option(command: Decorated) -> Decorated:
    """`--report`."""
    return click.option(
        "--report",
        "reports",
        multiple=True,
        metavar="FILE",
        help=f"Write a report to FILE in the format of its suffix. {file_help()}. Can be repeated.",
    )(command)


def targets(files: Iterable[str], taken: Iterable[str] = ()) -> tuple[Path, ...]:
    """The files of `--report`, each checked before anything is sent.

    Args:
        files: As the command line names them.
        taken: Files of the same command line that a report must not replace.

    Raises:
        UsageError: One cannot be written, is of an unknown kind, or would replace another file
            of the run.
    """
    kept = {Path(file).resolve() for file in taken}
    found: dict[Path, None] = {}
    for file in files:
        path = Path(file).resolve()
        if path.suffix.lower() not in FILE_FORMATS:
            raise UsageError(
                f"--report {file}: unsupported suffix; name a file that ends with {suffix_list()}"
            )
        if path in kept:
            raise UsageError(f"--report {file} would replace a file that the run itself needs")
        if path in found:
            raise UsageError(f"--report {file} is given twice")
        _try_out(path, file)
        found[path] = None
    return tuple(found)


def _try_out(path: Path, file: str) -> None:
    """Make a file beside the report and remove it: permissions say too little."""
    if path.is_dir():
        raise UsageError(f"--report {file}: this is a folder; name a file in it")
    part = _part(path)
    try:
        part.touch(exist_ok=False)
        part.unlink()
    except OSError as error:
        raise UsageError(f"cannot write the report `{file}`: {error.strerror}") from None


class ReportFiles:
    """The report files of one run, and the job summary if there is one.

    Args:
        paths: The files, checked by `targets`.
        environment: Names the job summary, in a step of GitHub Actions.

    Raises:
        UsageError: There is no room to keep records aside.
    """

    def __init__(self, paths: Sequence[Path], environment: Mapping[str, str]) -> None:
        self.paths = paths
        self._job_summary = environment.get(JOB_SUMMARY)
        self._made = written(datetime.now(UTC))
        self._spool: Spool | None = None
        if paths or self._job_summary:
            try:
                self._spool = Spool(paths[0].parent if paths else None)
            except OSError as error:
                raise UsageError(f"cannot keep records for a report: {error.strerror}") from None

    def add(self, record: Record) -> None:
        """Note a result."""
        if self._spool:
            self._spool.add(record)

    def write(
        self,
        heading: RunInfo,
        summary: Summary,
        kept: RunRecorder,
        outlooks: "Sequence[Simulation]",
    ) -> bool:
        """Write them all, once the run has ended and its journal is closed.

        Returns:
            Whether every file was written. What was not is told on stderr, with the words that
            make it again.
        """
        if self._spool is None:
            return True
        from wps_run.report.run_report import RunReport  # noqa: PLC0415 -- most runs have no report file

        if kept.journal:
            outlooks = tuple(one.without_text() for one in outlooks)
        account = RunReport(heading, kept.began or self._made, self._spool, summary, outlooks)
        journal = kept.journal.path if kept.journal else None
        failed = write_reports(self.paths, account, journal)
        if self._job_summary:
            _add_job_summary(Path(self._job_summary), account)
        self._spool.close()
        return not failed


def write_reports(paths: Iterable[Path], account: "RunReport", journal: Path | None) -> bool:
    """Write report files; each is there as a whole or not at all.

    Args:
        paths: The files.
        account: What they tell.
        journal: What they can be made from again, or None.

    Returns:
        Whether one could not be written. That is told on stderr.
    """
    failed = False
    for path in paths:
        try:
            _write(path, FILE_FORMATS[path.suffix.lower()].render(account))
        except OSError as error:
            failed = True
            click.echo(f"wps-run: cannot write the report `{path}`: {error.strerror}", err=True)
            if journal:
                words = shlex.join(["wps-run", "report", str(journal), "--report", str(path)])
                click.echo(f"wps-run: nothing is lost; to make it again: {words}", err=True)
    return failed


def _write(path: Path, pieces: Iterable[str]) -> None:
    part = _part(path)
    try:
        # What is no Unicode is escaped as JSON has it; the other formats have none left.
        with part.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _part(path: Path) -> Path:
    return path.with_name(f".wps-run-{secrets.token_hex(6)}.part")


def _add_job_summary(path: Path, account: "RunReport") -> None:
    """Append the run to the job summary of GitHub Actions; that it cannot be is a warning."""
    from wps_run.report.markdown import markdown  # noqa: PLC0415 -- only in such a step

    try:
        text = "".join(markdown(account)).encode()
        with path.open("ab") as page:
            if page.tell() + len(text) > _MOST:
                trouble = "it has no room left for this run"
            else:
                trouble = ""
                page.write(text)
    except OSError as error:
        trouble = error.strerror or str(error)
    if trouble:
        click.echo(f"wps-run: warning: the job summary is not written: {trouble}", err=True)
