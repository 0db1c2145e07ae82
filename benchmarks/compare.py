"""wps-run beside bare aiohttp and the official SDK: whole processes, in one rotation.

`python benchmarks/compare.py` makes an environment for each peer below a temporary folder, runs
everything, and prints a table; `--write FILE` keeps it. `--here` uses the present environment
for all of them instead. It needs `openssl` for the case over TLS, and uses loopback only.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from measuring import Command, ratio, rotate, sink

PROJECT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
KEY = "a-key-for-benchmarks-on-loopback-only"
SDK = "azure-messaging-webpubsubservice==1.3.0"
PLAYBOOK = """\
hub: chat
mode: {mode}
concurrency: {concurrency}
actions:
  - forEach: {{file: members.csv}}
    actionName: addUserToGroup
    userId: ${{each.userId}}
    group: ${{each.group}}
"""
SMALL = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada, group: red}\n"


@dataclass(frozen=True, slots=True)
class Pythons:
    """The interpreter of each peer's environment."""

    ours: Path
    aiohttp: Path
    sdk: Path


class Bound(StrEnum):
    """Which side of the wanted figure is the good one."""

    LEAST = "at least"
    MOST = "at most"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what was measured against what, and whether it is as wanted."""

    what: str
    against: str
    found: float
    wanted: float
    bound: Bound = Bound.MOST

    @property
    def met(self) -> bool:
        """Whether it is as wanted."""
        over = self.found >= self.wanted
        return over if self.bound is Bound.LEAST else self.found <= self.wanted

    def __str__(self) -> str:
        """The line in Markdown."""
        verdict = "met" if self.met else "missed"
        return (
            f"| {self.what} | {self.against} | {self.found:.3f} | "
            f"{self.bound} {self.wanted:g} | {verdict} |"
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One server, and the requests in flight.

    Attributes:
        name: How the table calls it.
        concurrency: Requests in flight; 1 is sequential.
        wanted: The least share of bare aiohttp's throughput.
        latency: Seconds before each answer.
        sdk: The least multiple of the SDK's throughput, or None to leave the SDK out.
        tls: Whether it is https.
    """

    name: str
    concurrency: int
    wanted: float
    latency: float = 0.0
    sdk: float | None = None
    tls: bool = False


CASES = (
    Case("concurrent, C=64, server at once ready", 64, 0.85, sdk=3.3),
    Case("the same over TLS", 64, 0.85, tls=True),
    Case("sequential, server at once ready", 1, 0.95, sdk=3.2),
    Case("concurrent, C=64, server 20 ms away", 64, 0.95, latency=0.02),
    Case("concurrent, C=64, server 100 ms away", 64, 0.98, latency=0.1),
)


class Bench:
    """A folder to measure in.

    Args:
        folder: Where inputs, certificate and journals are.
        pythons: The environments.
        rounds: How often each command is measured.
    """

    def __init__(self, folder: Path, pythons: Pythons, rounds: int) -> None:
        self._folder = folder
        self._pythons = pythons
        self._rounds = rounds

    def rows(self, count: int) -> None:
        """Write the members who are added."""
        with (self._folder / "members.csv").open("w", encoding="utf-8") as file:
            file.write("userId,group\n")
            file.writelines(f"user{number},group{number % 100}\n" for number in range(count))

    def certificate(self) -> None:
        """Make a certificate for loopback, which signs itself."""
        words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
        files = ("-keyout", "key.pem", "-out", "cert.pem", "-addext", "subjectAltName=IP:127.0.0.1")
        subprocess.run(  # noqa: S603 -- fixed words
            ["openssl", *words.split(), *files],  # noqa: S607 -- the system's own
            cwd=self._folder,
            check=True,
            capture_output=True,
        )

    def case(self, case: Case, actions: int) -> Iterable[Line]:
        """Measure one case."""
        self.rows(actions)
        words = ["--latency", str(case.latency)]
        if case.tls:
            words += ["--cert", str(self._folder / "cert.pem")]
            words += ["--key", str(self._folder / "key.pem")]
        runners = 2 + (case.sdk is not None) + (case == CASES[0])
        with sink((self._rounds + 1) * runners * actions, *words) as port:
            found = rotate(self._commands(case, port), self._rounds)
        yield Line(
            case.name, "bare aiohttp", ratio(found, "aiohttp", "ours"), case.wanted, Bound.LEAST
        )
        if case.sdk:
            yield Line(case.name, "the SDK", ratio(found, "sdk", "ours"), case.sdk, Bound.LEAST)
        if case == CASES[0]:
            share = ratio(found, "ours", "aiohttp", lambda one: one.cpu)
            yield Line("processor time an action, C=64", "bare aiohttp", share, 1.25)
            share = ratio(found, "ours", "unkept")
            yield Line("journal on, C=64, time", "journal off", share, 1.06)

    def memory(self, few: int, many: int) -> Iterable[Line]:
        """Measure what a long stream of rows takes at most."""
        measured = []
        for rows in (few, many):
            self.rows(rows)
            with sink(rows) as port:
                measured.append(self._ours(64, port).measure())
        small, large = (one.memory for one in measured)
        yield Line(f"peak memory, {many:,} rows", f"itself at {few:,}", large / small, 1.05)
        yield Line(f"peak memory in MB, {many:,} rows", "", large * 1.048576, 60)

    def start(self) -> Iterable[Line]:
        """Measure what it takes to start."""
        (self._folder / "small.yaml").write_text(SMALL, encoding="utf-8")
        python = self._pythons.ours
        script = python.parent / "wps-run"
        commands: dict[str, list[str | Path]] = {
            "pass": ["-c", "pass"],
            "--help": [script, "--help"],
            "validate": [script, "validate", "small.yaml"],
        }
        found = rotate(
            {name: self._command([python, *words]) for name, words in commands.items()},
            self._rounds * 3,
        )
        yield Line("`--help`", "`python -c pass`", ratio(found, "--help", "pass"), 4.5)
        share = ratio(found, "validate", "pass")
        yield Line("`validate` of one small file", "`python -c pass`", share, 11)

    def _commands(self, case: Case, port: int) -> Mapping[str, Command]:
        origin = f"{'https' if case.tls else 'http'}://127.0.0.1:{port}"
        given = ["members.csv", origin, str(case.concurrency)]
        bundle = ["cert.pem"] if case.tls else []
        commands = {
            "ours": self._ours(case.concurrency, port, tls=case.tls),
            "aiohttp": self._command(
                [self._pythons.aiohttp, PEERS / "bare_aiohttp.py", *given, *bundle]
            ),
        }
        if case.sdk:
            commands["sdk"] = self._command([self._pythons.sdk, PEERS / "official_sdk.py", *given])
        if case == CASES[0]:
            kept = commands["ours"]
            commands["unkept"] = replace(kept, words=[*kept.words, "--no-journal"])
        return commands

    def _ours(self, concurrency: int, port: int, *, tls: bool = False) -> Command:
        mode = "sequential" if concurrency == 1 else "concurrent"
        text = PLAYBOOK.format(mode=mode, concurrency=concurrency)
        (self._folder / "playbook.yaml").write_text(text, encoding="utf-8")
        words: list[str | Path] = [self._pythons.ours, "-m", "wps_run", "run", "playbook.yaml"]
        words += ["--output", "ndjson"]
        if tls:
            words += ["--ca-bundle", "cert.pem"]
        origin = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        settings = {"WebPubSubConnectionString": f"Endpoint={origin};AccessKey={KEY};"}
        return self._command(words, settings)

    def _command(
        self, words: Sequence[str | Path], settings: Mapping[str, str] | None = None
    ) -> Command:
        state = {"XDG_STATE_HOME": str(self._folder), "HOME": str(self._folder)}
        return Command(words, {"ACCESS_KEY": KEY, **state, **(settings or {})}, self._folder)


def environments(folder: Path) -> Pythons:
    """An environment for each peer, from the package registry, and one for this project."""
    made = []
    packages = (
        [str(PROJECT)],
        ["aiohttp", "PyJWT"],
        [SDK, "aiohttp"],
    )
    for name, wanted in zip(("ours", "aiohttp", "sdk"), packages, strict=True):
        venv.create(folder / name, with_pip=True)
        python = folder / name / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)  # noqa: S603
        made.append(python)
    return Pythons(*made)


def versions(python: Path, packages: Sequence[str]) -> str:
    """The versions that an environment has of some packages."""
    code = "import sys; from importlib.metadata import version as v; print(*map(v, sys.argv[1:]))"
    done = subprocess.run(  # noqa: S603 -- fixed words
        [python, "-c", code, *packages], check=True, capture_output=True, text=True
    )
    found = zip(packages, done.stdout.split(), strict=True)
    return ", ".join(f"{name} {number}" for name, number in found)


def heading(pythons: Pythons, actions: int, rounds: int) -> str:
    """When, where and with what it was measured."""
    packages = ("wps-run", "aiohttp", "PyJWT", "yarl", "click", "PyYAML", "jsonschema")
    sdk = versions(pythons.sdk, ["azure-messaging-webpubsubservice", "azure-core"])
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {platform.platform()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; {versions(pythons.ours, packages)}; {sdk}.\n"
        f"{actions:,} actions, results as ndjson and journal on, whole processes, medians of "
        f"{rounds} ratios. A share of throughput is the peer's time over ours.\n\n"
        "| what | against | found | wanted | |\n|---|---|---|---|---|\n"
    )


def main() -> None:
    """Measure all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=10_000, help="actions in a run")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows streamed for the memory")
    parser.add_argument("--here", action="store_true", help="measure the present environment only")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the table in this file")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        here = Path(sys.executable)
        pythons = Pythons(here, here, here) if given.here else environments(folder)
        bench = Bench(folder, pythons, given.rounds)
        bench.certificate()
        table = heading(pythons, given.actions, given.rounds)
        print(table, end="")
        for line in lines(bench, given.actions, given.rows):
            print(line, flush=True)
            table += f"{line}\n"
    if given.write:
        given.write.write_text(table, encoding="utf-8")


def lines(bench: Bench, actions: int, rows: int) -> Iterable[Line]:
    """The lines of the table, as they are measured."""
    for case in CASES:
        yield from bench.case(case, actions)
    yield from bench.memory(actions, rows)
    yield from bench.start()


if __name__ == "__main__":
    main()
