"""The lines of a journal: a Struct for each kind of record, encoded and decoded here only. Pure.

A journal is ndjson and only appended to:

- `run`, the header, is the first line;
- `sending` comes before each attempt, `unsent` after one that was certainly not carried out and
  waits for another;
- `result` comes for each action that ended; of several for one action, the last one counts;
- `resolved` comes when the user says that an action without a result was done;
- `expectation` comes after the actions, for each expectation that was checked;
- `resumed` comes where a resumed part of the run begins;
- `rehearsal`, one for each hub of a rehearsal, and `summary` come at the end.

The last key of each line is `check`, a checksum of the line and of all lines before it; see
`Chain`. Version 1 has no checksums. When a run of version 1 is resumed, its `resumed` line has the
new version and the first checksum, which covers the old lines too.

A journal of version 1 may be damaged or edited without showing it, so decoding checks the type of
every value that is used later.

msgspec refuses lone surrogates, which file names that are not UTF-8 contain. Lines with such
text go through the standard library's encoder instead, which writes them as they are.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wps_run.execution.result import (
    Count,
    ExpectationResult,
    Index,
    Milliseconds,
    Result,
)
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.input_limits import EXPECTATIONS, JOURNAL_LINE
from wps_run.playbook.options import ENVIRONMENT_NAME_PATTERN, MOST_PROCESSES
from wps_run.playbook.shards import Shard

VERSION = 2
"""The version of the format."""

UNCHECKED_VERSION = 1
"""The version without checksums, which is still read. Journals of other versions are refused."""

LONGEST_LINE = JOURNAL_LINE.value
"""The most bytes of a line, so that a file without line breaks is never read as one."""

Moment = Annotated[
    str,
    Meta(
        extra_json_schema={
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$",
        }
    ),
]
"""A moment as it is written: ISO 8601 in UTC, with milliseconds."""

Version = Annotated[int, Meta(extra_json_schema={"const": VERSION})]

KeptOptions = Mapping[str, str | bool | tuple[str, ...]]
"""Options of the command line, such as `--mode`, with their values as they were given."""


class InvalidLineError(ValueError):
    """A line is not a record of a journal, or not the one that was written there."""


class OtherVersionError(ValueError):
    """A journal has a version that is not known here."""


class Chain:
    """The checksums of a journal's lines, in order.

    A checksum covers the content of its line and of all lines before it, without their checksums.
    A line that is changed, lost, added, repeated or moved does not fit, nor does a line of another
    journal. The checksums find damage; they do not keep anybody from making new ones.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def seal(self, record: object) -> bytes:
        """Encode the next record as a line with its checksum."""
        content = encode(record)[:-1] + _CHECK_KEY
        self._digest.update(content)
        return content + self._ending()

    def accept(self, line: bytes) -> None:
        """Check the next line.

        Raises:
            InvalidLineError: It is not the line that was written there.
        """
        self._digest.update(line[:-_ENDING_LENGTH])
        if not line.endswith(self._ending()):
            raise InvalidLineError("the checksum is wrong")

    def cover(self, line: bytes) -> None:
        """Let later checksums cover a line that has none."""
        self._digest.update(line)

    def _ending(self) -> bytes:
        return (self._digest.hexdigest()[:_CHECK_DIGITS] + _END).encode()


_CHECK_KEY = b',"check":"'
"""What precedes a checksum. No other part of a line contains it: strings have escaped quotes."""

_CHECK_DIGITS = 16
"""The hexadecimal digits of a checksum: 64 bits are enough against damage."""

_END = '"}\n'
_ENDING_LENGTH = _CHECK_DIGITS + len(_END)


def has_check(line: bytes) -> bool:
    """Whether a line has a checksum, right or wrong."""
    return _CHECK_KEY in line


def is_torn(line: bytes) -> bool:
    """Whether bytes without a line break can be what a crash left of a line.

    That is a part of a line, or the zeros that a file system leaves after a power failure. A
    whole line that is followed by something else was damaged later.
    """
    _, key, rest = line.rstrip(b"\0").partition(_CHECK_KEY)
    return not key or len(rest) < _ENDING_LENGTH


class ProcessRecord(Struct, frozen=True):
    """The process of a run in several processes that writes a journal.

    Attributes:
        number: Its number, from 1; 0 for the process that started the others.
        count: How many others there are.
    """

    number: Annotated[int, Meta(ge=0)]
    count: Annotated[int, Meta(ge=2, le=MOST_PROCESSES)]

    def __post_init__(self) -> None:
        if self.number > self.count:
            raise ValueError("there is no such process")


class Header(Struct, frozen=True, tag="run"):
    """The first line of a journal. It also has the keys of `RunRecord`.

    Attributes:
        started: When the run began, as ISO 8601 in UTC.
        paths: The playbooks, as on the command line.
        salt: The salt of the fingerprint.
        fingerprint: Part to digest; see `wps_run.journal.fingerprint`.
        folder: The working folder of the run, or "".
        version: The version of the format.
        options: The options of the command line that a resumed run reuses; missing in journals of
            versions that did not keep them.
        process: Which process writes the journal, if the run has several.
    """

    started: Moment
    paths: tuple[str, ...]
    salt: str
    fingerprint: dict[str, str]
    folder: str = ""
    version: Version = VERSION
    options: KeptOptions | UnsetType = UNSET
    process: ProcessRecord | UnsetType = UNSET

    def __post_init__(self) -> None:
        _check_moment(self.started)

    @property
    def process_number(self) -> int:
        """The number of the process that writes the journal; 0 if it is the only one."""
        return 0 if self.process is UNSET else self.process.number

    @property
    def process_count(self) -> int:
        """How many processes run the actions."""
        return 1 if self.process is UNSET else self.process.count

    def record(self, run: RunInfo) -> dict[str, Any]:
        """Return the record of the header of this run."""
        return {
            "type": "run",
            "version": self.version,
            "started": self.started,
            "paths": self.paths,
            "folder": self.folder,
            **_options_field(self.options),
            **({} if self.process is UNSET else {"process": msgspec.to_builtins(self.process)}),
            **run_fields(run),
            "salt": self.salt,
            "fingerprint": self.fingerprint,
        }


class Resumed(Struct, frozen=True, tag="resumed"):
    """The line where a resumed part of the run begins; its `RunRecord` may be missing.

    Attributes:
        resumed: When it began, as ISO 8601 in UTC.
        version: The version of the format from this line on.
        options: The options from here on, if the line says it.
    """

    resumed: Moment
    version: Version = UNCHECKED_VERSION
    options: KeptOptions | UnsetType = UNSET

    def __post_init__(self) -> None:
        _check_moment(self.resumed)

    def record(self, run: RunInfo) -> dict[str, Any]:
        """Return the record of the resumed part of this run."""
        return {
            "type": "resumed",
            "version": self.version,
            "resumed": self.resumed,
            **_options_field(self.options),
            **run_fields(run),
        }


class Sending(Struct, frozen=True, tag="sending"):
    """An action is about to be sent.

    Attributes:
        index: The number of its step.
    """

    index: Index


class Unsent(Struct, frozen=True, tag="unsent"):
    """The last attempt of an action was certainly not carried out.

    Attributes:
        index: The number of its step.
    """

    index: Index


class Resolved(Struct, frozen=True, tag="resolved"):
    """The user says that an action was done whose result is missing.

    Attributes:
        index: The number of its step.
    """

    index: Index


class RehearsalRecord(Struct, frozen=True, tag="rehearsal"):
    """What a rehearsal found in one hub; `wps_run.report.simulation` reads its other keys."""


class SummaryRecord(Struct, frozen=True, rename="camel", tag="summary"):
    """The end of a run. The totals are counted again from the results."""

    duration_ms: Milliseconds
    exit_code: Annotated[int, Meta(ge=0, le=255)]


class ShardRecord(Struct, frozen=True):
    """The shard of a run.

    Attributes:
        number: Its number, from 1.
        count: The number of shards.
        of: The number of actions in all shards.
    """

    number: Annotated[int, Meta(ge=1)]
    count: int
    of: Count

    def __post_init__(self) -> None:
        if self.number > self.count:
            raise ValueError("there is no such shard")


class SelectionRecord(Struct, frozen=True):
    """The selection of a run.

    Attributes:
        flags: The flags that make it.
        of: The number of actions in the whole plan.
    """

    flags: str
    of: Count


class RunRecord(Struct, frozen=True):
    """The keys of a header, and of `resumed`, that say what is run and where.

    Attributes:
        destination: Where the actions are sent.
        endpoints: Host and port of each service.
        hubs: The hubs.
        playbooks: The names of the playbooks, in order.
        total: The number of actions.
        pace: Mode and concurrency, as text.
        shard: The shard, if the run is one.
        expectations: The number of expectations, if there are any.
        selection: The selection, if only a part of the plan runs.
        environment: The environment of `wps-run.yaml` that was chosen, if any.
    """

    destination: Destination
    endpoints: tuple[str, ...]
    hubs: tuple[str, ...]
    playbooks: tuple[str, ...]
    total: Count
    pace: str
    shard: ShardRecord | UnsetType | None = UNSET
    expectations: Annotated[int, Meta(ge=0, le=EXPECTATIONS.value)] | UnsetType = UNSET
    selection: SelectionRecord | UnsetType = UNSET
    environment: Annotated[str, Meta(pattern=ENVIRONMENT_NAME_PATTERN)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.destination is Destination.PLAN:
            raise ValueError("a plan has no journal")
        if isinstance(self.shard, ShardRecord) and self.total > self.shard.of:
            raise ValueError("the shard is larger than its plan")
        if isinstance(self.selection, SelectionRecord) and self._selected > self.selection.of:
            raise ValueError("the selection is larger than its plan")

    @property
    def _selected(self) -> int:
        """The number of actions of all shards."""
        return self.shard.of if isinstance(self.shard, ShardRecord) else self.total

    def info(self) -> RunInfo:
        """Return it as a `RunInfo`."""
        shard = self.shard if isinstance(self.shard, ShardRecord) else None
        selection = self.selection if isinstance(self.selection, SelectionRecord) else None
        return RunInfo(
            destination=self.destination,
            endpoints=self.endpoints,
            hubs=self.hubs,
            playbooks=self.playbooks,
            total=self.total,
            pace=self.pace,
            shard=Shard(shard.number, shard.count) if shard else None,
            plan_total=self._selected,
            expectations=0 if self.expectations is UNSET else self.expectations,
            selection=selection.flags if selection else "",
            left_out=selection.of - self._selected if selection else 0,
            environment_name=None if self.environment is UNSET else self.environment,
        )


def _options_field(options: KeptOptions | UnsetType) -> dict[str, Any]:
    return {} if options is UNSET else {"options": dict(options)}


def run_fields(run: RunInfo) -> dict[str, Any]:
    """Return the keys of a header that say what is run and where."""
    shard = run.shard
    record = RunRecord(
        run.destination,
        run.endpoints,
        run.hubs,
        run.playbooks,
        run.total,
        run.pace,
        ShardRecord(shard.number, shard.count, run.plan_total) if shard else UNSET,
        run.expectations or UNSET,
        SelectionRecord(run.selection, run.plan_total + run.left_out) if run.selection else UNSET,
        run.environment_name or UNSET,
    )
    keys: dict[str, Any] = msgspec.to_builtins(record)
    return keys


Record = (
    Resumed
    | Sending
    | Unsent
    | Resolved
    | RehearsalRecord
    | SummaryRecord
    | Result
    | ExpectationResult
)
"""The lines after the header."""

_INVALID = (msgspec.ValidationError, UnicodeEncodeError)
"""What converting a record may raise: msgspec encodes a text that is in the place of an object."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(value: object) -> bytes:
    """Encode a value as JSON on one line, without blanks; characters are not escaped."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="surrogatepass")


def encode_text(value: object) -> str:
    """Encode a value in the same way, as text for a report."""
    return encode(value).decode(errors="surrogatepass")


def decode_object(line: bytes) -> dict[str, Any]:
    """Decode a line as plain data, without its checksum.

    Raises:
        InvalidLineError: It is not a JSON object.
    """
    try:
        value = json.loads(line.decode(errors="surrogatepass"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidLineError("no JSON") from None
    if not isinstance(value, dict):
        raise InvalidLineError("no JSON object")
    value.pop("check", None)
    return value


def decode_record(line: bytes) -> Record:
    """Decode a line after the header.

    Raises:
        InvalidLineError: It is not a JSON object, its type is unknown, a value has the wrong type
            or is out of range, or it is a header.
    """
    try:
        return _decoder.decode(line)
    except (ValueError, RecursionError):  # rare: find out what is wrong with it
        pass
    try:
        return msgspec.convert(decode_object(line), Record)  # type: ignore[no-any-return] # its stub
    except _INVALID as error:
        raise InvalidLineError(str(error)) from None


def decode_header(line: bytes) -> tuple[Header, RunInfo]:
    """Decode the first line, whose `type` and `version` are known to be right.

    Raises:
        InvalidLineError: It is not a JSON object, or a value is missing, has the wrong type or is
            out of range.
    """
    record = decode_object(line)
    try:
        return msgspec.convert(record, Header), msgspec.convert(record, RunRecord).info()
    except _INVALID as error:
        raise InvalidLineError(str(error)) from None


def decode_run_info(record: Mapping[str, Any]) -> RunInfo | None:
    """Return what a `resumed` line says of the run, or None if it says nothing.

    Raises:
        InvalidLineError: A value is missing, has the wrong type or is out of range.
    """
    if "destination" not in record:
        return None
    try:
        return msgspec.convert(record, RunRecord).info()
    except _INVALID as error:
        raise InvalidLineError(str(error)) from None


def format_moment(moment: datetime) -> str:
    """Format a moment as journals and reports have it."""
    return moment.isoformat(timespec="milliseconds")


def _check_moment(text: str) -> None:
    """Raise ValueError unless a text is a moment with a time zone."""
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a moment has no time zone")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
