"""`--report FILE`: the report files of a run, and the job summary of GitHub Actions."""

import os
import secrets
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

from wps_run.cli.configuration import Decorated
from wps_run.cli.terminal import show_message
from wps_run.problems import UsageError
from wps_run.report.formats import FILE_FORMATS, help_of, suffix_list
from wps_run.report.markdown import markdown
from wps_run.report.run_report import RunReport
from wps_run.text import Label

JOB_SUMMARY = "GITHUB_STEP_SUMMARY"
_JOB_SUMMARY_LIMIT = 1024 * 1024
"""GitHub refuses a job summary of more bytes."""


class ReportPath(click.Path):
    """The name of a report file; shells complete its suffix."""

    def __init__(self) -> None:
        super().__init__(readable=False)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Complete files, and the name with each suffix."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 -- shells only

        name = os.path.basename(incomplete)  # noqa: PTH119 -- "" for a folder
        folder = incomplete.removesuffix(name)
        stem = name.rpartition(".")[0] or name or "report"
        names = (f"{folder}{stem}{suffix}" for suffix in FILE_FORMATS)
        items = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return [*items, *super().shell_complete(ctx, param, incomplete)]


def report_option(command: Decorated) -> Decorated:
    """Add `--report`."""
    return click.option(
        "--report",
        "reports",
        type=ReportPath(),
        multiple=True,
        metavar="FILE",
        help=f"Write a report to FILE in the format of its suffix. {help_of(FILE_FORMATS)}. "
        "Can be repeated.",
    )(command)


def report_paths(files: Iterable[str], reserved: Iterable[str] = ()) -> tuple[Path, ...]:
    """Return the files of `--report`, each checked before anything is sent.

    Args:
        files: As the command line names them.
        reserved: Files of the same command line that a report must not replace.

    Raises:
        UsageError: One cannot be written, has an unsupported suffix, or would replace another
            file of the run.
    """
    others = {Path(file).resolve() for file in reserved}
    paths: dict[Path, None] = {}
    for file in files:
        path = Path(file).resolve()
        if path.suffix.lower() not in FILE_FORMATS:
            raise UsageError(
                f"--report {file}: unsupported suffix; name a file that ends with {suffix_list()}"
            )
        if path in others:
            raise UsageError(f"--report {file} would replace a file that the run itself needs")
        if path in paths:
            raise UsageError(f"--report {file} is given twice")
        _check_writable(path, file)
        paths[path] = None
    return tuple(paths)


def _check_writable(path: Path, file: str) -> None:
    """Create a file beside the report and remove it: permissions do not say enough."""
    if path.is_dir():
        raise UsageError(f"--report {file}: this is a folder; name a file in it")
    part = _part(path)
    try:
        part.touch(exist_ok=False)
        part.unlink()
    except OSError as error:
        raise UsageError(f"cannot write the report `{file}`: {error.strerror}") from None


def write_reports(paths: Iterable[Path], report: RunReport, journal: Path | None) -> bool:
    """Write report files, each as a whole or not at all.

    Args:
        paths: The files.
        report: Their content.
        journal: The journal from which they can be written again, or None.

    Returns:
        Whether all were written. Each failure is a message on stderr.
    """
    succeeded = True
    for path in paths:
        try:
            write_whole(path, FILE_FORMATS[path.suffix.lower()].render(report))
        except OSError as error:
            succeeded = False
            show_message(Label.ERROR, f"cannot write the report `{path}`: {error.strerror}")
            if journal:
                again = shlex.join(["wps-run", "report", str(journal), "--report", str(path)])
                show_message(Label.HINT, f"nothing is lost; to write it again: {again}")
    return succeeded


def write_whole(path: Path, pieces: Iterable[str], *, mode: int = 0o666) -> None:
    """Write a text file as a whole or not at all; it replaces an earlier one.

    Args:
        path: The file.
        pieces: The text.
        mode: The permissions of the file, before the umask.

    Raises:
        OSError: It cannot be written.
    """
    with replaced_file(path, mode=mode) as file:
        # Lone surrogates are escaped as JSON does it; the other formats contain none.
        file.writelines(piece.encode(errors="backslashreplace") for piece in pieces)


@contextmanager
def replaced_file(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that replaces another one at the end, if there was no exception.

    Arguments and errors are those of `write_whole`.
    """
    part = _part(path)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(part, flags, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _part(path: Path) -> Path:
    return path.with_name(f".wps-run-{secrets.token_hex(6)}.part")


def add_job_summary(path: Path, report: RunReport) -> None:
    """Append a run to the job summary of GitHub Actions. If that fails, there is a warning."""
    try:
        text = "".join(markdown(report)).encode()
        with path.open("ab") as summary:
            if summary.tell() + len(text) > _JOB_SUMMARY_LIMIT:
                reason = "it has no room left for this run"
            else:
                reason = ""
                summary.write(text)
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        show_message(Label.WARNING, f"the job summary is not written: {reason}")
