"""Shards: which share of a plan a process carries out, and how that is chosen."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wps_run.actions.request import Value
from wps_run.actions.table import Action
from wps_run.playbook.options import RunOptions
from wps_run.problems import UsageError

SHARD_VARIABLE = "WPS_RUN_SHARD"
"""The environment variable that says what `--shard` says."""

SHARDS_VARIABLE = "WPS_RUN_SHARDS"
"""The environment variable that says what `--shards` says."""

COMPLETION_INDEX = "JOB_COMPLETION_INDEX"
"""Where a Kubernetes Indexed Job tells each of its pods its number, from 0."""

_WRITTEN = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_canonical = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode
_NUMBER = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Shard:
    """One share of a plan.

    Attributes:
        number: Which one, from 1.
        count: How many there are, at least `number`.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def owner(self, action: Action) -> Callable[[Mapping[str, Any]], bool]:
        """What says, of the values of one such action, whether it is this shard's."""
        names = [one.name for one in action.fields if one.is_target]

        def owns(values: Mapping[str, Any]) -> bool:
            target = {name: values[name] for name in names if name in values}
            return shard_number(target, self.count) == self.number

        return owns

    def paced(self, options: RunOptions) -> RunOptions:
        """The options of this shard's run: its part of the rate, all else as it is."""
        return replace(options, rate=options.rate and options.rate / self.count)


def shard_number(target: Mapping[str, Value], count: int) -> int:
    """The number of the shard that a target belongs to, from 1 to `count`.

    The same on every machine and in every version: journals of a run may be gone on with, and
    merged, by another one. The hash is BLAKE2b, 8 bytes, big-endian, of the target as JSON in
    ASCII, its names sorted, without white space.
    """
    digest = hashlib.blake2b(_canonical(target).encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count + 1


def resolve_shard(
    said: str | None, count: int | None, environment: Mapping[str, str]
) -> Shard | None:
    """The shard that is asked for, or None when the whole plan is.

    What is said in full wins over a number of shards, and the command line over the environment.

    Args:
        said: `--shard`, as `K/N`.
        count: `--shards`; which of them this is comes from `JOB_COMPLETION_INDEX` then.
        environment: Variables by name. Empty ones count as missing.

    Raises:
        UsageError: It is no share; says what to write.
    """
    if said is not None and count is not None:
        raise UsageError("--shard K/N says how many shards there are; leave out --shards")
    if said is not None:
        return _parsed(said, "--shard")
    if count is not None:
        return _indexed(count, "--shards", environment)
    if environment.get(SHARD_VARIABLE):
        return _parsed(environment[SHARD_VARIABLE], SHARD_VARIABLE)
    if environment.get(SHARDS_VARIABLE):
        return _indexed(_counted(environment[SHARDS_VARIABLE]), SHARDS_VARIABLE, environment)
    return None


def _parsed(text: str, origin: str) -> Shard:
    found = _WRITTEN.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{origin} is written K/N, such as 2/4 for the second of 4; not `{text}`")
    return _checked(int(found[1]), int(found[2]), origin)


def _checked(number: int, count: int, origin: str) -> Shard:
    if count < 1:
        raise UsageError(f"{origin} {number}/{count}: there must be at least 1 shard")
    if not 1 <= number <= count:
        raise UsageError(
            f"{origin} {number}/{count}: shards are numbered from 1, here 1/{count} to "
            f"{count}/{count}"
        )
    return Shard(number, count)


def _counted(text: str) -> int:
    if not _NUMBER.fullmatch(text.strip()) or not int(text):
        raise UsageError(f"{SHARDS_VARIABLE} is the number of shards, such as 4; not `{text}`")
    return int(text)


def _indexed(count: int, origin: str, environment: Mapping[str, str]) -> Shard:
    index = environment.get(COMPLETION_INDEX, "").strip()
    if not index:
        raise UsageError(
            f"{origin} says that there are {count} shards, but not which one this is: set "
            f"{COMPLETION_INDEX} (a Kubernetes Indexed Job does), or write --shard K/{count}"
        )
    if not _NUMBER.fullmatch(index) or int(index) >= count:
        raise UsageError(
            f"{COMPLETION_INDEX} is `{index}`, but with {origin} {count} it must be 0 to "
            f"{count - 1}; let `completions` of the Job be {count}"
        )
    return Shard(int(index) + 1, count)
