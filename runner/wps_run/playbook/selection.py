"""Which part of a plan is carried out: by tags, by indexes, and from a named action on. Pure."""

import re
import shlex
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from wps_run.document.document import Path
from wps_run.input_limits import ACTIONS
from wps_run.playbook.messages import describe_type
from wps_run.problems import UsageError, did_you_mean
from wps_run.text import escape_invisible, truncate_middle

TAGS = "tags"
"""The key of an action, of an entry of `groups` and of an entry of `expect`."""

TAG_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}$(?!\n)"

MOST_TAGS = 50
"""The most tags of one action."""

TAGS_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "array",
        "description": "Words by which `--tags` and `--skip-tags` select it: letters, digits, and "
        "`_`, `-`, `.` and `:` after the first character.",
        "maxItems": MOST_TAGS,
        "items": {"type": "string", "pattern": TAG_PATTERN},
    }
)


def tags_errors(value: object) -> Iterator[tuple[Path, str]]:
    """Explain why a value does not match `TAGS_SCHEMA`, by the paths of the wrong values in it."""
    if not isinstance(value, list):
        words = re.split(r"[\s,]+", value) if isinstance(value, str) else []
        tags = ", ".join(filter(_is_tag, words))
        hint = f"; write `[{tags}]`" if tags and len(tags) <= _SHOWN else ""
        yield (), f"`tags` must be a list, such as `[setup, red]`{hint}"
        return
    if len(value) > MOST_TAGS:
        yield (), f"`tags` has {len(value)} tags; at most {MOST_TAGS} are allowed"
        return
    for index, tag in enumerate(value):
        if message := _tag_error(tag):
            yield (index,), message


def _tag_error(tag: object) -> str | None:
    if isinstance(tag, list | dict):
        return f"a tag must be a string, not {describe_type(tag)}"
    if not isinstance(tag, str):
        return "a tag must be a string; put it in quotes"
    if "${" in tag:
        return "a tag cannot hold `${…}`; it is read before variables are known"
    if _is_tag(tag):
        return None
    return (
        "a tag has only letters from a to z, digits, `_`, `-`, `.` and `:`, does not begin with "
        "`-`, `.` or `:`, and has at most 64 characters"
    )


def _is_tag(text: str) -> bool:
    return bool(re.search(TAG_PATTERN, text))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which steps and expectations of a run are carried out; all of them without arguments.

    Attributes:
        tags: It has one of these tags; empty for any.
        skip_tags: It has none of these tags.
        only: The indexes of steps, in ascending ranges that do not overlap; empty for all.
        start_at: The name of the action with which the run begins, or None.
        first: The index of its first step; None while no step is known that has the name.
    """

    tags: frozenset[str] = frozenset()
    skip_tags: frozenset[str] = frozenset()
    only: tuple[range, ...] = ()
    start_at: str | None = None
    first: int | None = 0

    def __bool__(self) -> bool:
        return bool(self.tags or self.skip_tags or self.is_by_index)

    def __str__(self) -> str:
        """The flags of the command line, long values shortened; "" for all."""
        flags = {
            "--tags": ",".join(sorted(self.tags)),
            "--skip-tags": ",".join(sorted(self.skip_tags)),
            "--only": ",".join(map(_range_text, self.only)),
            "--start-at": self.start_at and escape_invisible(self.start_at),
        }
        return " ".join(
            f"{flag} {shlex.quote(truncate_middle(value, _SHOWN))}"
            for flag, value in flags.items()
            if value
        )

    @property
    def content(self) -> str:
        """All of it as a text, to compare."""
        return repr((sorted(self.tags), sorted(self.skip_tags), self.only, self.start_at))

    @property
    def is_by_index(self) -> bool:
        """Whether the index of a step counts, not only its tags."""
        return bool(self.only) or self.start_at is not None

    def has_tags(self, tags: frozenset[str]) -> bool:
        """Whether something with these tags is selected, as far as tags decide it."""
        return not self.skip_tags & tags and (not self.tags or bool(self.tags & tags))

    def has_index(self, index: int) -> bool:
        """Whether a step is selected, as far as its index decides it."""
        return self.count(range(index, index + 1)) > 0

    def count(self, indexes: range) -> int:
        """Return how many of these consecutive indexes are selected."""
        if self.first is None:
            return 0
        start, stop = max(indexes.start, self.first), indexes.stop
        if not self.only:
            return max(0, stop - start)
        total = 0
        for number in range(bisect_right(self.only, start, key=_stop), len(self.only)):
            part = self.only[number]
            if part.start >= stop:
                break
            total += min(part.stop, stop) - max(part.start, start)
        return total

    def may_have_from(self, index: int) -> bool:
        """Whether a step with this index or a higher one may be selected."""
        return self.first is None or self.count(range(index, _END)) > 0


def are_apart(tags: frozenset[str], others: frozenset[str]) -> bool:
    """Whether two actions are for different runs: both have tags, and none in common."""
    return bool(tags and others) and not tags & others


NO_SELECTION = Selection()
"""All steps and expectations."""

_stop = attrgetter("stop")
_END = ACTIONS.value + 1
_SHOWN = 80
"""The longest value, in columns, that headers and messages show."""


def parse_selection(
    tags: Iterable[str] | None = None,
    skip_tags: Iterable[str] | None = None,
    only: Iterable[str] | None = None,
    start_at: str | None = None,
) -> Selection:
    """Read the options of a command line; each value of the first three is a list with commas.

    Raises:
        UsageError: A value is not valid; says what to write.
    """
    if start_at == "":
        raise UsageError("--start-at is empty; write the `name` of an action")
    return Selection(
        frozenset(_split("--tags", tags or ())),
        frozenset(_split("--skip-tags", skip_tags or ())),
        tuple(_merged(map(_parse_range, _split("--only", only or ())))),
        start_at,
    )


def _split(flag: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        for item in value.split(","):
            if not item.strip():
                example = "3,7..12" if flag == "--only" else "setup,red"
                raise UsageError(f"{flag} has an empty item; write it as {flag} {example}")
            yield item.strip()


_RANGE = re.compile(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?")


def _parse_range(text: str) -> range:
    match = _RANGE.fullmatch(text)
    if not match:
        raise UsageError(
            f"--only takes indexes and ranges, such as 3,7..12, as `wps-run plan` shows them; not "
            f"`{_shown(text)}`"
        )
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise UsageError(f"--only {text}: the range ends before it begins; write {last}..{first}")
    return range(first, last + 1)


def _merged(ranges: Iterable[range]) -> Iterator[range]:
    """Yield the same indexes in ascending ranges that neither overlap nor touch."""
    last: range | None = None
    for each in sorted(ranges, key=attrgetter("start")):
        if last is None:
            last = each
        elif each.start <= last.stop:
            last = range(last.start, max(last.stop, each.stop))
        else:
            yield last
            last = each
    if last is not None:
        yield last


def _range_text(indexes: range) -> str:
    first, last = indexes.start, indexes.stop - 1
    return f"{first}..{last}" if last > first else str(first)


def require_tags(selection: Selection, known: Collection[str]) -> None:
    """Refuse tags that nothing has.

    Args:
        selection: The selection.
        known: The tags of all actions and expectations of the run.

    Raises:
        UsageError: There are such tags.
    """
    for flag, tags in (("--tags", selection.tags), ("--skip-tags", selection.skip_tags)):
        for tag in sorted(tags - set(known)):
            remedy = did_you_mean(tag, sorted(known)) or f"; {_choices('the tags are', known)}"
            if not known:
                remedy = "; the playbooks have no tags"
            raise UsageError(f"{flag}: nothing has the tag `{_shown(tag)}`{remedy}")


def require_indexes(selection: Selection, total: int) -> None:
    """Refuse indexes that the plan does not have.

    Raises:
        UsageError: There are such indexes.
    """
    if selection.only and selection.only[-1].stop > total:
        last = selection.only[-1].stop - 1
        has = f"has the indexes 0 to {total - 1}" if total else "has no steps"
        raise UsageError(f"--only {last}: the plan {has}, as `wps-run plan` shows them")


def unknown_start(name: str, names: Sequence[str]) -> UsageError:
    """Return the error that no action has the name of `--start-at`; `names` are those there are."""
    remedy = did_you_mean(name, names) or f"; {_choices('the names are', names)}"
    if not names:
        remedy = "; give the action a `name`"
    return UsageError(f"--start-at: no action has the name `{_shown(name)}`{remedy}")


def _choices(what: str, names: Iterable[str]) -> str:
    names = sorted(set(names))
    listed = ", ".join(f"`{_shown(name)}`" for name in names[:_LISTED])
    return f"{what} {listed}" + (f", and {len(names) - _LISTED} more" if names[_LISTED:] else "")


_LISTED = 10
"""The most names that a message lists."""


def _shown(text: str) -> str:
    return truncate_middle(escape_invisible(text), _SHOWN)
