"""Compare typed actions with a playbook, and with Structs of msgspec.

`python benchmarks/library.py` prints:

- the processor time of this process from typed actions to their results, divided by that of the
  same list of actions in a YAML file, through the same `Runner` against the emulator;
- the processor time of making typed actions, divided by that of making Structs with one constraint
  each, which `msgspec.convert` checks.

Both are medians over rounds in which the two take turns. The emulator is a process of its own.
Loopback only.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from measuring import on_first_core, on_last_core
from msgspec import Meta, Struct

from wps_run import AddUserToGroup, LocalPubSub, Runner, SendToGroup
from wps_run.library.sources import Work

HUB = "chat"
USERS = 100
CONCURRENCY = 64


class ConstrainedStruct(Struct):
    """A Struct with a constraint."""

    name: Annotated[str, Meta(max_length=1024)]


def typed_actions(count: int) -> list[AddUserToGroup]:
    """Make and check typed actions."""
    return [
        AddUserToGroup(user_id=f"user{number % USERS}", group=f"group{number}")
        for number in range(count)
    ]


def playbook_of(count: int) -> str:
    """Return a playbook with the same actions."""
    lines = (
        f"- {{actionName: addUserToGroup, userId: user{number % USERS}, group: group{number}}}\n"
        for number in range(count)
    )
    return f"actions:\n{''.join(lines)}"


@contextmanager
def emulator() -> Iterator[str]:
    """Run the emulator in its own process, on the last core; yield its connection string."""
    with subprocess.Popen(  # noqa: S603 -- our own script
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=on_last_core,  # noqa: PLW1509 -- there are no threads here
    ) as child:
        try:
            if child.stdout is None:
                raise RuntimeError("the emulator has no pipe")
            yield child.stdout.readline().strip()
        finally:
            child.kill()


def serve() -> None:
    """Serve a hub with connected users until standard input ends."""
    with LocalPubSub() as service:
        for number in range(USERS):
            service.client(f"user{number}", hub=HUB)
        print(service.connection_string, flush=True)
        sys.stdin.read()


async def run_seconds(runner: Runner, work: Callable[[], Work], count: int) -> float:
    """Return the processor time of making and running actions.

    Raises:
        RuntimeError: An action is not ok.
    """
    began = time.process_time()
    results = runner.run(work(), mode="concurrent", concurrency=CONCURRENCY)
    statuses = [result.status async for result in results]
    seconds = time.process_time() - began
    if statuses != ["ok"] * count:
        raise RuntimeError(f"{count} actions should be ok: {runner.last}")
    return seconds


async def measure_runs(connection_string: str, playbook: Path, count: int, rounds: int) -> float:
    """Return the ratio of runs of typed actions to runs of a playbook with as many."""
    works: dict[str, Callable[[], Work]] = {
        "typed": lambda: typed_actions(count),
        "yaml": lambda: playbook,
    }
    ratios = []
    async with Runner.from_connection_string(connection_string, hub=HUB) as runner:
        for number in range(rounds + 1):
            seconds = {
                name: await run_seconds(runner, works[name], count)
                for name in sorted(works, reverse=bool(number % 2))
            }
            if number:  # the first round is to warm up
                ratios.append(seconds["typed"] / seconds["yaml"])
    return statistics.median(ratios)


def measure_making(count: int, rounds: int) -> float:
    """Return the ratio of making typed actions to making Structs with a constraint."""
    names = [f"name{number}" for number in range(count)]

    def seconds(make: Callable[[str], object]) -> float:
        began = time.process_time()
        made = [make(name) for name in names]
        return (time.process_time() - began) / len(made)

    def typed(name: str) -> object:
        return SendToGroup(group=name, data="hi")

    def constrained(name: str) -> object:
        return msgspec.convert({"name": name}, ConstrainedStruct)

    ratios = [seconds(typed) / seconds(constrained) for _ in range(rounds + 1)]
    return statistics.median(ratios[1:])


def main() -> None:
    """Measure and print, or run the emulator with `--serve`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--actions", type=int, default=10_000, help="actions of a run")
    parser.add_argument("--made", type=int, default=100_000, help="actions that are only made")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.serve:
        serve()
        return
    on_first_core()
    with tempfile.TemporaryDirectory() as folder, emulator() as connection_string:
        playbook = Path(folder, "playbook.yaml")
        playbook.write_text(playbook_of(args.actions), encoding="utf-8")
        runs = asyncio.run(measure_runs(connection_string, playbook, args.actions, args.rounds))
    print(runs, measure_making(args.made, args.rounds))


if __name__ == "__main__":
    main()
