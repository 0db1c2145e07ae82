"""Compare wps-run with bare aiohttp and the official SDK: whole processes, in turn.

`python benchmarks/compare.py` creates an environment for each client in a temporary folder, runs
all of them, and prints a table; `--write FILE` also writes it to a file. `--here` uses the current
environment for all. It needs `openssl` for the case over TLS, and uses loopback only.
"""

import argparse
import math
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from measuring import Command, ratio, rotate, sink
from sink import PAGE

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
GROUP = """\
hub: chat
groups:
  launch: {{users: {{file: {count}.csv, column: userId}}, prune: true}}
"""
SMALL = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada, group: red}\n"


@dataclass(frozen=True, slots=True)
class Pythons:
    """The interpreter of each client's environment."""

    ours: Path
    aiohttp: Path
    sdk: Path


class Bound(StrEnum):
    """Whether a target is a lower or an upper bound."""

    LEAST = "at least"
    MOST = "at most"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: what was compared with what, the figure, and its target."""

    what: str
    against: str
    measured: float
    target: float
    bound: Bound = Bound.MOST

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        if self.bound is Bound.LEAST:
            return self.measured >= self.target
        return self.measured <= self.target

    def __str__(self) -> str:
        """Return the row in Markdown."""
        outcome = "met" if self.is_met else "missed"
        return (
            f"| {self.what} | {self.against} | {self.measured:.3f} | "
            f"{self.bound} {self.target:g} | {outcome} |"
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One server, and the requests in flight.

    Attributes:
        name: Its name in the table.
        concurrency: Requests in flight; 1 is sequential.
        target: The minimum share of bare aiohttp's throughput.
        latency: Seconds before each response.
        sdk: The minimum multiple of the SDK's throughput, or None to leave the SDK out.
        tls: Whether the server uses https.
    """

    name: str
    concurrency: int
    target: float
    latency: float = 0.0
    sdk: float | None = None
    tls: bool = False


CASES = (
    Case("concurrent, C=64, server responds at once", 64, 0.95, sdk=3.8),
    Case("the same over TLS", 64, 0.85, tls=True),
    Case("sequential, server responds at once", 1, 0.97, sdk=3.2),
    Case("concurrent, C=64, server 20 ms away", 64, 0.95, latency=0.02),
    Case("concurrent, C=64, server 100 ms away", 64, 0.98, latency=0.1),
)


FAN_OUTS = {
    "JSON": "json.reliable.webpubsub.azure.v1",
    "protobuf": "protobuf.reliable.webpubsub.azure.v1",
}
"""The subprotocols of the emulator's clients in the cases of fan-out."""

FAN_OUT_ROUNDS = 7
"""The most rounds of fan-out: its clients acknowledge nothing, and the emulator keeps a limit."""


class Bench:
    """Measures in one folder.

    Args:
        folder: Where inputs, certificate and journals are.
        pythons: The environments.
        rounds: The number of times that each command is measured.
    """

    def __init__(self, folder: Path, pythons: Pythons, rounds: int) -> None:
        self._folder = folder
        self._pythons = pythons
        self._rounds = rounds

    def rows(self, count: int) -> None:
        """Write the rows: one member of a group each."""
        with (self._folder / "members.csv").open("w", encoding="utf-8") as file:
            file.write("userId,group\n")
            file.writelines(f"user{number},group{number % 100}\n" for number in range(count))

    def certificate(self) -> None:
        """Create a self-signed certificate for loopback."""
        args = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
        files = ("-keyout", "key.pem", "-out", "cert.pem", "-addext", "subjectAltName=IP:127.0.0.1")
        subprocess.run(  # noqa: S603 -- fixed arguments
            ["openssl", *args.split(), *files],  # noqa: S607 -- the system's own
            cwd=self._folder,
            check=True,
            capture_output=True,
        )

    def case(self, case: Case, actions: int) -> Iterable[Row]:
        """Measure one case."""
        self.rows(actions)
        args = ["--latency", str(case.latency)]
        if case.tls:
            args += ["--cert", str(self._folder / "cert.pem")]
            args += ["--key", str(self._folder / "key.pem")]
        runners = 2 + (case.sdk is not None) + (case == CASES[0])
        with sink((self._rounds + 1) * runners * actions, *args) as port:
            rounds = rotate(self._commands(case, port), self._rounds)
        yield Row(
            case.name, "bare aiohttp", ratio(rounds, "aiohttp", "ours"), case.target, Bound.LEAST
        )
        if case.sdk:
            yield Row(case.name, "the SDK", ratio(rounds, "sdk", "ours"), case.sdk, Bound.LEAST)
        if case == CASES[0]:
            share = ratio(rounds, "ours", "aiohttp", lambda measurement: measurement.cpu)
            yield Row("processor time per action, C=64", "bare aiohttp", share, 1.25)
            share = ratio(rounds, "ours", "no journal")
            yield Row("journal on, C=64, time", "journal off", share, 1.06)

    def processes(self, actions: int) -> Iterable[Row]:
        """Measure two processes of one run, and the same two shards as runs of their own."""
        self.rows(actions)
        with sink((self._rounds + 1) * 2 * actions) as port:
            one_run = replace(
                self._ours(64, port, "--processes", "2", "--journal", "run.journal"),
                is_pinned=False,
            )
            shards = (
                self._ours(64, port, "--shard", f"{number}/2", "--journal", f"{number}.journal")
                for number in (1, 2)
            )
            words = " & ".join(shlex.join(map(str, shard.args)) for shard in shards)
            commands = {
                name: replace(one_run, args=["sh", "-c", f"rm -f *.journal; {line}"])
                for name, line in {
                    "one run": shlex.join(map(str, one_run.args)),
                    "shards": f"{words} & wait",
                }.items()
            }
            rounds = rotate(commands, self._rounds)
        share = ratio(rounds, "one run", "shards")
        yield Row("`--processes 2`, C=64, time", "the same two shards, run by a shell", share, 1.05)

    def memory(self, few: int, many: int) -> Iterable[Row]:
        """Measure the peak memory of a short and of a long stream of rows."""
        measurements = []
        for rows in (few, many):
            self.rows(rows)
            with sink(rows) as port:
                measurements.append(self._ours(64, port).measure())
        small, large = (measurement.memory for measurement in measurements)
        yield Row(f"peak memory, {many:,} rows", f"itself at {few:,}", large / small, 1.05)
        yield Row(f"peak memory in MB, {many:,} rows", "", large * 1.048576, 48)

    def difference(self, count: int) -> Iterable[Row]:
        """Measure `diff` of a group and a file of as many users, most of whom are in both."""
        half = count // 2
        with self._difference(count, 2) as commands, self._difference(half, 1) as half_commands:
            rounds = rotate({**commands, "half": half_commands["ours"]}, self._rounds)
        what = f"`diff` of a group of {count:,} and as many rows"
        yield Row(f"{what}, time", "a loop over the SDK", ratio(rounds, "ours", "sdk"), 0.5)
        growth = ratio(rounds, "ours", "half", lambda measurement: measurement.cpu)
        yield Row(f"{what}, processor time", f"itself at {half:,}", growth, 2.1)
        memory = max(by_name["ours"].memory for by_name in rounds)
        yield Row(f"peak memory in MB, `diff` of a group of {count:,}", "", memory * 1.048576, 150)

    @contextmanager
    def _difference(self, count: int, runners: int) -> Iterator[Mapping[str, Command]]:
        """Serve a group, and yield the commands that compare it with a file of users."""
        missing = max(1, count // 200)
        (self._folder / f"{count}.yaml").write_text(GROUP.format(count=count), encoding="utf-8")
        with (self._folder / f"{count}.csv").open("w", encoding="utf-8") as file:
            file.write("userId\n")
            file.writelines(f"user{number}\n" for number in range(missing, count + missing))
        requests = math.ceil(count / PAGE) + missing
        with sink((self._rounds + 1) * runners * requests, "--members", str(count)) as port:
            origin = f"http://127.0.0.1:{port}"
            script = PEERS / "official_sdk_diff.py"
            yield {
                "ours": replace(self._wps_run(origin, "diff", f"{count}.yaml"), exit_code=1),
                "sdk": self._command([self._pythons.sdk, script, f"{count}.csv", origin, "launch"]),
            }

    def start(self) -> Iterable[Row]:
        """Measure the start-up."""
        (self._folder / "small.yaml").write_text(SMALL, encoding="utf-8")
        python = self._pythons.ours
        script = python.parent / "wps-run"
        commands: dict[str, list[str | Path]] = {
            "click": ["-c", "import click"],
            "click, yaml": ["-c", "import click, yaml"],
            "--help": [script, "--help"],
            "validate": [script, "validate", "small.yaml"],
            "msgspec": ["-c", "import msgspec"],
            "action": ["-c", "from wps_run import SendToGroup"],
        }
        rounds = rotate(
            {name: self._command([python, *args]) for name, args in commands.items()},
            self._rounds * 3,
        )
        share = ratio(rounds, "--help", "click")
        yield Row("`--help`", "`import click` alone", share, 1.15)
        share = ratio(rounds, "validate", "click, yaml")
        yield Row("`validate` of one small file", "`import click, yaml` alone", share, 1.7)
        share = ratio(rounds, "action", "msgspec")
        yield Row("`from wps_run import SendToGroup`", "`import msgspec` alone", share, 1.5)

    def fan_out(self, actions: int) -> Iterable[Row]:
        """Measure the emulator's sends to its reliable clients; few actions mean few of both."""
        clients, sends = min(1000, actions), max(1, actions // 100)
        args = ["--clients", str(clients), "--sends", str(min(100, sends))]
        args += ["--rounds", str(min(self._rounds, FAN_OUT_ROUNDS))]
        for name, protocol in FAN_OUTS.items():
            script = Path(__file__).parent / "fanout.py"
            done = subprocess.run(  # noqa: S603 -- the project's own
                [self._pythons.ours, script, "--protocol", protocol, *args],
                check=True,
                capture_output=True,
                text=True,
            )
            what = f"emulator, sends to {clients:,} reliable clients, {name}"
            yield Row(what, "bare aiohttp", float(done.stdout), 1.0, Bound.LEAST)

    def events(self, users: int, actions: int) -> Iterable[Row]:
        """Measure the answers of `listen` to events, and the memory of its users."""
        script = Path(__file__).parent / "events.py"
        args = ["--users", str(users), "--requests", str(actions), "--rounds", str(self._rounds)]
        done = subprocess.run(  # noqa: S603 -- the project's own
            [self._pythons.ours, script, *args], check=True, capture_output=True, text=True
        )
        share, memory = map(float, done.stdout.split())
        what = f"`listen`, {users:,} users"
        yield Row(f"{what}, answers to `connect`", "bare aiohttp", share, 0.8, Bound.LEAST)
        yield Row(f"{what}, peak memory in bytes per row", "", memory, 200)

    def library(self, actions: int, made: int) -> Iterable[Row]:
        """Measure typed actions: their runs, and how they are made."""
        script = Path(__file__).parent / "library.py"
        args = ["--actions", str(actions), "--made", str(made), "--rounds", str(self._rounds)]
        done = subprocess.run(  # noqa: S603 -- the project's own
            [self._pythons.ours, script, *args], check=True, capture_output=True, text=True
        )
        runs, making = map(float, done.stdout.split())
        what = "typed actions to results, processor time"
        yield Row(what, "the same actions in YAML", runs, 1.05)
        what = f"making {made:,} typed actions"
        yield Row(what, "as many msgspec Structs with a constraint", making, 1.5)

    def _commands(self, case: Case, port: int) -> Mapping[str, Command]:
        origin = f"{'https' if case.tls else 'http'}://127.0.0.1:{port}"
        args = ["members.csv", origin, str(case.concurrency)]
        bundle = ["cert.pem"] if case.tls else []
        commands = {
            "ours": self._ours(case.concurrency, port, tls=case.tls),
            "aiohttp": self._command(
                [self._pythons.aiohttp, PEERS / "bare_aiohttp.py", *args, *bundle]
            ),
        }
        if case.sdk:
            commands["sdk"] = self._command([self._pythons.sdk, PEERS / "official_sdk.py", *args])
        if case == CASES[0]:
            ours = commands["ours"]
            commands["no journal"] = replace(ours, args=[*ours.args, "--no-journal"])
        return commands

    def _ours(self, concurrency: int, port: int, *more: str, tls: bool = False) -> Command:
        mode = "sequential" if concurrency == 1 else "concurrent"
        text = PLAYBOOK.format(mode=mode, concurrency=concurrency)
        (self._folder / "playbook.yaml").write_text(text, encoding="utf-8")
        args = ["run", "playbook.yaml", "--output", "ndjson", *more]
        if tls:
            args += ["--ca-bundle", "cert.pem"]
        return self._wps_run(f"{'https' if tls else 'http'}://127.0.0.1:{port}", *args)

    def _wps_run(self, origin: str, *args: str) -> Command:
        settings = {"WebPubSubConnectionString": f"Endpoint={origin};AccessKey={KEY};"}
        return self._command([self._pythons.ours, "-m", "wps_run", *args], settings)

    def _command(
        self, args: Sequence[str | Path], settings: Mapping[str, str] | None = None
    ) -> Command:
        state = {"XDG_STATE_HOME": str(self._folder), "HOME": str(self._folder)}
        return Command(args, {"ACCESS_KEY": KEY, **state, **(settings or {})}, self._folder)


def environments(folder: Path) -> Pythons:
    """Create an environment for each client and one for this project."""
    pythons = []
    packages = (
        [str(PROJECT)],
        ["aiohttp", "PyJWT"],
        [SDK, "aiohttp"],
    )
    for name, requirements in zip(("ours", "aiohttp", "sdk"), packages, strict=True):
        venv.create(folder / name, with_pip=True)
        python = folder / name / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)  # noqa: S603
        pythons.append(python)
    return Pythons(*pythons)


def versions(python: Path, packages: Sequence[str]) -> str:
    """Return the versions of some packages in an environment."""
    code = "import sys; from importlib.metadata import version as v; print(*map(v, sys.argv[1:]))"
    done = subprocess.run(  # noqa: S603 -- fixed arguments
        [python, "-c", code, *packages], check=True, capture_output=True, text=True
    )
    pairs = zip(packages, done.stdout.split(), strict=True)
    return ", ".join(f"{name} {version}" for name, version in pairs)


def heading(pythons: Pythons, actions: int, rounds: int) -> str:
    """Return the time, machine and versions of the measurement, and the header of the table."""
    packages = ("wps-run", "aiohttp", "PyJWT", "yarl", "click", "PyYAML", "jsonschema")
    sdk = versions(pythons.sdk, ["azure-messaging-webpubsubservice", "azure-core"])
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {platform.platform()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; {versions(pythons.ours, packages)}; {sdk}.\n"
        f"{actions:,} actions, results as ndjson and journal on, whole processes, medians of "
        f"{rounds} ratios. A share of throughput is the other client's time divided by ours.\n\n"
        "| what | against | measured | target | |\n|---|---|---|---|---|\n"
    )


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=10_000, help="actions in a run")
    parser.add_argument("--rounds", type=int, default=7, help="rounds after the first one")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows streamed for the memory")
    parser.add_argument("--members", type=int, default=100_000, help="connections in the group")
    parser.add_argument(
        "--here", action="store_true", help="use the current environment for all clients"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table to this file")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        here = Path(sys.executable)
        pythons = Pythons(here, here, here) if args.here else environments(folder)
        bench = Bench(folder, pythons, args.rounds)
        bench.certificate()
        table = heading(pythons, args.actions, args.rounds)
        print(table, end="")
        for row in measure_rows(bench, args.actions, args.rows, args.members):
            print(row, flush=True)
            table += f"{row}\n"
    if args.write:
        args.write.write_text(table, encoding="utf-8")


def measure_rows(bench: Bench, actions: int, rows: int, members: int) -> Iterable[Row]:
    """Yield the rows of the table as they are measured."""
    for case in CASES:
        yield from bench.case(case, actions)
    yield from bench.processes(actions)
    yield from bench.fan_out(actions)
    yield from bench.memory(actions, rows)
    yield from bench.difference(members)
    yield from bench.events(rows, actions)
    yield from bench.library(actions, members)
    yield from bench.start()


if __name__ == "__main__":
    main()
