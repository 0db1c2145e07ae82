"""Measure whole processes: seconds, processor time and memory, as the kernel counts them."""

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
"""Bytes of the unit in which the kernel reports the largest resident set."""

SINK = Path(__file__).with_name("sink.py")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One process: seconds from start to end, processor seconds, and peak MiB."""

    seconds: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True)
class Command:
    """A command to measure.

    Attributes:
        args: Its arguments.
        settings: Further environment variables.
        folder: The working folder.
        exit_code: The exit code that it must have.
        is_pinned: Whether it runs on the first core only, if there are several.
    """

    args: Sequence[str | Path]
    settings: Mapping[str, str]
    folder: Path
    exit_code: int = 0
    is_pinned: bool = True

    def measure(self) -> Measurement:
        """Run it once.

        Raises:
            subprocess.CalledProcessError: The command ended with another exit code.
        """
        started = time.perf_counter()
        child = subprocess.Popen(  # noqa: S603 -- our own command
            self.args,
            cwd=self.folder,
            env={**os.environ, **self.settings},
            stdout=subprocess.DEVNULL,
            preexec_fn=on_first_core if self.is_pinned else None,  # noqa: PLW1509 -- no threads
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != self.exit_code:
            raise subprocess.CalledProcessError(child.returncode, child.args)
        seconds = time.perf_counter() - started
        memory = usage.ru_maxrss * _UNIT / 1024 / 1024
        return Measurement(seconds, usage.ru_utime + usage.ru_stime, memory)


def rotate(commands: Mapping[str, Command], rounds: int) -> list[dict[str, Measurement]]:
    """Measure commands in turn, each round with another first, after one round to warm up."""
    names = list(commands)
    measurements = []
    for number in range(rounds + 1):
        order = names[number % len(names) :] + names[: number % len(names)]
        by_name = {name: commands[name].measure() for name in order}
        if number:
            measurements.append(by_name)
    return measurements


def ratio(
    rounds: Sequence[Mapping[str, Measurement]],
    over: str,
    under: str,
    figure: Callable[[Measurement], float] = lambda measurement: measurement.seconds,
) -> float:
    """Return the median, over all rounds, of one command's figure divided by another's."""
    return statistics.median(figure(by_name[over]) / figure(by_name[under]) for by_name in rounds)


@contextmanager
def sink(expected: int, *args: str) -> Iterator[int]:
    """Run the server in its own process, on the last core if there are several; yield its port.

    Raises:
        RuntimeError: It received another number of requests, so a client did not do its work.
    """
    process = subprocess.Popen(  # noqa: S603 -- our own script
        [sys.executable, SINK, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=on_last_core,  # noqa: PLW1509 -- there are no threads here
    )
    with process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("the server has no pipes")
        yield int(process.stdout.readline())
        process.stdin.close()
        received = int(process.stdout.read())
    if received != expected:
        raise RuntimeError(f"{expected} requests expected, {received} received")


def on_first_core() -> None:
    """Keep this process on the first core, if there are several."""
    _pin(first=True)


def on_last_core() -> None:
    """Keep this process on the last core, if there are several."""
    _pin(first=False)


def _pin(*, first: bool) -> None:
    """Keep client and server on different cores, if the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[0] if first else cores[-1]})
