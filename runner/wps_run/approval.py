"""The file of an approved plan, and what has changed since it was written.

The file is ndjson: `plan`, the header; a `group` line for each live group that was read, and a line
for each of its connections; a `step` line for each step; `end`, with a checksum of all lines before
it. It has targets and digests, but no payload, no value of a variable and no secret. Digests are
keyed with the salt in the header, since what they are of may be short.

The checksum finds damage; it does not keep anybody from making a new one.
"""

import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Self

import msgspec
from msgspec import Meta, Struct

from wps_run.actions.request import Value
from wps_run.execution.result import Index
from wps_run.input_limits import APPROVED_PLAN, JOURNAL_LINE
from wps_run.journal.fingerprint import (
    ENDPOINT_PART,
    ROWS_PART,
    SHARD_PART,
    changed_parts,
    fingerprint,
)
from wps_run.journal.format import InvalidLineError, KeptOptions, decode_object, encode
from wps_run.journal.rows_file import LiveGroup, group_lines, read_groups
from wps_run.journaling import fingerprint_of, playbook_part
from wps_run.paths import path_from
from wps_run.planning import Plan
from wps_run.playbook.files import open_input
from wps_run.playbook.live import LiveConnection
from wps_run.playbook.options import RunOptions, options_of
from wps_run.playbook.rows import InputError
from wps_run.playbook.steps import Step
from wps_run.problems import ApprovalError
from wps_run.report.values import target_text, value_text
from wps_run.text import replace_invisible, truncate_middle

VERSION = 1
"""The version of the format."""


class PlanHeader(Struct, frozen=True, tag="plan"):
    """The first line of the file of a plan.

    Attributes:
        created: When it was made, as ISO 8601 in UTC.
        salt: The key of all digests.
        playbooks: The playbooks as the command line names them, relative to the file.
        folder: The working folder, relative to the file.
        options: Options of the command line; their files are relative to the file, too.
        parts: The digest of each part of the plan, by the name that messages use.
        live: Whether the live groups were read.
        shard: The shard, as `K/N`, or None for all steps.
        version: The version of the format.
    """

    created: str
    salt: str
    playbooks: tuple[str, ...]
    folder: str
    options: KeptOptions
    parts: dict[str, str]
    live: bool = False
    shard: str | None = None
    version: int = VERSION

    def __post_init__(self) -> None:
        if any("\0" in path for path in (self.folder, *self.playbooks)):
            raise ValueError("a path has a null character")


class PlannedStep(Struct, frozen=True, tag="step", rename="camel"):
    """A step in the file of a plan.

    Attributes:
        index: Its number in the run.
        action_name: Its action.
        target: Its target, without secrets.
        source: `file:line` of what it was made from.
        digest: The digest of its request, and of what happens when that fails.
    """

    index: Index
    action_name: str
    target: dict[str, str | int | tuple[str, ...]]
    source: str
    digest: str

    @property
    def key(self) -> tuple[object, ...]:
        """What distinguishes a step that has changed from another step."""
        return (self.action_name, *self.target.items())


class _End(Struct, frozen=True, tag="end"):
    steps: Annotated[int, Meta(ge=0)]
    check: str


_step_decoder = msgspec.json.Decoder(PlannedStep)


def _decode_step(line: bytes) -> PlannedStep:
    """Decode the line of a step.

    Raises:
        ValueError: It is not one.
    """
    try:
        return _step_decoder.decode(line)
    except ValueError:  # also the name of a file that is not UTF-8
        return msgspec.convert(decode_object(line), PlannedStep)


_GATEWAY_PART = "the gateway (--endpoint, --header)"


def parts_of(
    plans: Sequence[Plan], endpoints: Sequence[str | None], gateway: object, salt: str
) -> dict[str, str]:
    """Return the digests of all that a run consists of, but for its steps and live groups.

    Args:
        plans: The plans of the run, whose files were read at least once.
        endpoints: Host and port to which the actions of each plan are sent; None if not known.
        gateway: The options of the gateway through which they are sent; None in a rehearsal.
        salt: The key of the digests.
    """
    parts: dict[str, str] = {} if gateway is None else {_GATEWAY_PART: json.dumps(gateway)}
    for plan in plans:
        if plan.is_final:  # all is of its playbook
            continue
        playbook = playbook_part(plan)
        parts[f"the connection of {playbook}"] = plan.connection
        for name, option in options_of(RunOptions):
            if not option.is_pace:
                parts[f"the option {option.key} of {playbook}"] = str(getattr(plan.options, name))
    hosts = [endpoint or "" for endpoint in endpoints]
    unknown = {
        ENDPOINT_PART + playbook_part(plan)
        for plan, endpoint in zip(plans, endpoints, strict=True)
        if endpoint is None
    }
    digests = fingerprint_of(plans, hosts, salt) | fingerprint(salt, parts)
    return {
        name: digest
        for name, digest in digests.items()
        if name not in {SHARD_PART, *unknown} and not name.startswith(ROWS_PART)
    }


def relative_to_plan(file: str, plan: str) -> str:
    """Return the path of a file relative to the folder of a plan, if there is one."""
    return path_from(file, Path(plan).absolute().parent)


class StepRecorder:
    """Makes the records of steps.

    Args:
        salt: The key of the digests.
        shown: Returns the name of a file as it is recorded.
    """

    def __init__(self, salt: str, shown: Callable[[str], str] = str) -> None:
        key = hashlib.sha256(salt.encode()).digest()
        self._keyed = hashlib.blake2b(key=key, digest_size=12)
        self._shown = shown
        self._files: dict[str, str] = {}

    def record(self, step: Step) -> PlannedStep:
        """Return the record of a step."""
        request, digest = step.request, self._keyed.copy()
        rule, wait = step.on_missing
        digest.update(
            f"{request.method} {request.path}?{request.query} {request.content_type} "
            f"{step.on_error} {step.delivery} {rule} {wait}\n".encode()
        )
        digest.update(request.body)
        file, _, line = step.source.rpartition(":")
        if file not in self._files:
            self._files[file] = self._shown(file)
        return PlannedStep(
            step.index,
            step.action.name,
            {name: _shortened(value) for name, value in step.target.items()},
            f"{self._files[file]}:{line}",
            digest.hexdigest(),
        )


_LONGEST_VALUE = 1024
"""The most characters of a value in a target. Only expressions and lists may be longer."""


def _shortened(value: Value) -> str | int | tuple[str, ...]:
    if isinstance(value, int):
        return value
    text = value if isinstance(value, str) else ", ".join(map(str, value))
    if len(text) > _LONGEST_VALUE:
        return truncate_middle(text, _LONGEST_VALUE)
    return text if isinstance(value, str) else tuple(map(str, value))


_BATCH = 1000
"""How many lines are written at once."""


class PlanWriter:
    """Writes the file of a plan.

    Args:
        file: Where it is written.
        header: The first line.
        groups: The live groups that were read.
        shown: Returns the name of a file as it is recorded.
    """

    def __init__(
        self,
        file: BinaryIO,
        header: PlanHeader,
        groups: Iterable[LiveGroup],
        shown: Callable[[str], str],
    ) -> None:
        self._file, self._total = file, 0
        self._checksum = hashlib.sha256()
        self._lines = [encode(header) + b"\n", *group_lines(groups)]
        self._record = StepRecorder(header.salt, shown).record

    def add(self, step: Step) -> None:
        """Add a step."""
        self._lines.append(encode(self._record(step)) + b"\n")
        self._total += 1
        if len(self._lines) >= _BATCH:
            self._flush()

    def end(self) -> None:
        """Write the last line, after the last step."""
        self._flush()
        self._file.write(encode(_End(self._total, self._checksum.hexdigest())) + b"\n")

    def _flush(self) -> None:
        content, self._lines = b"".join(self._lines), []
        self._checksum.update(content)
        self._file.write(content)


@dataclass(frozen=True, slots=True)
class ApprovedPlan:
    """The file of a plan, whose checksum is right.

    Attributes:
        path: The file.
        header: Its first line.
        groups: The live groups that were read.
        total: The number of steps.
        offset: Where the steps begin, in bytes.
    """

    path: str
    header: PlanHeader
    groups: tuple[LiveGroup, ...]
    total: int
    offset: int

    @classmethod
    def read(cls, path: str) -> Self:
        """Read the file of a plan, but not its steps.

        Raises:
            ApprovalError: It cannot be read, is no plan, is of another version, or is damaged.
        """
        try:
            with open_input(path) as file:
                header = _read_header(file)
                total = _read_end(file)
                groups, offset = _read_groups(file)
        except _NoPlanError as error:
            raise ApprovalError(f"`{path}` {error}") from None
        except InvalidLineError as error:
            raise _damaged(path, error) from None
        except InputError as error:
            raise ApprovalError(str(error)) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ApprovalError(f"cannot read the plan `{path}`: {reason}") from None
        return cls(path, header, groups, total, offset)

    def path_of(self, file: str) -> str:
        """Return the absolute path of a file that is named relative to that of the plan."""
        return os.path.normpath(Path(self.path).absolute().parent / file)

    def steps(self) -> Iterator[PlannedStep]:
        """Yield the steps.

        Raises:
            ApprovalError: A line is not that of a step.
        """
        with open_input(self.path) as file:
            file.seek(self.offset)
            for _ in range(self.total):
                try:
                    step = _decode_step(file.readline(JOURNAL_LINE.value))
                except ValueError:
                    raise _damaged(self.path, "a line is not that of a step") from None
                yield step

    def require_same(
        self,
        plans: Sequence[Plan],
        parts: Mapping[str, str],
        groups: Iterable[LiveGroup],
        *,
        again: str,
        shown: Callable[[str], str],
    ) -> None:
        """Refuse a run that is not the one in the plan.

        Args:
            plans: The plans of the run, of the shard of this plan if it has one.
            parts: What `parts_of` returned for them, with the salt of the header.
            groups: The live groups that were read for them.
            again: The command that makes the plan again.
            shown: Returns a recorded source as it is named from here.

        Raises:
            ApprovalError: Something has changed; says what.
        """
        if not self.header.live:  # then the rows of live groups have no steps in it
            plans, groups = [plan.without_live() for plan in plans], ()
        is_whole = self.header.shard is None
        now = (step for plan in plans for step in plan.steps(all_shards=is_whole))
        total = sum(plan.selected if is_whole else plan.total for plan in plans)
        record = StepRecorder(self.header.salt).record
        changed = [
            replace_invisible(part)
            for part in changed_parts(self.header.parts, parts)
            if self._counts(part, parts)
        ]
        members = _compare_groups(self.groups, groups)
        changes = changes_of(Window(self.steps(), self.total), Window(map(record, now), total))
        if not changed and not members.counts and not changes.counts:
            return
        lines: list[str] = []
        if changed:
            more = f" and {len(changed) - _SHOWN:,} more" if len(changed) > _SHOWN else ""
            lines.append(f"changed: {', '.join(changed[:_SHOWN])}{more}")
        if members.counts:
            lines += members.lines("connections in live groups", lambda _, text: str(text))
        if changes.counts:
            lines += changes.lines("steps", partial(_step_text, shown))
        else:
            lines.append("the steps are the same")
        lines.append(f"to approve it as it is now, make the plan again: {again}")
        raise ApprovalError(
            f"this is no longer the plan of `{self.path}`, so nothing was sent\n  "
            + "\n  ".join(lines)
        )

    def _counts(self, part: str, parts: Mapping[str, str]) -> bool:
        """Whether a part must be the same; the place may be unknown where a plan is made."""
        is_place = part.startswith(ENDPOINT_PART) or part == _GATEWAY_PART
        return not is_place or (part in self.header.parts and part in parts)


class _NoPlanError(Exception):
    """A file is no plan, or one of another version. The message is the predicate of a sentence."""


def _damaged(path: str, reason: object) -> ApprovalError:
    return ApprovalError(
        f"the plan `{path}` is incomplete, damaged or was edited ({reason}); restore it, or make "
        "it again with `wps-run plan --out`"
    )


_BEGINNING = b'{"type":"plan",'


def is_plan(path: str) -> bool:
    """Whether a file begins as a plan.

    Raises:
        OSError: It cannot be read.
    """
    with open_input(path) as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


def _read_header(file: BinaryIO) -> PlanHeader:
    line = file.readline(JOURNAL_LINE.value)
    if not line.startswith(_BEGINNING):
        raise _NoPlanError("is not a plan; `wps-run plan --out FILE` writes one")
    record = decode_object(line)
    if record.get("version") != VERSION:
        raise _NoPlanError(
            f"is a plan of another version of wps-run: its format is {record.get('version')!r:.20}"
            f", and this version reads {VERSION}; make it again with this version"
        )
    try:
        return msgspec.convert(record, PlanHeader)
    except (ValueError, UnicodeEncodeError) as error:
        raise InvalidLineError(str(error)) from None


_LONGEST_END = 256
_BLOCK = 1024 * 1024


def _read_end(file: BinaryIO) -> int:
    """Check the checksum in the last line; return how many steps there are."""
    position, size = file.tell(), file.seek(0, os.SEEK_END)
    if size > APPROVED_PLAN.value:
        raise _NoPlanError(APPROVED_PLAN.error)
    file.seek(max(position, size - _LONGEST_END))
    tail = file.read(_LONGEST_END)
    last = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    try:
        end = msgspec.json.decode(last, type=_End)
    except ValueError:
        raise InvalidLineError("the last line is missing") from None
    checksum, left = hashlib.sha256(), size - len(last)
    file.seek(0)
    while block := file.read(min(_BLOCK, left)):
        checksum.update(block)
        left -= len(block)
    if checksum.hexdigest() != end.check or not last.endswith(b"\n"):
        raise InvalidLineError("the checksum is wrong")
    file.seek(position)
    return end.steps


def _read_groups(file: BinaryIO) -> tuple[tuple[LiveGroup, ...], int]:
    """Read the live groups; return where the steps begin, too."""
    offset = file.tell()

    def records() -> Iterator[dict[str, Any]]:
        nonlocal offset
        while not (line := file.readline(JOURNAL_LINE.value)).startswith(_AFTER_GROUPS):
            offset += len(line)
            yield decode_object(line)

    return tuple(read_groups(records())), offset


_AFTER_GROUPS = (b'{"type":"step",', b'{"type":"end",')

_SHOWN = 10
"""The most changes of one kind that are shown; the others are only counted."""


class ChangeList:
    """Changes of one kind: the first ones, and the number of all.

    Attributes:
        counts: How many were `added`, `removed` and `changed`.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: list[tuple[str, object]] = []

    def add(self, change: str, item: object) -> None:
        """Add a step or connection that was `added`, `removed` or `changed`."""
        self.counts[change] += 1
        if len(self._first) < _SHOWN:
            self._first.append((change, item))

    def lines(self, noun: str, describe: Callable[[str, Any], str]) -> Iterator[str]:
        """Yield lines of text: the numbers, and the first changes."""
        counts = ((change, self.counts[change]) for change in ("added", "removed", "changed"))
        yield f"{noun}: " + ", ".join(f"{count:,} {change}" for change, count in counts if count)
        yield from (f"  {change:<8}{describe(change, item)}" for change, item in self._first)
        if more := self.counts.total() - len(self._first):
            yield f"  and {more:,} more"


def _compare_groups(before: Iterable[LiveGroup], now: Iterable[LiveGroup]) -> ChangeList:
    """Return who was added to and removed from groups that both sides have."""
    changes = ChangeList()
    earlier = {(group.hub.lower(), group.name): group for group in before}
    for key, group in {(group.hub.lower(), group.name): group for group in now}.items():
        if key in earlier:
            old, new = set(earlier[key].connections), set(group.connections)
            for change, connections in (("added", new - old), ("removed", old - new)):
                for connection in sorted(connections):
                    changes.add(change, _connection_text(connection, group.name))
    return changes


def changes_of(before: "Window", now: "Window") -> ChangeList:
    """Return the steps that two streams do not have in common. Only a part of each is in memory."""
    changes = ChangeList()
    while True:
        before.fill(1)
        now.fill(1)
        if not before.ahead and not now.ahead:
            return changes
        if before.ahead and now.ahead and before.ahead[0].digest == now.ahead[0].digest:
            before.take(1)
            now.take(1)
        else:
            removed, added = _find_difference(before, now)
            _add_difference(changes, before.take(removed), now.take(added))


def _add_difference(
    changes: ChangeList, removed: Sequence[PlannedStep], added: Sequence[PlannedStep]
) -> None:
    """Add steps that are on one side only. Of the same action and target, one has changed."""
    gone: dict[object, deque[PlannedStep]] = {}
    for step in removed:
        gone.setdefault(step.key, deque()).append(step)
    for step in added:
        earlier = gone.get(step.key)
        changes.add("changed" if earlier else "added", step)
        if earlier:
            earlier.popleft()
    for step in sorted(chain.from_iterable(gone.values()), key=attrgetter("index")):
        changes.add("removed", step)


def _step_text(shown: Callable[[str], str], change: str, step: PlannedStep) -> str:
    """Return a step for people. `shown` returns a recorded source as it is named from here."""
    source = shown(step.source) if change == "removed" else step.source
    action = f"{step.action_name} {target_text(step.target)}".rstrip()
    return f"#{step.index} {action} ({replace_invisible(source)})"


def _connection_text(connection: LiveConnection, group: str) -> str:
    user = "anonymous" if connection.user_id is None else f"user {value_text(connection.user_id)}"
    return f"{user}, connection {value_text(connection.connection_id)}, in {value_text(group)}"


class Window:
    """A stream of steps, of which the next ones can be looked at.

    Args:
        steps: The stream.
        total: The number of its steps.

    Attributes:
        ahead: The steps that were read, and not taken.
        left: The number of steps that were not taken.
    """

    def __init__(self, steps: Iterator[PlannedStep], total: int) -> None:
        self.ahead: deque[PlannedStep] = deque()
        self.left = total
        self._steps = steps

    def fill(self, size: int) -> None:
        """Read until there are `size` steps, or no more."""
        if len(self.ahead) < size:
            self.ahead.extend(islice(self._steps, size - len(self.ahead)))

    def take(self, count: int) -> list[PlannedStep]:
        """Remove the next steps, and return them."""
        self.left -= count
        return [self.ahead.popleft() for _ in range(count)]


_NEAR, _FAR = 16, 4096
"""How many steps of each stream are searched for one that is in both: at first, and at most."""


def _find_difference(before: Window, now: Window) -> tuple[int, int]:
    """Return how many steps at the beginning of each of two streams are not in the other one.

    Where more are new, or missing, than are searched, the difference of the totals says how many.
    """
    for size in (_NEAR, _FAR):
        before.fill(size)
        now.fill(size)
        if found := _first_common(before, now, size, lambda step: step.digest):
            return found
        if before.ahead and now.ahead and before.ahead[0].key == now.ahead[0].key:
            return 1, 1
    if found := _first_common(before, now, _FAR, lambda step: step.key):
        return found
    removed, added, surplus = len(before.ahead), len(now.ahead), now.left - before.left
    if surplus > 0 and added:
        return 0, min(added, surplus)
    if surplus < 0 and removed:
        return min(removed, -surplus), 0
    return removed, added


def _first_common(
    before: Window, now: Window, size: int, identity: Callable[[PlannedStep], object]
) -> tuple[int, int] | None:
    """Return where the nearest step is that both windows have among the first ones, or None."""
    places: dict[object, int] = {}
    for place, step in enumerate(islice(now.ahead, size)):
        places.setdefault(identity(step), place)
    nearest: tuple[int, int] | None = None
    for place, step in enumerate(islice(before.ahead, size)):
        if nearest and place >= sum(nearest):
            break
        other = places.get(identity(step))
        if other is not None and (nearest is None or place + other < sum(nearest)):
            nearest = place, other
    return nearest
