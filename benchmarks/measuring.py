"""Whole processes measured: seconds, processor time and memory, as the kernel accounts them."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of the unit in which the kernel tells the largest resident set."""

SINK = Path(__file__).with_name("sink.py")


@dataclass(frozen=True, slots=True)
class Measured:
    """One process: seconds from start to end, its processor seconds, and its MiB at most."""

    seconds: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True)
class Command:
    """What is measured: words, settings besides the environment's, and the folder."""

    words: Sequence[str | Path]
    settings: Mapping[str, str]
    folder: Path

    def measure(self) -> Measured:
        """Run it once, on the first core where there are more.

        Raises:
            subprocess.CalledProcessError: It did not succeed.
        """
        began = time.perf_counter()
        child = subprocess.Popen(  # noqa: S603 -- our own command
            self.words,
            cwd=self.folder,
            env={**os.environ, **self.settings},
            stdout=subprocess.DEVNULL,
            preexec_fn=_on_first_core,  # noqa: PLW1509 -- there are no threads here
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, child.args)
        seconds = time.perf_counter() - began
        memory = usage.ru_maxrss * _UNIT / 1024 / 1024
        return Measured(seconds, usage.ru_utime + usage.ru_stime, memory)


def rotate(commands: Mapping[str, Command], rounds: int) -> list[dict[str, Measured]]:
    """Measure commands by turns, another one first each round, after one round to warm up."""
    names = list(commands)
    found = []
    for number in range(rounds + 1):
        turn = names[number % len(names) :] + names[: number % len(names)]
        measured = {name: commands[name].measure() for name in turn}
        if number:
            found.append(measured)
    return found


def ratio(
    rounds: Sequence[Mapping[str, Measured]],
    over: str,
    under: str,
    figure: Callable[[Measured], float] = lambda measured: measured.seconds,
) -> float:
    """The median, round by round, of one command's figure over another's."""
    return statistics.median(figure(one[over]) / figure(one[under]) for one in rounds)


@contextmanager
def sink(expected: int, *words: str) -> Iterator[int]:
    """The server in a process of its own, on the last core where there are more; gives its port.

    Raises:
        RuntimeError: It was not asked as often as expected, so somebody did not do their work.
    """
    process = subprocess.Popen(  # noqa: S603 -- our own script
        [sys.executable, SINK, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_on_last_core,  # noqa: PLW1509 -- there are no threads here
    )
    with process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("the server has no pipes")
        yield int(process.stdout.readline())
        process.stdin.close()
        answered = int(process.stdout.read())
    if answered != expected:
        raise RuntimeError(f"{expected} requests were due, {answered} came")


def _on_first_core() -> None:
    _pin(first=True)


def _on_last_core() -> None:
    _pin(first=False)


def _pin(*, first: bool) -> None:
    """Keep client and server off each other's core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[0] if first else cores[-1]})
