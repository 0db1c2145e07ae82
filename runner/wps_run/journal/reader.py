"""What the lines of a journal say a run has done, and whether it may be gone on with. Pure.

A journal is ndjson, appended to and never changed: a header `{"type":"run",…}`, then for each
attempt a `{"type":"sending","index":…}` before its request leaves, an
`{"type":"unsent","index":…}` when the service refused it and it waits for another attempt, a
`{"type":"result",…}` for each action that ended, and a `{"type":"summary",…}` when the run did,
in a rehearsal after a `{"type":"rehearsal",…}` for each hub. A `{"type":"resumed",…}` stands where
the run was gone on with, and says how it is run since.

A run may have a million actions, so of each only a few bytes are kept, and its record is read
again where it is wanted.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, BinaryIO

from wps_run.execution.result import Skip, Status
from wps_run.journal.format import is_header, is_sound, parsed
from wps_run.problems import JournalError

VERSION = 1
"""The form of the lines. A journal of another version is refused."""


class RecordedStatus(IntEnum):
    """What a journal's results say of one action.

    Attributes:
        NOTHING: It has no result.
        OK: It was accepted.
        FAILED: It was not done.
        UNKNOWN: It may have been done.
        POSTPONED: It was skipped because the run ended early.
        EXCUSED: It was skipped because the playbook says so.
        DOUBTED: It may have been done before the run was broken off.
    """

    NOTHING = 0
    OK = 1
    FAILED = 2
    UNKNOWN = 3
    POSTPONED = 4
    EXCUSED = 5
    DOUBTED = 6


STATUS_OF: Mapping[RecordedStatus, Status] = {
    RecordedStatus.OK: Status.OK,
    RecordedStatus.FAILED: Status.FAILED,
    RecordedStatus.UNKNOWN: Status.UNKNOWN,
    RecordedStatus.POSTPONED: Status.SKIPPED,
    RecordedStatus.EXCUSED: Status.SKIPPED,
    RecordedStatus.DOUBTED: Status.UNKNOWN,
}


@dataclass(slots=True)
class History:
    """What is known of a run.

    Attributes:
        header: The first record.
        opens: Opens the journal, to read a record again.
        sending: Actions that may have left, and had no result since, by index.
        summary: The record that ended the run, or None when it did not end.
        length: Bytes of whole lines; a torn last line lies beyond.
        resumed: The record with which its last part began, or None when it has one part.
        rehearsals: What would happen, a record a hub; none unless it is a rehearsal.
    """

    header: Mapping[str, Any]
    opens: Callable[[], BinaryIO] = field(repr=False, compare=False)
    sending: set[int] = field(default_factory=set)
    summary: Mapping[str, Any] | None = None
    length: int = 0
    resumed: Mapping[str, Any] | None = None
    rehearsals: list[Mapping[str, Any]] = field(default_factory=list)
    _known: bytearray = field(default_factory=bytearray)
    _offsets: "array[int]" = field(default_factory=lambda: array("Q"))

    @property
    def began(self) -> datetime:
        """When its first part began."""
        return datetime.fromisoformat(self.header["started"])

    @property
    def elapsed(self) -> float:
        """Seconds from its beginning to that of its last part; 0 in a run of one part.

        The wall clock may have been put back between them.
        """
        if self.resumed is None:
            return 0.0
        resumed = datetime.fromisoformat(self.resumed["resumed"])
        return max(0.0, (resumed - self.began).total_seconds())

    def add(self, record: Mapping[str, Any], size: int) -> None:
        """Take in the next record, of so many bytes. Kinds that are not known are left alone."""
        match record.get("type"):
            case "sending":
                self.sending.add(record["index"])
            case "result":
                self._keep(record["index"], _known(record))
                self.sending.discard(record["index"])
            case "unsent":
                self.sending.discard(record["index"])
            case "summary":
                self.summary = record
            case "resumed":
                self.summary = None
                self.resumed = record
                self.rehearsals.clear()
            case "rehearsal":
                self.rehearsals.append(record)
            case _:
                pass
        self.length += size

    def known(self, index: int) -> RecordedStatus:
        """What the last result of an action says, whether or not it may have left since."""
        return (
            RecordedStatus(self._known[index])
            if index < len(self._known)
            else RecordedStatus.NOTHING
        )

    def counts(self) -> Counter[RecordedStatus]:
        """How many actions ended how; those that may have left since are not among them."""
        found = Counter({one: self._known.count(one) for one in STATUS_OF})
        found.subtract(self.known(index) for index in self.sending if self.known(index))
        return found

    def ended(self) -> Iterator[Mapping[str, Any]]:
        """The results of the actions that ended, in the order of the playbook."""
        with self.reading() as read:
            for index, known in enumerate(self._known):
                if known and index not in self.sending:
                    yield read(index)

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], Mapping[str, Any]]]:
        """What gives the last result record of an action that has one."""
        with self.opens() as file:

            def read(index: int) -> Mapping[str, Any]:
                file.seek(self._offsets[index])
                record = parsed(file.readline())
                if record is None:
                    raise JournalError("the journal was changed while it was read")
                return record

            yield read

    def _keep(self, index: int, known: RecordedStatus) -> None:
        missing = index + 1 - len(self._known)
        if missing > 0:
            more = max(missing, len(self._known) // 8)
            self._known.extend(bytes(more))
            self._offsets.frombytes(bytes(more * self._offsets.itemsize))
        self._known[index] = known
        self._offsets[index] = self.length


def _known(record: Mapping[str, Any]) -> RecordedStatus:
    code = record["error"] and record["error"]["code"]
    match record["status"]:
        case Status.OK:
            return RecordedStatus.OK
        case Status.FAILED:
            return RecordedStatus.FAILED
        case Status.UNKNOWN:
            return RecordedStatus.DOUBTED if code == Skip.INTERRUPTED else RecordedStatus.UNKNOWN
        case _:
            return RecordedStatus.EXCUSED if code == Skip.MISSING else RecordedStatus.POSTPONED


def read_history(opens: Callable[[], BinaryIO], name: str) -> History:
    """Read a journal from its beginning.

    Args:
        opens: Opens it; called again whenever a record is wanted later.
        name: What messages call it.

    Raises:
        JournalError: It is none, is of another version, or is damaged before its last line.
    """
    history: History | None = None
    torn = False
    with opens() as lines:
        for number, line in enumerate(lines, start=1):
            if torn:
                raise _damaged(name, number - 1)
            record = parsed(line)
            if record is None:
                torn = True
            elif history is None:
                history = History(_header(record, name), opens, length=len(line))
            elif is_sound(record):
                history.add(record, len(line))
            else:
                raise _damaged(name, number)
    if history is None:
        raise JournalError(f"`{name}` is not a journal of wps-run, or its first line is torn")
    return history


def _damaged(name: str, number: int) -> JournalError:
    return JournalError(f"{name}:{number}: the journal is damaged here")


def _header(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if record.get("type") != "run":
        raise JournalError(f"`{name}` is not a journal of wps-run")
    if record.get("version") != VERSION:
        raise JournalError(f"`{name}` was written by another version of wps-run")
    if not is_header(record):
        raise _damaged(name, 1)
    return record


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two fingerprints: `the playbook p.yaml`, `the variable room`, …."""
    names = dict.fromkeys([*before, *now])
    return [name for name in names if before.get(name) != now.get(name)]


def require_same(history: History, fingerprint: Mapping[str, str], name: str) -> None:
    """Refuse to go on with a run of something else.

    Raises:
        JournalError: Something changed since; says what.
    """
    changed = changes(history.header["fingerprint"], fingerprint)
    if changed:
        raise JournalError(
            f"`{name}` cannot be gone on with, since this changed: {', '.join(changed)}; "
            "put it back, or start a new run"
        )
