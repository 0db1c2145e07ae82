"""Shards: which part of a plan a process runs, and how that is selected."""

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
"""The environment variable for `--shard`."""

SHARDS_VARIABLE = "WPS_RUN_SHARDS"
"""The environment variable for `--shards`."""

COMPLETION_INDEX = "JOB_COMPLETION_INDEX"
"""The variable in which a Kubernetes Indexed Job passes each pod its index, from 0."""

_NUMBER = re.compile(r"[0-9]{1,6}")
_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_canonical_json = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a plan.

    Attributes:
        number: Its number, from 1.
        count: How many shards there are, at least `number`.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def ownership(self, action: Action) -> Callable[[Mapping[str, Any]], bool]:
        """Return the function that decides from an action's values whether the shard owns it."""
        return lambda values: shard_of(action, values, self.count) == self.number

    def limit_rate(self, options: RunOptions) -> RunOptions:
        """Return the options with this shard's part of the rate."""
        return replace(options, rate=options.rate and options.rate / self.count)


def shard_of(action: Action, values: Mapping[str, Any], count: int) -> int:
    """Return the number of the shard that owns an action with these values."""
    target = {name: values[name] for name in action.targets if name in values}
    return shard_number(target, count)


def shard_number(target: Mapping[str, Value], count: int) -> int:
    """Return the number of the shard that owns a target, from 1 to `count`.

    The result must stay the same on every machine and in every version, because another version
    may resume a run or merge its journals. The hash is BLAKE2b, 8 bytes, big-endian, of the target
    as JSON in ASCII, with sorted names, without white space.
    """
    encoded = _canonical_json(target).encode("ascii")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "big") % count + 1


def resolve_shard(
    shard: str | None, count: int | None, environment: Mapping[str, str]
) -> Shard | None:
    """Return the selected shard, or None to run the whole plan.

    The command line has precedence over the environment, and `K/N` over a number of shards.

    Args:
        shard: `--shard`, as `K/N`.
        count: `--shards`; `JOB_COMPLETION_INDEX` then selects the shard.
        environment: Variables by name. Empty ones count as missing.

    Raises:
        UsageError: The selection is not valid. The message says what to write.
    """
    if shard is not None and count is not None:
        raise UsageError("--shard K/N says how many shards there are; leave out --shards")
    if shard is not None:
        return parse_shard(shard, "--shard")
    if count is not None:
        return _indexed_shard(count, "--shards", environment)
    if environment.get(SHARD_VARIABLE):
        return parse_shard(environment[SHARD_VARIABLE], SHARD_VARIABLE)
    if environment.get(SHARDS_VARIABLE):
        count = _parse_count(environment[SHARDS_VARIABLE])
        return _indexed_shard(count, SHARDS_VARIABLE, environment)
    return None


def parse_shard(text: str, origin: str) -> Shard:
    """Return the shard that `K/N` names; `origin` is where it is written.

    Raises:
        UsageError: It is not valid.
    """
    match = _SHARD.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{origin} must be K/N, such as 2/4 for the second of 4; not `{text}`")
    number, count = int(match[1]), int(match[2])
    if count < 1:
        raise UsageError(f"{origin} {number}/{count}: there must be at least 1 shard")
    if not 1 <= number <= count:
        raise UsageError(
            f"{origin} {number}/{count}: shards are numbered from 1, here 1/{count} to "
            f"{count}/{count}"
        )
    return Shard(number, count)


def _parse_count(text: str) -> int:
    if not _NUMBER.fullmatch(text.strip()) or not int(text):
        raise UsageError(f"{SHARDS_VARIABLE} must be the number of shards, such as 4; not `{text}`")
    return int(text)


def _indexed_shard(count: int, origin: str, environment: Mapping[str, str]) -> Shard:
    index = environment.get(COMPLETION_INDEX, "").strip()
    if not index:
        raise UsageError(
            f"{origin} says that there are {count} shards, but not which one this is: set "
            f"{COMPLETION_INDEX} (a Kubernetes Indexed Job does), or write --shard K/{count}"
        )
    if not _NUMBER.fullmatch(index) or int(index) >= count:
        raise UsageError(
            f"{COMPLETION_INDEX} is `{index}`, but with {origin} {count} it must be 0 to "
            f"{count - 1}; set `completions` of the Job to {count}"
        )
    return Shard(int(index) + 1, count)
