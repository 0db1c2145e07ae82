"""A journal on disk: locked, appended to in groups, synced before what must not be repeated.

A run in several processes has a journal of each process, `run.1-of-4.journal` and so on, beside the
main one, `run.journal`. The main one is created last, so that all are there if it is.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from glob import escape
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Self

from msgspec import UNSET

from wps_run.execution.result import ExpectationResult, Result
from wps_run.journal.file_lock import try_lock
from wps_run.journal.format import (
    LONGEST_LINE,
    Chain,
    ProcessRecord,
    Resolved,
    Sending,
    Unsent,
    decode_header,
    encode,
    is_torn,
)
from wps_run.journal.reader import History, read_history
from wps_run.journal.rows_file import LiveGroup, remove_rows, write_rows
from wps_run.problems import JournalError

SYNC_SECONDS = 0.2
"""How long a result may be written but not yet safe against a power cut."""

_BEGINNING = b'{"type":"run",'
"""How the first line of a journal begins."""

_BATCH = 1024
"""The most records that are appended at a time before the run begins."""


def _sync_data(descriptor: int) -> None:
    sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
    sync(descriptor)


_Record = Result | ExpectationResult | Sending | Unsent | Resolved | Mapping[str, Any]
"""What is appended to a journal after its header."""


class Journal:
    """An open journal, locked by this process.

    Lines are written once a loop turn, so that kill -9 loses only what ended in the current
    turn, and synced in a thread of its own. What that needs is open and imported before the first
    request, since connections may take all other files that the process may open. `sync_sending`
    returns when its line is on disk; all callers that wait share one sync. There is no thread
    before `begin`, so that the process may fork.

    Args:
        file: The open file, unbuffered.
        path: Where it is.
        is_durable: Whether lines are synced to disk. A temporary journal need not be.

    Attributes:
        path: Where it is.
        error: Why it can no longer be written, or None.
    """

    def __init__(self, file: BinaryIO, path: Path, *, is_durable: bool = True) -> None:
        self.path = path
        self.error: OSError | None = None
        self._is_durable = is_durable
        self._file = file
        self._chain = Chain()
        self._syncing = ThreadPoolExecutor(1, "wps-run journal")
        self._buffer: list[_Record] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_due = False
        self._dirty = False
        self._on_error: Callable[[], None] = lambda: None

    @classmethod
    def create(
        cls,
        path: Path,
        header: Mapping[str, Any],
        live: Sequence[LiveGroup] = (),
        *,
        is_durable: bool = True,
    ) -> Self:
        """Create a journal. Its first line and its directory entry are on disk on return.

        Args:
            path: Where it is created.
            header: The record of its first line.
            live: The connections for its rows file, which is written first; none if empty.
            is_durable: Whether lines are synced to disk.

        Raises:
            JournalError: It exists already, or cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            raise JournalError(
                f"the journal `{path}` exists already; `--resume {path}` resumes its run"
            ) from None
        except OSError as error:
            raise JournalError(f"cannot write the journal `{path}`: {error.strerror}") from None
        journal = cls(os.fdopen(descriptor, "r+b", buffering=0), path, is_durable=is_durable)
        journal._lock()
        try:
            if live:
                write_rows(path, live)
            journal._append(journal._chain.seal(header))
            _sync_data(descriptor)
            _sync_folder(path.parent)
        except (OSError, JournalError) as error:
            journal._file.close()
            path.unlink(missing_ok=True)  # half a header would only be in the way
            if isinstance(error, JournalError):
                raise
            remove_rows(path)
            raise JournalError(f"cannot write the journal `{path}`: {error.strerror}") from None
        return journal

    @classmethod
    def create_temporary(cls, folder: Path | None, header: Mapping[str, Any]) -> Self:
        """Create a journal that only serves to write reports; its user deletes it.

        Args:
            folder: Where it is created, or None for the system's folder of temporary files.
            header: The record of its first line.

        Raises:
            OSError: It cannot be written.
        """
        descriptor, name = tempfile.mkstemp(prefix=".wps-run-", suffix=".part", dir=folder)
        journal = cls(os.fdopen(descriptor, "r+b", buffering=0), Path(name), is_durable=False)
        try:
            journal._append(journal._chain.seal(header))
        except OSError:
            journal._file.close()
            journal.path.unlink()
            raise
        return journal

    @classmethod
    def reopen(cls, path: Path) -> tuple[Self, History]:
        """Open a journal to resume its run. It is not changed before `resume`.

        Raises:
            JournalError: It cannot be read, is not a journal, or another process uses it.
        """
        _require_file(path)
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND), "r+b", buffering=0)
        except OSError as error:
            raise JournalError(f"cannot open the journal `{path}`: {error.strerror}") from None
        journal = cls(file, path)
        journal._lock()
        try:
            history = _read_one(path)
        except JournalError:
            file.close()
            raise
        journal._chain = history.chain
        return journal, history

    def release(self) -> None:
        """Close a journal whose run is not resumed; another process may use it."""
        self._file.close()

    def resume(
        self, length: int, record: Mapping[str, Any], results: Iterable[Result] = ()
    ) -> None:
        """Drop an incomplete last line, and record on disk that the run is resumed.

        Args:
            length: Bytes of complete lines.
            record: The record that begins the resumed part.
            results: Results that replace earlier ones from the beginning.

        Raises:
            JournalError: It cannot be written.
        """
        self.amend(length, chain([record], results))

    def amend(self, length: int, records: Iterable[_Record], *, is_checked: bool = True) -> None:
        """Drop an incomplete last line, and append records; they are on disk on return.

        Args:
            length: Bytes of complete lines.
            records: The records.
            is_checked: Whether they get checksums. In a journal without any, these start where
                the run is resumed.

        Raises:
            JournalError: They cannot be written.
        """
        try:
            self._file.truncate(length)
            lines = map(self._chain.seal if is_checked else _unchecked_line, records)
            while batch := b"".join(islice(lines, _BATCH)):
                self._append(batch)
            _sync_data(self._file.fileno())
        except OSError as error:
            self._file.close()
            raise JournalError(
                f"cannot write the journal `{self.path}`: {error.strerror}"
            ) from None

    def begin(self, on_error: Callable[[], None]) -> None:
        """Start the thread of syncs; call `on_error` once when it can no longer be written."""
        self._syncing.submit(lambda: None).result()
        self._on_error = on_error

    def add(self, record: _Record) -> None:
        """Append a record, written at the end of this loop turn and synced soon after."""
        self._buffer.append(record)
        self._write_soon()

    def mark_sending(self, index: int) -> bool:
        """Write that an action is about to be sent. It survives a kill, but not a power cut.

        Returns:
            False if it could not be written; the action must not be sent then.
        """
        self._buffer.append(Sending(index))
        self._write()
        return self.error is None

    async def sync_sending(self, index: int) -> bool:
        """Put on disk that an action is about to be sent.

        Returns:
            False if it could not be written; the action must not be sent then.
        """
        if not self._is_durable:
            return self.mark_sending(index)
        if self.error is None:
            done = asyncio.get_running_loop().create_future()
            self._buffer.append(Sending(index))
            self._waiting.append(done)
            self._sync_now()
            await done
        return self.error is None

    async def close(self) -> None:
        """Write and sync all lines, and close the file."""
        while self._buffer or self._dirty or self._task:
            self._sync_now()
            if self._task:
                await self._task
        self._syncing.shutdown()
        self._file.close()

    def close_now(self) -> None:
        """Close the file of a journal to which nothing was added but by `amend`."""
        self._syncing.shutdown()
        self._file.close()

    def _lock(self) -> None:
        """Lock the file, and make sure that its name still refers to it."""
        try:
            is_taken = not try_lock(self._file.fileno())
            is_replaced = not is_taken and not _is_named(self._file.fileno(), self.path)
        except OSError as error:
            self._file.close()
            raise JournalError(f"cannot lock the journal `{self.path}`: {error.strerror}") from None
        if is_taken or is_replaced:
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
        lines, self._buffer = b"".join(map(self._chain.seal, self._buffer)), []
        if not lines or self.error is not None:
            return
        try:
            self._append(lines)
        except OSError as error:
            self._fail(error)
            return
        self._dirty = self._is_durable
        if self._dirty:
            self._sync_later()

    def _append(self, lines: bytes) -> None:
        while lines:
            lines = lines[self._file.write(lines) :]

    def _sync_later(self) -> None:
        if self._timer is None and self._task is None:
            self._timer = asyncio.get_running_loop().call_later(SYNC_SECONDS, self._sync_now)

    def _sync_now(self) -> None:
        """Start a sync; if one is running, another one follows for those who wait."""
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
        if self.error is None and self._is_durable:
            try:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._syncing, _sync_data, self._file.fileno())
            except OSError as error:
                self._fail(error)
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _fail(self, error: OSError) -> None:
        if self.error is None:
            self.error = error
            self._on_error()


def read_journal(path: Path) -> History:
    """Read the main journal of a run, even while it is written, and those of its other processes.

    Raises:
        JournalError: One cannot be read, is not a journal, or is of another run.
    """
    history = _read_one(path)
    _join(path, history, [_read_one(other) for other in _other_journals(path, history)])
    return history


def _read_one(path: Path) -> History:
    """Read one journal.

    Raises:
        JournalError: It cannot be read, or is not a journal.
    """
    _require_file(path)
    try:
        return read_history(lambda: path.open("rb"), str(path))
    except OSError as error:
        raise JournalError(f"cannot open the journal `{path}`: {error.strerror}") from None


def reopen_run(path: Path) -> tuple[list[tuple[Journal, History]], History]:
    """Open the journals of a run to resume it: the main one, and those of its other processes.

    Returns:
        Each journal with its own history, and the history of the run.

    Raises:
        JournalError: One cannot be read, is of another run, or is used by another process.
    """
    journal, history = Journal.reopen(path)
    opened = [(journal, history)]
    try:
        opened += map(Journal.reopen, _other_journals(path, history))
        _join(path, history, [other for _, other in opened[1:]])
    except JournalError:
        for journal, _ in opened:
            journal.release()
        raise
    return opened, history


def process_path(path: Path, number: int, count: int) -> Path:
    """Return where a process of a run has its journal: `run.1-of-4.journal` for `run.journal`."""
    return path.with_name(f"{path.stem}.{number}-of-{count}{path.suffix}")


def main_journal(path: Path) -> Path:
    """Return the path of the main journal of a run, if this is that of one of its processes.

    Raises:
        JournalError: It is, but no longer has its name.
    """
    process = _process_of(path)
    if process is None or not process.number:
        return path
    before, mark, after = path.name.rpartition(f".{process.number}-of-{process.count}")
    if not mark:
        name = process_path(Path("run.journal"), process.number, process.count)
        raise JournalError(
            f"`{path}` is the journal of process {process.number} of a run in {process.count}; "
            f"give it back its name, such as `{name}`, beside the others of the run"
        )
    return path.with_name(before + after)


def _process_of(path: Path) -> ProcessRecord | None:
    """Return which process of a run has written a journal; None if the file does not say so."""
    try:
        _require_file(path)
        with path.open("rb") as file:
            header, _ = decode_header(file.readline(LONGEST_LINE))
    except (OSError, ValueError, JournalError):
        return None  # what is wrong shows when it is read
    return None if header.process is UNSET else header.process


def _other_journals(path: Path, history: History) -> Iterator[Path]:
    """Yield the journals of the other processes of a run.

    Raises:
        JournalError: One is missing.
    """
    count = history.header.process_count
    for number in range(1, count + 1) if count > 1 else ():
        other = process_path(path, number, count)
        if not other.exists():
            raise JournalError(
                f"the journal `{other}` of the same run is missing; put it back beside `{path}`"
            )
        yield other


def _join(path: Path, history: History, others: Sequence[History]) -> None:
    for number, other in enumerate(others, start=1):
        is_sibling = other.header.salt == history.header.salt
        if not is_sibling or other.header.process_number != number:
            name = process_path(path, number, history.header.process_count)
            raise JournalError(
                f"`{name}` is not the journal of process {number} of the run of `{path}`; put back "
                "the one that the run wrote"
            )
    history.join(others)


def _written_by_processes(path: Path) -> list[Path]:
    """Return the files beside a main journal that processes of its run have written."""
    pattern = f"{escape(path.stem)}.*-of-*{escape(path.suffix)}"
    return [other for other in path.parent.glob(pattern) if _is_of_process(other)]


def _is_of_process(path: Path) -> bool:
    process = _process_of(path)
    return process is not None and process.number > 0


def remove_unbegun(path: Path) -> None:
    """Delete what is left of a run that ended before its main journal was created.

    Raises:
        JournalError: One cannot be read, or another run uses it.
    """
    if path.exists():
        return
    for other in _written_by_processes(path):
        if _read_one(other).is_unused and not remove_unused(other):
            raise JournalError(f"another run is using the journal `{other}`")


def remove_incomplete(path: Path) -> bool:
    """Delete a journal whose header is incomplete, so that it can be created again.

    Nothing was sent by its run: the header is on disk before that.

    Returns:
        Whether it was incomplete, and is deleted.

    Raises:
        JournalError: It cannot be read or deleted, or another run is just creating it.
    """
    _require_file(path)
    try:
        with path.open("rb") as file:
            first = file.readline()
        is_beginning = _BEGINNING.startswith(first) or first.startswith(_BEGINNING)
        if first.endswith(b"\n") or not is_beginning or not is_torn(first):
            return False
        if not remove_unused(path):
            raise JournalError(f"another run is using the journal `{path}`")
    except OSError as error:
        raise JournalError(f"cannot open the journal `{path}`: {error.strerror}") from None
    return True


def is_in_use(path: Path) -> bool:
    """Whether a process has a journal open.

    Raises:
        OSError: It cannot be opened, or its folder has no locks.
    """
    with path.open("r+b", buffering=0) as file:
        return not try_lock(file.fileno(), tries=1)


def remove_unused(path: Path) -> bool:
    """Delete a journal that no process has open, and what belongs to it.

    That is its rows file, and the journals of the other processes of its run. None can open it
    meanwhile.

    Returns:
        Whether it is deleted.

    Raises:
        OSError: It cannot be opened or deleted, or its folder has no locks.
    """
    with path.open("r+b", buffering=0) as file:
        if not try_lock(file.fileno(), tries=1):
            return False
        if not all(map(remove_unused, _written_by_processes(path))):
            return False
        remove_rows(path)
        if os.name != "nt":
            path.unlink()
    if os.name == "nt":  # Windows deletes no open file
        path.unlink()
    return True


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether a path still refers to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _unchecked_line(record: object) -> bytes:
    return encode(record) + b"\n"


def _require_file(path: Path) -> None:
    """Refuse a device or a pipe, which may have no end."""
    if path.exists() and not path.is_file():
        raise JournalError(f"cannot open the journal `{path}`: it is not a file")


def _sync_folder(folder: Path) -> None:
    """Sync the directory entry of a new file; Windows needs no such call."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
