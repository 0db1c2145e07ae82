"""The lines of a journal: a Struct for each kind of record, encoded and decoded here only. Pure.

A journal is ndjson and only appended to:

- `run`, the header, is the first line;
- `sending` comes before each attempt, `unsent` after one that was certainly not carried out and
  waits for another;
- `result` comes for each action that ended;
- `resumed` comes where a resumed part of the run begins;
- `rehearsal`, one for each hub of a rehearsal, and `summary` come at the end.

A journal may be damaged or edited by hand, so decoding checks the type of every value that is
used later. Records of other types are ignored.

msgspec refuses lone surrogates, which file names that are not UTF-8 contain. Lines with such
text go through the standard library's encoder instead, which writes them as they are.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wps_run.execution.result import MAX_ACTIONS, Index, Milliseconds, Result
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.playbook.shards import Shard

VERSION = 1
"""The version of the format. A journal of another version is refused."""

Count = Annotated[int, Meta(ge=0, le=MAX_ACTIONS)]


class IncompleteLineError(ValueError):
    """A line is not a complete JSON object, as after a crash while it was written."""


class InvalidLineError(ValueError):
    """A line is JSON, but not a record of a journal."""


class Header(Struct, frozen=True, tag="run"):
    """The first line of a journal. It also has the keys of `RunRecord`.

    Attributes:
        started: When the run began, as ISO 8601 in UTC.
        paths: The playbooks, as on the command line.
        salt: The salt of the fingerprint.
        fingerprint: Part to digest; see `wps_run.journal.fingerprint`.
        folder: The working folder of the run, or "".
        version: The version of the format.
    """

    started: str
    paths: tuple[str, ...]
    salt: str
    fingerprint: dict[str, str]
    folder: str = ""
    version: int = VERSION

    def __post_init__(self) -> None:
        _check_moment(self.started)

    def line(self, run: RunInfo) -> bytes:
        """Return the line of the header of this run."""
        return encode_line(
            {
                "type": "run",
                "version": self.version,
                "started": self.started,
                "paths": self.paths,
                "folder": self.folder,
                **run_fields(run),
                "salt": self.salt,
                "fingerprint": self.fingerprint,
            }
        )


class Resumed(Struct, frozen=True, tag="resumed"):
    """The line where a resumed part of the run begins; its `RunRecord` may be missing.

    Attributes:
        resumed: When it began, as ISO 8601 in UTC.
    """

    resumed: str

    def __post_init__(self) -> None:
        _check_moment(self.resumed)

    def line(self, run: RunInfo) -> bytes:
        """Return the line of the resumed part of this run."""
        return encode_line({"type": "resumed", "resumed": self.resumed, **run_fields(run)})


class Sending(Struct, frozen=True, tag="sending"):
    """An action is about to be sent."""

    index: Index


class Unsent(Struct, frozen=True, tag="unsent"):
    """The last attempt of an action was certainly not carried out."""

    index: Index


class RehearsalRecord(Struct, frozen=True, tag="rehearsal"):
    """What a rehearsal found in one hub; `wps_run.report.simulation` reads its other keys."""


class SummaryRecord(Struct, frozen=True, rename="camel", tag="summary"):
    """The end of a run. The totals are counted again from the results."""

    duration_ms: Milliseconds
    exit_code: Annotated[int, Meta(ge=0, le=255)]


class ShardRecord(Struct, frozen=True):
    """The shard of a run: `number` of `count`, in a plan `of` so many actions."""

    number: Annotated[int, Meta(ge=1)]
    count: int
    of: Count

    def __post_init__(self) -> None:
        if self.number > self.count:
            raise ValueError("there is no such shard")


class RunRecord(Struct, frozen=True):
    """The keys of a header, and of `resumed`, that say what is run and where."""

    destination: Destination
    endpoints: tuple[str, ...]
    hubs: tuple[str, ...]
    playbooks: tuple[str, ...]
    total: Count
    pace: str
    shard: ShardRecord | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if self.destination is Destination.PLAN:
            raise ValueError("a plan has no journal")
        if isinstance(self.shard, ShardRecord) and self.total > self.shard.of:
            raise ValueError("the shard is larger than its plan")

    def info(self) -> RunInfo:
        """Return it as a `RunInfo`."""
        shard = self.shard if isinstance(self.shard, ShardRecord) else None
        return RunInfo(
            destination=self.destination,
            endpoints=self.endpoints,
            hubs=self.hubs,
            playbooks=self.playbooks,
            total=self.total,
            pace=self.pace,
            shard=Shard(shard.number, shard.count) if shard else None,
            plan_total=shard.of if shard else self.total,
        )


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
    )
    keys: dict[str, Any] = msgspec.to_builtins(record)
    return keys


Record = Resumed | Sending | Unsent | RehearsalRecord | SummaryRecord | Result
"""The lines after the header."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_KNOWN_TYPES = {"run", "resumed", "sending", "unsent", "rehearsal", "summary", "result"}


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


def encode_line(record: object) -> bytes:
    """Encode a record as a line of ndjson, with its line break."""
    return encode(record) + b"\n"


def decode_object(line: bytes) -> dict[str, Any]:
    """Decode a line as plain data.

    Raises:
        IncompleteLineError: It is not a complete JSON object.
    """
    if not line.endswith(b"\n"):
        raise IncompleteLineError
    try:
        value = json.loads(line.decode(errors="surrogatepass"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise IncompleteLineError from None
    if not isinstance(value, dict):
        raise IncompleteLineError
    return value


def decode_record(line: bytes) -> Record | None:
    """Decode a line after the header. None for a record of an unknown type.

    Raises:
        IncompleteLineError: It is not a complete JSON object.
        InvalidLineError: A value has the wrong type or is out of range, or it is a header.
    """
    if line.endswith(b"\n"):
        try:
            return _decoder.decode(line)
        except (ValueError, RecursionError):  # rare: find out what is wrong with it
            pass
    record = decode_object(line)
    kind = record.get("type")
    if not isinstance(kind, str) or kind not in _KNOWN_TYPES:
        return None
    try:
        return msgspec.convert(record, Record)  # type: ignore[no-any-return] # msgspec's stub
    except msgspec.ValidationError as error:
        raise InvalidLineError(str(error)) from None


def decode_header(line: bytes) -> tuple[Header, RunInfo]:
    """Decode the first line, whose `type` and `version` are known to be right.

    Raises:
        IncompleteLineError: It is not a complete JSON object.
        InvalidLineError: A value is missing, has the wrong type or is out of range.
    """
    record = decode_object(line)
    try:
        return msgspec.convert(record, Header), msgspec.convert(record, RunRecord).info()
    except msgspec.ValidationError as error:
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
    except msgspec.ValidationError as error:
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
