"""The files that a playbook names: rows of `forEach`, messages of `dataFile`."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from wps_run.actions.fields import DATA_LIMIT
from wps_run.document.loader import decode, load
from wps_run.playbook.foreach import SAVE_FIRST, file_name_error
from wps_run.playbook.rows import LINE_LIMIT, InputError, Rows, read_csv, read_document, read_ndjson
from wps_run.problems import PlaybookError, Position, Problem

Reader = Callable[[Iterable[bytes], str], Rows]


class Files:
    """Reads relative to one folder, the playbook's.

    Args:
        folder: The folder. Rows may come from anywhere. Messages come from inside of it only:
            what a message's file holds is sent to clients, and the name of the file may come
            from a row, so a row could otherwise have any file of this machine sent.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self.paths: dict[str, Path] = {}
        """Each file that was read so far, by the name that the playbook gives it."""
        self._states: dict[str, tuple[int, ...]] = {}

    def rows(self, name: str) -> Rows:
        """The rows of a file, from its beginning; CSV and NDJSON are read a line at a time.

        Raises:
            InputError: It cannot be read; when the first row is asked for, or later.
        """
        path = self._folder / name
        try:
            _refuse_odd(path, name, f"can be read only once, and rows are read twice; {SAVE_FIRST}")
            fault = file_name_error(name)
            if fault:
                raise InputError(fault)
            reader = READERS.get(path.suffix.lower(), _document)
            self.paths[name] = path
            with path.open("rb") as file:
                self._refuse_changed(name, file.fileno())
                # As it would be typed: `playbooks/members.csv`, not `playbooks/./members.csv`.
                shown = os.path.normpath(path)
                yield from reader(iter(partial(file.readline, LINE_LIMIT), b""), shown)
                self._refuse_changed(name, file.fileno())
        except (OSError, ValueError) as error:
            raise InputError(_reason(name, error)) from None

    def data(self, name: str) -> bytes:
        """The bytes of a message.

        Raises:
            InputError: It cannot be read, is too long, or lies outside of the folder.
        """
        try:
            folder = self._folder.resolve()
            path = (folder / name).resolve()
            if not path.is_relative_to(folder):
                raise InputError(
                    f"`{name}` is outside of the playbook's folder, and what it holds would be "
                    "sent to clients; copy it into the folder"
                )
            _refuse_odd(path, name, "is no regular file; save its content to one")
            self.paths[name] = path
            with path.open("rb") as file:
                raw = file.read(DATA_LIMIT + 1)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(_reason(name, error)) from None
        if len(raw) > DATA_LIMIT:
            raise InputError(f"`{name}` is longer than {DATA_LIMIT} bytes (1 MiB)")
        return raw

    def _refuse_changed(self, name: str, descriptor: int) -> None:
        """Refuse other rows than those that were read first: they are not what was checked."""
        if self._states.setdefault(name, _state(descriptor)) != _state(descriptor):
            raise InputError(f"`{name}` was changed after its rows were checked")


def _document(lines: Iterable[bytes], file: str) -> Rows:
    try:
        text = decode(b"".join(lines), file)
        if not text.strip():
            return iter(
                (Problem("the file is empty; an empty list is `[]`", "row", Position(file, 1)),)
            )
        document = load(text, file)
    except PlaybookError as error:
        return iter(error.problems)
    return read_document(document)


READERS: Mapping[str, Reader] = MappingProxyType(
    {".csv": read_csv, ".ndjson": read_ndjson, ".jsonl": read_ndjson}
)
"""Suffix to what reads such a file; all others are read whole."""


def _refuse_odd(path: Path, name: str, why: str) -> None:
    """Refuse what is no regular file, before opening it: a pipe would hang."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise InputError(f"`{name}` {why}")


def _state(descriptor: int) -> tuple[int, ...]:
    """What changes when a file is written to, or another one takes its name."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _reason(name: str, error: OSError | ValueError | RuntimeError) -> str:
    if not name:
        return "the name of the file is empty"
    if isinstance(error, FileNotFoundError):
        return f"there is no file `{name}`"
    if isinstance(error, IsADirectoryError):
        return f"`{name}` is a folder"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, RuntimeError):  # before Python 3.13 so does `resolve` tell of a loop
        reason = os.strerror(errno.ELOOP)
    return f"cannot read `{name}`: {reason}"
