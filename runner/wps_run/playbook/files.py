"""Open files to read: those that a user names, and those that a playbook names.

Only regular files are read, and never more than a limit. Devices and pipes may have no end.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from wps_run import input_limits
from wps_run.document.loader import decode, load
from wps_run.input_limits import Limit
from wps_run.playbook.foreach import SAVE_FIRST, file_name_error, format_error
from wps_run.playbook.rows import (
    DEFAULT_FORMAT,
    LINE_LIMIT,
    Cells,
    InputError,
    Item,
    ReadRows,
    RowFormat,
    Rows,
    read_csv,
    read_csv_column,
    read_document,
    read_ndjson,
)
from wps_run.problems import PlaybookError, Position, Problem

Reader = Callable[[Iterable[bytes], str, RowFormat], ReadRows]
_Reader = Callable[[Iterable[bytes], str, RowFormat], Generator[Item, None, Collection[str]]] | None


_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe waits for a writer otherwise
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_OWN_DESCRIPTOR = re.compile(r"/dev/(?:stdin|fd/([0-9]{1,9}))|/proc/self/fd/([0-9]{1,9})")
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_input(path: str | Path, *, may_be_pipe: bool = False) -> BinaryIO:
    """Open a regular file to read, without waiting.

    Args:
        path: The file.
        may_be_pipe: Whether the user named it on the command line. Then `/dev/stdin`, `/dev/fd/N`
            and `/proc/self/fd/N` are the descriptors of this process, and may be pipes, as the
            shell makes them for `<(command)`.

    Raises:
        InputError: It is a device, a socket or another pipe.
        OSError: It cannot be opened.
    """
    own = _OWN_DESCRIPTOR.fullmatch(str(path)) if may_be_pipe and os.name == "posix" else None
    if own:
        descriptor = os.dup(int(own[1] or own[2] or 0))
    else:
        # Some devices do something when they are opened.
        _require_regular(Path(path).stat().st_mode, path)
        descriptor = os.open(path, _FLAGS)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (own and stat.S_ISFIFO(mode)):
            _require_regular(mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_input(path: str | Path, limit: Limit, *, may_be_pipe: bool = False) -> bytes:
    """Read a file whole. The arguments and errors are those of `open_input`.

    Raises:
        InputError: It is larger than the limit as well.
    """
    with open_input(path, may_be_pipe=may_be_pipe) as file:
        return read_limited(file, path, limit)


def read_limited(file: BinaryIO, name: str | Path, limit: Limit) -> bytes:
    """Read a file whole. Its size is checked as well as its content: it may grow.

    Raises:
        InputError: It is larger than the limit.
    """
    status = os.fstat(file.fileno())
    is_longer = stat.S_ISREG(status.st_mode) and status.st_size > limit.value
    content = b"" if is_longer else file.read(limit.value + 1)
    if is_longer or len(content) > limit.value:
        raise InputError(f"`{name}` {limit.error}")
    return content


NAME_IT = "name the file itself on the command line"
"""What to do to have a file outside a folder read."""


def require_below(path: Path, folder: Path, remedy: str = NAME_IT) -> Path:
    """Return the path without symbolic links, which must be below a folder.

    Args:
        path: The path.
        folder: The folder.
        remedy: What to do if it is not.

    Raises:
        InputError: A symbolic link, or `..`, leads out of the folder.
        OSError: A part of the path cannot be read.
    """
    try:
        resolved = path.resolve()
    except RuntimeError:  # a loop of symbolic links, before Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
    if not resolved.is_relative_to(folder.resolve()):
        kind = "is a symbolic link that leads out of" if path.is_symlink() else "is outside"
        raise InputError(f"`{path}` {kind} the folder `{folder}`, and is not read; {remedy}")
    return resolved


class Files:
    """The files of one playbook, relative to its folder.

    Rows may come from any file. Messages come from inside the folder only: their content is sent
    to clients, and their names may come from rows, so that otherwise a row could have any file of
    the machine sent.

    Args:
        folder: The folder of the playbook.
        root: All files must be below this folder, in which the playbook was found; None when the
            user named the playbook.

    Attributes:
        paths: The files that were read so far, by their names in the playbook.
        columns: The columns of the CSV files whose rows were read to the end, by the same names.
    """

    def __init__(self, folder: str | Path, root: Path | None = None) -> None:
        self._folder = Path(folder)
        self._root = root
        self.paths: dict[str, Path] = {}
        self.columns: dict[str, Collection[str]] = {}
        self._states: dict[str, tuple[int, ...]] = {}

    def rows(self, name: str, row_format: RowFormat = DEFAULT_FORMAT) -> Rows:
        """Return the rows of a file, from its beginning; CSV and NDJSON are read line by line.

        Raises:
            InputError: The file cannot be read; raised when a row is requested.
        """
        return self._read(name, row_format, READERS.get(_suffix(name)))

    def column(
        self, name: str, column: str | None, row_format: RowFormat = DEFAULT_FORMAT
    ) -> Cells:
        """Return the same rows; of CSV, one column in blocks as far as the file is simple.

        Args:
            name: The file.
            column: The column, or None for the only one.
            row_format: How it is read.

        Raises:
            InputError: The file cannot be read; raised when a row is requested.
        """
        if _suffix(name) != ".csv":
            return self.rows(name, row_format)
        return self._read(name, row_format, partial(read_csv_column, column=column))

    def _read(self, name: str, row_format: RowFormat, reader: "_Reader[Item]") -> Iterator[Item]:
        """Return what a reader makes of a file; None reads it whole."""
        path = self._folder / name
        try:
            source = path if self._root is None else require_below(path, self._root)
            with open_input(source) as file:
                if message := file_name_error(name) or format_error(name, row_format):
                    raise InputError(message)
                self.paths[name] = path
                self._refuse_change(name, file.fileno())
                # The shortest form: `playbooks/members.csv`, not `playbooks/./members.csv`.
                display_name = os.path.normpath(path)
                if reader is None:
                    raw = read_limited(file, name, input_limits.ROWS_DOCUMENT)
                    yield from _read_whole(raw, display_name)
                else:
                    _require_size(file, name, input_limits.ROWS_STREAM)
                    lines = iter(partial(file.readline, LINE_LIMIT), b"")
                    self.columns[name] = yield from reader(lines, display_name, row_format)
                self._refuse_change(name, file.fileno())
        except _NotRegularError as error:
            message = f"can be read only once, and rows are read twice; {SAVE_FIRST}"
            raise InputError(f"`{name}` is {error.kind}: it {message}") from None
        except (OSError, ValueError) as error:
            raise InputError(_reason(name, error)) from None

    def data(self, name: str) -> bytes:
        """Return the content of a message file.

        Raises:
            InputError: The file cannot be read, is too long, or is outside the folder.
        """
        try:
            folder = self._folder.resolve()
            path = (folder / name).resolve()
            if not path.is_relative_to(folder):
                raise InputError(
                    f"`{name}` is outside the playbook's folder, and its content would be sent to "
                    "clients; copy it into the folder"
                )
            if self._root is not None:
                require_below(path, self._root)
            with open_input(path) as file:
                self.paths[name] = path
                return read_limited(file, name, input_limits.DATA)
        except _NotRegularError as error:
            message = f"is {error.kind}, not a regular file; save its content to one"
            raise InputError(f"`{name}` {message}") from None
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(_reason(name, error)) from None

    def _refuse_change(self, name: str, descriptor: int) -> None:
        """Refuse a file that has changed since its rows were checked."""
        if self._states.setdefault(name, _state(descriptor)) != _state(descriptor):
            raise InputError(f"`{name}` was changed after its rows were checked")


def _read_whole(raw: bytes, file: str) -> Rows:
    """Read a JSON or YAML file of rows. Problems show no line of it, which may be confidential."""
    try:
        text = decode(raw, file)
        if not text.strip():
            return iter(
                (Problem("the file is empty; an empty list is `[]`", "row", Position(file, 1)),)
            )
        document = load(text, file)
    except PlaybookError as error:
        return (problem._replace(line="") for problem in error.problems)
    return (
        row._replace(line="") if isinstance(row, Problem) else row
        for row in read_document(document)
    )


READERS: Mapping[str, Reader] = MappingProxyType(
    {".csv": read_csv, ".ndjson": read_ndjson, ".jsonl": read_ndjson}
)
"""Readers of files line by line, by suffix. All other files are read whole."""


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


class _NotRegularError(InputError):
    """A file is not a regular one.

    Attributes:
        kind: What it is, with an article.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        super().__init__(f"`{path}` is {kind}; only regular files are read, so save it to one")
        self.kind = kind


def _require_regular(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "no regular file")
        raise _NotRegularError(path, kind)


def _require_size(file: BinaryIO, name: str, limit: Limit) -> None:
    if os.fstat(file.fileno()).st_size > limit.value:
        raise InputError(f"`{name}` {limit.error}")


def _state(descriptor: int) -> tuple[int, ...]:
    """Return values that differ when the file was modified or replaced."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _reason(name: str, error: OSError | ValueError | RuntimeError) -> str:
    if not name:
        return "the name of the file is empty"
    if isinstance(error, FileNotFoundError):
        return f"there is no file `{name}`"
    if isinstance(error, IsADirectoryError):
        return f"`{name}` is a folder"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, RuntimeError):  # a loop of symbolic links, before Python 3.13
        reason = os.strerror(errno.ELOOP)
    return f"cannot read `{name}`: {reason}"
