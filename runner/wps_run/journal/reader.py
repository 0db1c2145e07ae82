"""Reads a journal back: what became of each action. Pure, but for the file it is given.

A run may have a million actions, so only a few bytes of each are stored, and a result is read
again when it is needed.

A run in several processes has a journal of each. `History.join` puts what they say together.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import partial
from operator import and_, or_
from typing import Any, BinaryIO

from msgspec import UNSET, structs

from wps_run.execution.result import SKIPPED_BY_RULE, ExpectationResult, Result, SkipReason, Status
from wps_run.execution.run_info import RunInfo
from wps_run.input_limits import EXPECTATIONS
from wps_run.journal.format import (
    LONGEST_LINE,
    UNCHECKED_VERSION,
    VERSION,
    Chain,
    Header,
    InvalidLineError,
    KeptOptions,
    OtherVersionError,
    Record,
    RehearsalRecord,
    Resolved,
    Resumed,
    Sending,
    SummaryRecord,
    Unsent,
    decode_header,
    decode_object,
    decode_record,
    decode_run_info,
    has_check,
    is_torn,
)
from wps_run.problems import JournalError


class RecordedStatus(IntEnum):
    """What the last result of an action says.

    Attributes:
        NO_RESULT: It has no result.
        OK: It was accepted.
        FAILED: It was not done.
        UNKNOWN: It may have been done.
        NOT_STARTED: It was skipped because the run ended early.
        SKIPPED_BY_RULE: It was skipped because the playbook says so.
        INTERRUPTED: It may have been done before the run was interrupted.
    """

    NO_RESULT = 0
    OK = 1
    FAILED = 2
    UNKNOWN = 3
    NOT_STARTED = 4
    SKIPPED_BY_RULE = 5
    INTERRUPTED = 6


STATUS_OF: Mapping[RecordedStatus, Status] = {
    RecordedStatus.OK: Status.OK,
    RecordedStatus.FAILED: Status.FAILED,
    RecordedStatus.UNKNOWN: Status.UNKNOWN,
    RecordedStatus.NOT_STARTED: Status.SKIPPED,
    RecordedStatus.SKIPPED_BY_RULE: Status.SKIPPED,
    RecordedStatus.INTERRUPTED: Status.UNKNOWN,
}


@dataclass(slots=True)
class History:
    """A run as its journal records it.

    Attributes:
        header: The first record.
        run: What is run and where, as the last part of the run has it.
        open_file: Opens the journal, to read a result again.
        sending: Indexes of the actions that may have been sent and have no result since.
        resolved: Indexes of those of which the user says that they were done.
        summary: The record that ended the run, or None if it did not end.
        length: Bytes of complete lines; an incomplete last line is not counted.
        resumed: The record with which the last part began, or None if there is one part.
        rehearsals: The findings of a rehearsal, one for each hub.
        expectations: The results of the expectations of the last part, by index.
        is_checked: Whether the last line has a checksum; it covers all lines before.
        chain: The checksums up to the last line, to continue them.
        resumed_at: The position of the record with which the last part began; 0 if there is one
            part. The results before it are those of earlier parts.
        others: The histories of the other processes of the run, which this one covers.
    """

    header: Header
    run: RunInfo
    open_file: Callable[[], BinaryIO] = field(repr=False, compare=False)
    sending: set[int] = field(default_factory=set)
    resolved: set[int] = field(default_factory=set)
    summary: SummaryRecord | None = None
    length: int = 0
    resumed: Resumed | None = None
    rehearsals: list[Mapping[str, Any]] = field(default_factory=list)
    expectations: dict[int, ExpectationResult] = field(default_factory=dict)
    is_checked: bool = False
    chain: Chain = field(default_factory=Chain, repr=False, compare=False)
    resumed_at: int = 0
    others: tuple["History", ...] = ()
    _statuses: bytearray = field(default_factory=bytearray)
    _offsets: "array[int]" = field(default_factory=lambda: array("Q"))

    @property
    def started(self) -> datetime:
        """When the first part of the run began."""
        return datetime.fromisoformat(self.header.started)

    @property
    def elapsed(self) -> float:
        """Seconds from the start of the first part to that of the last; 0 if there is one part.

        The wall clock may have been set back between them.
        """
        if self.resumed is None:
            return 0.0
        resumed = datetime.fromisoformat(self.resumed.resumed)
        return max(0.0, (resumed - self.started).total_seconds())

    @property
    def options(self) -> KeptOptions | None:
        """The options of the last part of the run; None if the journal does not have them."""
        kept = self.resumed.options if self.resumed else UNSET
        kept = self.header.options if kept is UNSET else kept
        return None if kept is UNSET else kept

    @property
    def recorded(self) -> tuple[bytes, bytes]:
        """The status of each action, and where its result is, as bytes of arrays."""
        return bytes(self._statuses), self._offsets.tobytes()

    def join(self, others: Sequence["History"]) -> None:
        """Add what the journals of the other processes of the run say of its actions.

        Raises:
            JournalError: Two of them have a result of the same action.
        """
        statuses, offsets = self.recorded
        for other in others:
            its_statuses, its_offsets = other.recorded
            if _bits(_presence(statuses), _presence(its_statuses), and_):
                raise JournalError("two journals of the run have a result of the same action")
            statuses = _bits(statuses, its_statuses, or_)
            offsets = _bits(offsets, its_offsets, or_)
            self.sending |= other.sending
            self.resolved |= other.resolved
        self._statuses, self._offsets = bytearray(statuses), array("Q", offsets)
        self.others = tuple(others)

    def process_of(self, index: int) -> int:
        """Return the number of the process in whose journal an action is; 0 if it is in none."""
        for other in self.others:
            if index in other.sending or other.status(index):
                return other.header.process_number
        return 0

    @property
    def is_unused(self) -> bool:
        """Whether the journal has nothing but its header."""
        return not (self._statuses or self.sending or self.resolved or self.resumed)

    def begin_part(self, resumed: Resumed) -> None:
        """Record that a part of the run begins at the end of the journal."""
        if resumed.options is UNSET and self.options is not None:
            resumed = structs.replace(resumed, options=self.options)
        self.resumed = resumed
        self.resumed_at = self.length

    def add(self, line: bytes) -> None:
        """Add the next line.

        Raises:
            InvalidLineError: It is damaged, or not the next line of this journal.
            OtherVersionError: A later version of wps-run resumed the run here.
        """
        record = decode_record(line)
        self._begin_checks(record)
        self.check(line)
        match record:
            case Result() as result:
                self._keep(result.index, _recorded_status(result))
                self.sending.discard(result.index)
                self.resolved.discard(result.index)
            case Sending(index):
                self.sending.add(index)
            case Unsent(index) | Resolved(index):
                self.sending.discard(index)
                self.resolved |= {index} if isinstance(record, Resolved) else set()
            case ExpectationResult(index):
                self._keep_expectation(index, record)
            case SummaryRecord() as summary:
                self.summary = summary
            case Resumed() as resumed:
                self._add_part(resumed, line)
            case RehearsalRecord():
                self.rehearsals.append(decode_object(line))
        self.length += len(line)

    def _begin_checks(self, record: Record) -> None:
        """Expect checksums from the line on with which a version that has them resumed the run."""
        if not self.is_checked and isinstance(record, Resumed):
            self.is_checked = _is_checked(record.version)

    def _add_part(self, resumed: Resumed, line: bytes) -> None:
        _is_checked(resumed.version)
        self.run = decode_run_info(decode_object(line)) or self.run
        self.summary = None
        self.begin_part(resumed)
        self.rehearsals.clear()
        self.expectations.clear()

    def check(self, line: bytes) -> None:
        """Check that a line is the next one.

        Raises:
            InvalidLineError: It is not.
        """
        if self.is_checked:
            self.chain.accept(line)
        elif has_check(line):
            raise InvalidLineError("a line with a checksum is among lines without")
        else:
            self.chain.cover(line)

    def status(self, index: int) -> RecordedStatus:
        """Return the last recorded status, even if the action may have been sent since then."""
        known = index < len(self._statuses)
        return RecordedStatus(self._statuses[index]) if known else RecordedStatus.NO_RESULT

    def counts(self) -> Counter[RecordedStatus]:
        """Count the actions by status, without those that may have been sent since."""
        counts = Counter({status: self._statuses.count(status) for status in STATUS_OF})
        counts.subtract(self.status(index) for index in self.sending if self.status(index))
        return counts

    def results(self, only: RecordedStatus | None = None) -> Iterator[Result]:
        """Yield the results of the actions that ended, or of one status, in plan order."""
        with self.reading() as read:
            for index, status in enumerate(self._statuses):
                if status and only in {None, status} and index not in self.sending:
                    yield read(index)

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], Result]]:
        """Return a function that returns the last result of an action that has one.

        It marks the results of earlier parts of the run.
        """
        with ExitStack() as stack:
            parts = {part.header.process_number: part for part in (self, *self.others)}
            files = {
                number: stack.enter_context(part.open_file()) for number, part in parts.items()
            }

            def read(index: int) -> Result:
                number, offset = divmod(self._offsets[index], _LARGEST_JOURNAL)
                files[number].seek(offset)
                try:
                    result = decode_record(files[number].readline())
                except ValueError:
                    result = None
                if not isinstance(result, Result):
                    raise JournalError("the journal was changed while it was read")
                is_earlier = offset < parts[number].resumed_at
                return structs.replace(result, earlier=True) if is_earlier else result

            yield read

    def _keep_expectation(self, index: int, result: ExpectationResult) -> None:
        # With a selection, the indexes have gaps.
        if index >= (EXPECTATIONS.value if self.run.selection else self.run.expectations):
            raise InvalidLineError("there is no such expectation")
        self.expectations[index] = result

    def _keep(self, index: int, status: RecordedStatus) -> None:
        missing = index + 1 - len(self._statuses)
        if missing > 0:
            more = max(missing, len(self._statuses) // 8)
            self._statuses.extend(bytes(more))
            self._offsets.frombytes(bytes(more * self._offsets.itemsize))
        self._statuses[index] = status
        self._offsets[index] = self.header.process_number * _LARGEST_JOURNAL + self.length


_LARGEST_JOURNAL = 2**48
"""Bytes. The offset of a result is its place in the journal, and the number of the process times
this."""


def _presence(statuses: bytes) -> bytes:
    """Return a byte for each action: 255 if it has a result, else 0."""
    return statuses.translate(_PRESENCE)


_PRESENCE = b"\0" + 255 * b"\xff"


def _bits(first: bytes, second: bytes, operate: Callable[[int, int], int]) -> bytes:
    """Combine two arrays bit by bit, the shorter one as if zeros followed; b"" if all are zero."""
    bits = operate(int.from_bytes(first, "little"), int.from_bytes(second, "little"))
    return bits.to_bytes(max(len(first), len(second)), "little") if bits else b""


@dataclass(frozen=True, slots=True)
class RecordedResults:
    """The results of a journal in plan order, read again from the file by each iteration."""

    history: History

    def __iter__(self) -> Iterator[Result]:
        return self.history.results()


def _recorded_status(result: Result) -> RecordedStatus:
    code = result.error and result.error.code
    match result.status:
        case Status.OK:
            return RecordedStatus.OK
        case Status.FAILED:
            return RecordedStatus.FAILED
        case Status.UNKNOWN:
            interrupted = code == SkipReason.INTERRUPTED
            return RecordedStatus.INTERRUPTED if interrupted else RecordedStatus.UNKNOWN
        case Status.SKIPPED:
            by_rule = code in SKIPPED_BY_RULE
            return RecordedStatus.SKIPPED_BY_RULE if by_rule else RecordedStatus.NOT_STARTED


def read_history(open_file: Callable[[], BinaryIO], name: str) -> History:
    """Read a journal from its beginning.

    Args:
        open_file: Opens it; called again whenever a result is needed later.
        name: The name of the journal in messages.

    Raises:
        JournalError: It is not a journal, has another version, or is damaged. Bytes after the
            last line break are ignored if a crash can have left them.
    """
    history: History | None = None
    number = 0
    with open_file() as file:
        try:
            for line in iter(partial(file.readline, LONGEST_LINE), b""):
                number += 1
                if not line.endswith(b"\n"):
                    _require_end(file, line)
                    break
                if history is None:
                    history = _begin_history(line, name, open_file)
                else:
                    history.add(line)
        except InvalidLineError:
            raise JournalError(
                f"{name}:{number}: the journal is damaged here: a line was changed, lost or added; "
                "restore an undamaged copy, or start a new run with what is still to be done"
            ) from None
        except OtherVersionError:
            raise JournalError(
                f"{name}:{number}: the journal was written by another version of wps-run; "
                "use that version"
            ) from None
    if history is None:
        raise JournalError(f"`{name}` is not a journal of wps-run, or its first line is incomplete")
    return history


def _require_end(file: BinaryIO, line: bytes) -> None:
    """Raise InvalidLineError unless a line without a line break is what a crash leaves at the end.

    A line that is shorter than the limit is at the end. What a run appends meanwhile is not read.
    """
    while is_torn(line):
        if len(line) < LONGEST_LINE:
            return
        line = file.readline(LONGEST_LINE)
        if line.endswith(b"\n"):
            break
    raise InvalidLineError("a line is too long, or was changed")


def _begin_history(line: bytes, name: str, open_file: Callable[[], BinaryIO]) -> History:
    """Return the history of a journal that has only its header."""
    try:
        record = decode_object(line)
    except InvalidLineError:
        record = {}
    if record.get("type") != "run":
        if has_check(line):  # the header is damaged or lost
            raise InvalidLineError("no header")
        raise JournalError(
            f"{name}:1: `{name}` is not a journal of wps-run, or its first line is lost; "
            "`wps-run runs` lists the journals"
        )
    version = record.get("version")
    is_checked = _is_checked(version if isinstance(version, int) else 0)
    header, run = decode_header(line)
    history = History(header, run, open_file, length=len(line), is_checked=is_checked)
    history.check(line)
    return history


def _is_checked(version: int) -> bool:
    """Whether the lines of a version have checksums.

    Raises:
        OtherVersionError: It is not known.
    """
    if version not in {UNCHECKED_VERSION, VERSION}:
        raise OtherVersionError
    return version != UNCHECKED_VERSION
