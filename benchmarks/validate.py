"""How long `wps-run validate` takes, as a share of what check-jsonschema takes on the same files.

Run it with wps-run and check-jsonschema in one environment: `python benchmarks/validate.py`.
The two are called by turns, and the median of the ratios counts, so that a machine that is busy
now and then slows both. Exits 1 when a goal is missed.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).parent.parent
SCHEMA = PROJECT / "schemas" / "playbook.schema.json"
HEAD = "hub: chat\nactions:\n"
SMALL = f"""{HEAD}\
  - {{actionName: addUserToGroup, userId: ada, group: red}}
  - {{actionName: sendToGroup, group: red, data: Hello}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """What is checked, how often, and the largest ratio that is content."""

    name: str
    paths: Sequence[Path]
    rounds: int
    goal: float


def cases(folder: Path) -> tuple[Case, ...]:
    """Write the files of each case below a folder."""
    small = folder / "small.yaml"
    small.write_text(SMALL)
    large = folder / "large.yaml"
    written = "  - actionName: addUserToGroup\n    userId: user-{0}\n    group: group-{1}\n"
    large.write_text(HEAD + "".join(written.format(n, n % 50) for n in range(10_000)))
    many = [folder / f"many-{n}.yaml" for n in range(50)]
    for file in many:
        file.write_text(SMALL)
    return (
        Case("one small file", [small], 15, 0.45),
        Case("10,000 written actions in one file", [large], 3, 0.15),
        Case("50 files in one call", many, 9, 0.4),
    )


def seconds(module: str, words: Sequence[str | Path], environment: dict[str, str]) -> float:
    """Wall time of one call, start-up included.

    Raises:
        CalledProcessError: It found something wrong.
    """
    command = [sys.executable, "-m", module, *words]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603 -- ours
    return time.perf_counter() - began


def measure(case: Case, environment: dict[str, str]) -> float:
    """Print how a case went; the median ratio."""
    calls: dict[str, list[str | Path]] = {
        "runner": ["validate", *case.paths],
        "check_jsonschema": ["--schemafile", SCHEMA, *case.paths],
    }
    times: dict[str, list[float]] = {module: [] for module in calls}
    for round_number in range(case.rounds + 1):
        for module, words in calls.items():
            took = seconds(module, words, environment)
            if round_number:  # the first fills the caches of byte code
                times[module].append(took)
    ours, theirs = times.values()
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(
        f"{case.name:36} {statistics.median(ours) * 1000:7.0f} ms"
        f" {statistics.median(theirs) * 1000:7.0f} ms"
        f"  ratio {ratio:.3f} (goal {case.goal}), {case.rounds} rounds"
    )
    return ratio


def main() -> int:
    """Measure every case; 1 when a goal is missed."""
    names = ("wps-run", "check-jsonschema", "jsonschema", "PyYAML", "click")
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in names))
    print(f"{'':36} {'wps-run':>10} {'check-jsonschema':>10}")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "byte-code"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have theirs
        missed = [
            case.name for case in cases(Path(folder)) if measure(case, environment) > case.goal
        ]
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
