"""Compare typed actions with Structs of msgspec: to make and check them, and to import them.

    python benchmarks/typed_actions.py [--actions N] [--rounds N]

A Struct has the fields of the action, and a constraint on the length of each that must be given.
`msgspec.convert` makes it from a dictionary and checks it; to call the class would not check. The
two take turns, and the median of the ratios counts, so that a busy machine slows both. Imports are
timed as whole processes. Exits with 1 if a target is missed.
"""

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated

import msgspec

from wps_run import AddUserToGroup, SendToGroup

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Message = Annotated[str, msgspec.Meta(max_length=1_048_576)]


class AddStruct(msgspec.Struct, frozen=True, kw_only=True):
    """The peer of `AddUserToGroup`."""

    user_id: Name
    group: Name


class SendStruct(msgspec.Struct, frozen=True, kw_only=True):
    """The peer of `SendToGroup`."""

    group: Name
    data: Message
    data_type: str = "text"
    excluded: tuple[str, ...] = ()
    filter: str | None = None
    message_ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Two ways to do the same.

    Attributes:
        name: What is done.
        ours: Does it, and returns the seconds that it took.
        theirs: Does it with msgspec.
        target: The highest ratio that is good enough.
    """

    name: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    target: float = 1.5

    def measure(self, rounds: int) -> float:
        """Measure in turn, after one round to warm up; print the result, and return the ratio."""
        pairs = [(self.ours(), self.theirs()) for _ in range(rounds + 1)][1:]
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        ours, theirs = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
        print(
            f"{self.name:44} {ours:8.1f} ms {theirs:8.1f} ms  ratio {ratio:.2f} "
            f"(target {self.target}), {rounds} rounds"
        )
        return ratio


def timed(make: Callable[[], object]) -> Callable[[], float]:
    """Return a function that makes objects and returns the seconds, without those to free them."""

    def measure() -> float:
        gc.collect()
        began = time.perf_counter()
        made = make()
        seconds = time.perf_counter() - began
        del made
        return seconds

    return measure


def imported(statement: str) -> Callable[[], float]:
    """Return a function that runs a statement in a new process and returns the seconds."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }

    def measure() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True, env=environment)  # noqa: S603 -- ours
        return time.perf_counter() - began

    return measure


def rows(count: int) -> tuple[Row, ...]:
    """Return what is compared, with this number of actions."""
    pairs = [(f"user-{number}", f"group-{number % 100}") for number in range(count)]
    convert = msgspec.convert
    return (
        Row(
            f"{count:,} AddUserToGroup",
            timed(lambda: [AddUserToGroup(user_id=user, group=group) for user, group in pairs]),
            timed(
                lambda: [
                    convert({"user_id": user, "group": group}, AddStruct) for user, group in pairs
                ]
            ),
        ),
        Row(
            f"{count:,} SendToGroup",
            timed(lambda: [SendToGroup(group=group, data=text) for text, group in pairs]),
            timed(
                lambda: [
                    convert({"group": group, "data": text}, SendStruct) for text, group in pairs
                ]
            ),
        ),
        Row(
            "from wps_run import SendToGroup",
            imported("from wps_run import SendToGroup"),
            imported("import msgspec"),
        ),
    )


def main() -> int:
    """Measure every row; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--actions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"msgspec {version('msgspec')}"
    )
    print(f"{'':44} {'wps-run':>11} {'msgspec':>11}")
    missed = [row.name for row in rows(options.actions) if row.measure(options.rounds) > row.target]
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
