"""Read what `Runner` is asked to run: typed actions, playbooks and their files."""

import asyncio
import json
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, NamedTuple, TypeAlias

from msgspec import to_builtins
from msgspec.json import Encoder

from wps_run import input_limits
from wps_run.checking import read_text, with_includes
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.playbook.typed import TypedAction
from wps_run.problems import UsageError

Work: TypeAlias = (
    TypedAction | Mapping[str, Any] | str | PathLike[str] | Playbook | Iterable["Work"]
)
"""What can be run: a typed action, a playbook (as a file name, text, mapping or object), or several
of them. Actions in a row are one batch."""

ACTIONS_NAME, TEXT_NAME, MAPPING_NAME = "<actions>", "<text>", "<playbook>"
"""What stands for the file of actions and playbooks that are not read from one."""

_ENCODER = Encoder()

_END_OF_LINE = b",\n"

_AT_ONCE = 1000
"""How many items are taken before other tasks run."""


class _Text(NamedTuple):
    """The text of a playbook, and what stands for its file."""

    text: str
    name: str


@dataclass(slots=True)
class Sources:
    """What is to be run, in order, its playbooks not yet read.

    Attributes:
        items: Playbooks, their texts or file names, and batches of actions as lines of JSON.
        size: How many bytes the actions, mappings and texts have.
    """

    items: list[Playbook | _Text | str | list[bytes]] = field(default_factory=list)
    size: int = 0

    def add(self, item: Any) -> None:  # noqa: ANN401 -- `Work` without lists
        """Append an action to the batch at the end, or begin a new item.

        Raises:
            UsageError: It has a value that JSON has not, or there is too much to run.
        """
        if _is_action(item):
            line = _action_line(item)
            self.size += len(line)
            if self.items and isinstance(self.items[-1], list):
                self.items[-1].append(line)
            else:
                self.items.append([line])
        else:
            source = _playbook_source(item)
            self.size += len(source.text) if isinstance(source, _Text) else 0
            self.items.append(source)
        for limit, value in (
            (input_limits.WORK, self.size),
            (input_limits.PLAYBOOK_FILES, len(self.items)),
        ):
            if value > limit.value:
                raise UsageError(f"the run {limit.error}")

    def read(self) -> list[Playbook]:
        """Return the playbooks to run. Their problems are left for `plan` to raise.

        Raises:
            UsageError: A file cannot be read.
            PlaybookError: A playbook is not YAML, or too large.
        """
        return list(map(_read, self.items or [[]]))  # a list of actions may be empty


async def collect(work: Sequence[Work]) -> Sources:
    """Take what is to be run out of its lists and other iterables.

    Iterates here, and not in the thread that reads: a cursor of a database, for example, works in
    its own thread only.

    Raises:
        UsageError: There is nothing to run, or too much.
        TypeError: Something else is to be run.
    """
    if not work:
        raise UsageError("there is nothing to run; give actions, or name a playbook")
    sources = Sources()
    for number, item in enumerate(_flat(work), 1):
        sources.add(item)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)  # noqa: TID251 -- other tasks run meanwhile
    return sources


def _flat(work: Iterable[Work]) -> Iterator[Any]:
    """Yield actions and playbooks, those in lists one by one."""
    levels = [iter(work)]
    while levels:
        for item in levels[-1]:
            if isinstance(item, TypedAction | Mapping | str | PathLike | Playbook):
                yield item
                continue
            _check_list(item, len(levels))
            levels.append(iter(item))
            break
        else:
            levels.pop()


def _check_list(item: object, depth: int) -> None:
    """Raise the error of what is neither an action, nor a playbook, nor several of them."""
    if isinstance(item, AsyncIterable):
        raise TypeError("cannot run an async iterator; collect its actions in a list before")
    if isinstance(item, bytes | bytearray | type) or not isinstance(item, Iterable):
        raise TypeError(
            f"cannot run {type(item).__name__}; give typed actions, or a playbook as a file "
            "name, text, mapping or `Playbook`"
        )
    if depth > input_limits.DEPTH.value:
        raise UsageError(f"a list of actions {input_limits.DEPTH.error}")


def _is_action(item: object) -> bool:
    if isinstance(item, Mapping):
        return any(isinstance(key, str) and key.lower() == "actionname" for key in item)
    return isinstance(item, TypedAction)


def _action_line(action: TypedAction | Mapping[str, Any]) -> bytes:
    if isinstance(action, TypedAction):
        try:
            return _ENCODER.encode(action)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"an action has a value that JSON has not: {error}") from None
    return _as_json(action, "an action").encode()


def _as_json(value: Mapping[str, Any], name: str, indent: int | None = None) -> str:
    try:
        return json.dumps(value, allow_nan=False, default=_plain, indent=indent)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} has a value that JSON has not: {error}") from None


def _plain(value: object) -> object:
    """Return a typed action or another value as JSON has it; bytes as Node does, never as text."""
    if isinstance(value, bytes | bytearray):
        return {"type": "Buffer", "data": list(value)}
    return dict(value) if isinstance(value, Mapping) else to_builtins(value)


def _playbook_source(item: Mapping[str, Any] | str | PathLike[str] | Playbook) -> Any:  # noqa: ANN401
    if isinstance(item, Playbook):
        return item
    if isinstance(item, Mapping):
        return _Text(_as_json(item, "the playbook", indent=1), MAPPING_NAME)
    if isinstance(item, str) and ("\n" in item or item.lstrip()[:1] in {"[", "{"}):
        return _Text(item, TEXT_NAME)
    if not (path := fspath(item)):
        raise UsageError("the name of a playbook is empty; name a file, or give its text")
    return path


def _read(source: Playbook | _Text | str | list[bytes]) -> Playbook:
    match source:
        case Playbook():
            return source
        case list():  # line N is action N
            return read_playbook(f"[{_END_OF_LINE.join(source).decode()}]", ACTIONS_NAME)
        case _Text(text, name):
            return with_includes(read_playbook(text, name))
        case _:
            return with_includes(read_playbook(read_text(source), source))
