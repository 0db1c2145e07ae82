"""A journal on disk: locked, appended to in groups, synced before what must not be repeated."""

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from wps_run.execution.record import Record, in_json
from wps_run.problems import JournalError

if TYPE_CHECKING:
    from wps_run.journal.reader import History

SYNC_SECONDS = 0.2
"""How long a result may be written but not yet safe against a power cut."""

_BEGINNING = b'{"type":"run",'
"""How the first line of a journal begins."""

_TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
"""What the systems say when another process has the lock."""

_TRIES, _LOOK = 4, 0.01
"""How often a lock is tried for, and the seconds between."""

_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Journal:
    """An open journal, this process's alone.

    Lines are written once a loop turn, so that kill -9 loses only what ended in the running
    turn, and synced in a thread. `announce` returns when its line is on disk; all who wait share
    one sync.

    Attributes:
        path: Where it is.
        error: Why it can no longer be written, or None.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self._file = file
        self._buffer: list[bytes | Record] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_due = False
        self._dirty = False
        self._on_error: Callable[[], None] = lambda: None

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> Self:
        """Begin a journal; its header, and the folder's entry of it, are on disk then.

        Raises:
            JournalError: It is there already, or cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            raise JournalError(
                f"the journal `{path}` is there already; --resume {path} goes on with it"
            ) from None
        except OSError as error:
            raise JournalError(f"cannot write the journal `{path}`: {error.strerror}") from None
        journal = cls(os.fdopen(descriptor, "r+b", buffering=0), path)
        journal._lock()
        try:
            journal._append(encoded(header))
            _sync_data(descriptor)
            _sync_folder(path.parent)
        except OSError as error:
            journal._file.close()
            path.unlink(missing_ok=True)  # half a header would only stand in the way
            raise JournalError(f"cannot write the journal `{path}`: {error.strerror}") from None
        return journal

    @classmethod
    def reopen(cls, path: Path) -> "tuple[Self, History]":
        """Open a journal to go on with it. It is not changed before `resume`.

        Raises:
            JournalError: It cannot be read, is no journal, or another process has it.
        """
        _require_file(path)
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND), "r+b", buffering=0)
        except OSError as error:
            raise JournalError(f"cannot open the journal `{path}`: {error.strerror}") from None
        journal = cls(file, path)
        journal._lock()
        try:
            return journal, read_journal(path)
        except JournalError:
            file.close()
            raise

    def resume(self, length: int, record: Mapping[str, Any]) -> None:
        """Drop what is torn, and note on disk that the run goes on.

        Args:
            length: Bytes of whole lines.
            record: Says that it goes on.

        Raises:
            JournalError: It cannot be written.
        """
        try:
            self._file.truncate(length)
            self._append(encoded(record))
            _sync_data(self._file.fileno())
        except OSError as error:
            self._file.close()
            raise JournalError(
                f"cannot write the journal `{self.path}`: {error.strerror}"
            ) from None

    def listen(self, on_error: Callable[[], None]) -> None:
        """Call this once, when the journal can no longer be written."""
        self._on_error = on_error

    def add(self, line: bytes) -> None:
        """Append a line, written at the end of this loop turn and synced soon after."""
        self._buffer.append(line)
        self._write_soon()

    def add_record(self, record: Record) -> None:
        """Append what became of an action in the same way; its line is made when it is written."""
        self._buffer.append(record)
        self._write_soon()

    def note(self, index: int) -> bool:
        """Write that an action is about to leave; a kill does not undo that, a power cut may.

        Returns:
            False when that could not be done; the action must not leave then.
        """
        self._buffer.append(_sending(index))
        self._write()
        return self.error is None

    async def announce(self, index: int) -> bool:
        """Put on disk that an action is about to leave.

        Returns:
            False when that could not be done; the action must not leave then.
        """
        if self.error is None:
            done = asyncio.get_running_loop().create_future()
            self._buffer.append(_sending(index))
            self._waiting.append(done)
            self._sync_now()
            await done
        return self.error is None

    def withdraw(self, index: int) -> None:
        """Note that an announced action was not carried out, and waits to be sent again."""
        self.add(b'{"type":"unsent","index":%d}\n' % index)

    async def close(self) -> None:
        """Write and sync what is left, and let go of the journal."""
        while self._buffer or self._dirty or self._task:
            self._sync_now()
            if self._task:
                await self._task
        self._file.close()

    def _lock(self) -> None:
        """Make the journal this process's alone; it must still be the one of its name then."""
        try:
            taken = not _locked(self._file.fileno())
            replaced = not taken and not _is_named(self._file.fileno(), self.path)
        except OSError as error:
            self._file.close()
            raise JournalError(f"cannot lock the journal `{self.path}`: {error.strerror}") from None
        if taken or replaced:
            self._file.close()
            raise JournalError(f"another run is using the journal `{self.path}`")

    def _write_soon(self) -> None:
        if not self._write_due:
            self._write_due = True
            asyncio.get_running_loop().call_soon(self._write_in_turn)

    def _write_in_turn(self) -> None:
        self._write_due = False
        self._write()

    def _write(self) -> None:
        lines, self._buffer = b"".join(map(_line, self._buffer)), []
        if not lines or self.error is not None:
            return
        try:
            self._append(lines)
        except OSError as error:
            self._fail(error)
            return
        self._dirty = True
        self._sync_later()

    def _append(self, lines: bytes) -> None:
        while lines:
            lines = lines[self._file.write(lines) :]

    def _sync_later(self) -> None:
        if self._timer is None and self._task is None:
            self._timer = asyncio.get_running_loop().call_later(SYNC_SECONDS, self._sync_now)

    def _sync_now(self) -> None:
        """Sync, unless that is going on: then those who wait have their turn after it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None:
            self._task = asyncio.create_task(self._sync_all())

    async def _sync_all(self) -> None:
        await self._sync()
        while self._waiting:
            await self._sync()
        self._task = None
        if self._dirty:
            self._sync_later()

    async def _sync(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._write()
        self._dirty = False
        if self.error is None:
            try:
                await asyncio.to_thread(_sync_data, self._file.fileno())
            except OSError as error:
                self._fail(error)
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def _fail(self, error: OSError) -> None:
        if self.error is None:
            self.error = error
            self._on_error()


def read_journal(path: Path) -> "History":
    """Read a journal without going on with it, even while a run writes it.

    Raises:
        JournalError: It cannot be read, or is none.
    """
    from wps_run.journal.reader import read_history  # noqa: PLC0415 -- most runs read none

    _require_file(path)
    try:
        return read_history(lambda: path.open("rb"), str(path))
    except OSError as error:
        raise JournalError(f"cannot open the journal `{path}`: {error.strerror}") from None


def removed_stillborn(path: Path) -> bool:
    """Delete a journal that was broken off before its header was whole, so that it can begin.

    Nothing was sent then: the header is on disk before that.

    Returns:
        Whether it was such a one, and is gone.

    Raises:
        JournalError: It cannot be read or deleted, or another run is just beginning it.
    """
    _require_file(path)
    try:
        with path.open("rb") as file:
            first = file.readline()
        if first.endswith(b"\n") or not (
            _BEGINNING.startswith(first) or first.startswith(_BEGINNING)
        ):
            return False
        if not removed_unused(path):
            raise JournalError(f"another run is using the journal `{path}`")
    except OSError as error:
        raise JournalError(f"cannot open the journal `{path}`: {error.strerror}") from None
    return True


def in_use(path: Path) -> bool:
    """Whether a process has a journal open.

    Raises:
        OSError: It cannot be opened, or its folder has no locks.
    """
    with path.open("r+b", buffering=0) as file:
        return not _locked(file.fileno(), tries=1)


def removed_unused(path: Path) -> bool:
    """Delete a journal that no process has open; nobody can begin to use it meanwhile.

    Returns:
        Whether it is gone.

    Raises:
        OSError: It cannot be opened or deleted, or its folder has no locks.
    """
    with path.open("r+b", buffering=0) as file:
        if not _locked(file.fileno(), tries=1):
            return False
        if os.name != "nt":
            path.unlink()
    if os.name == "nt":  # which deletes no open file
        path.unlink()
    return True


def _locked(descriptor: int, tries: int = _TRIES) -> bool:
    """Whether this process has the lock now. Who only looks whether it is free is waited for."""
    for left in reversed(range(tries)):
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            if left:
                Event().wait(_LOOK)
        else:
            return True
    return False


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether a path still leads to an open file, and not to another one or nowhere."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _require_file(path: Path) -> None:
    """Refuse a device or a pipe, which may have no end."""
    if path.exists() and not path.is_file():
        raise JournalError(f"cannot open the journal `{path}`: it is not a file")


def _line(added: bytes | Record) -> bytes:
    if isinstance(added, bytes):
        return added
    return added.line.encode(errors="surrogatepass")


def _sending(index: int) -> bytes:
    return b'{"type":"sending","index":%d}\n' % index


def encoded(record: Mapping[str, Any]) -> bytes:
    """A record as a line of the journal."""
    return in_json(record).encode(errors="surrogatepass") + b"\n"


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable; Windows has no such call and needs none."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 2**62

    def _lock(descriptor: int) -> None:
        """Lock a byte far behind the end, so that others can still read the journal."""
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_END)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        """Lock the file; the lock goes with the process, however it ends."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
