"""Compare the time of `wps-run validate` with that of check-jsonschema on the same files.

Run it with wps-run and check-jsonschema in one environment: `python benchmarks/validate.py`.
The two run in turn, and the median of the ratios counts, so that a busy machine slows both.
Exits with 1 if a target is missed.
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
    """The files to check, the number of rounds, and the highest ratio that meets the target."""

    name: str
    paths: Sequence[Path]
    rounds: int
    target: float


def cases(folder: Path) -> tuple[Case, ...]:
    """Write the files of each case below a folder."""
    small = folder / "small.yaml"
    small.write_text(SMALL)
    large = folder / "large.yaml"
    template = "  - actionName: addUserToGroup\n    userId: user-{0}\n    group: group-{1}\n"
    large.write_text(HEAD + "".join(template.format(n, n % 50) for n in range(10_000)))
    many = [folder / f"many-{n}.yaml" for n in range(50)]
    for file in many:
        file.write_text(SMALL)
    return (
        Case("one small file", [small], 15, 0.45),
        Case("10,000 actions in one file", [large], 3, 0.15),
        Case("50 files in one call", many, 9, 0.4),
    )


def seconds(module: str, args: Sequence[str | Path], environment: dict[str, str]) -> float:
    """Return the wall time of one call, start-up included.

    Raises:
        CalledProcessError: The call failed.
    """
    command = [sys.executable, "-m", module, *args]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603 -- ours
    return time.perf_counter() - began


def measure(case: Case, environment: dict[str, str]) -> float:
    """Measure and print a case; return the median ratio."""
    calls: dict[str, list[str | Path]] = {
        "wps_run": ["validate", *case.paths],
        "check_jsonschema": ["--schemafile", SCHEMA, *case.paths],
    }
    times: dict[str, list[float]] = {module: [] for module in calls}
    for round_number in range(case.rounds + 1):
        for module, args in calls.items():
            took = seconds(module, args, environment)
            if round_number:  # the first fills the caches of byte code
                times[module].append(took)
    ours, theirs = times.values()
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(
        f"{case.name:36} {statistics.median(ours) * 1000:7.0f} ms"
        f" {statistics.median(theirs) * 1000:7.0f} ms"
        f"  ratio {ratio:.3f} (target {case.target}), {case.rounds} rounds"
    )
    return ratio


def main() -> int:
    """Measure every case; return 1 if a target is missed."""
    names = ("wps-run", "check-jsonschema", "jsonschema", "PyYAML", "click")
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in names))
    print(f"{'':36} {'wps-run':>10} {'check-jsonschema':>10}")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "byte-code"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have theirs
        missed = [
            case.name for case in cases(Path(folder)) if measure(case, environment) > case.target
        ]
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
