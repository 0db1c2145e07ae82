"""Report files: checked before a run, and written as a whole at its end."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from wps_run.problems import UsageError
from wps_run.report.formats import FILE_FORMATS, suffix_list
from wps_run.report.run_report import RunReport


def report_paths(files: Iterable[str], reserved: Iterable[str] = ()) -> tuple[Path, ...]:
    """Return the files of reports, each checked before anything is sent.

    Args:
        files: Their names.
        reserved: Other files of the run that a report must not replace.

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
                f"the report `{file}` has an unsupported suffix; name a file that ends with "
                f"{suffix_list()}"
            )
        if path in others:
            raise UsageError(f"the report `{file}` would replace a file that the run itself needs")
        if path in paths:
            raise UsageError(f"the report `{file}` is given twice")
        _check_writable(path, file)
        paths[path] = None
    return tuple(paths)


def _check_writable(path: Path, file: str) -> None:
    """Create a file beside the report and remove it: permissions do not say enough."""
    if path.is_dir():
        raise UsageError(f"the report `{file}` is a folder; name a file in it")
    part = _part(path)
    try:
        part.touch(exist_ok=False)
        part.unlink()
    except OSError as error:
        raise UsageError(f"cannot write the report `{file}`: {error.strerror}") from None


def write_report_files(paths: Iterable[Path], report: RunReport) -> Iterator[tuple[Path, OSError]]:
    """Write report files, each as a whole or not at all; yield those that cannot be written."""
    for path in paths:
        try:
            write_whole(path, FILE_FORMATS[path.suffix.lower()].render(report))
        except OSError as error:
            yield path, error


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
