"""Options that inject faults into the emulator, and those that make users absent."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from wps_run.playbook.options import parse_duration
from wps_run.problems import UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def fault_options(command: Decorated) -> Decorated:
    """Add `--fault` and `--fault-seed`."""
    command = click.option(
        "--fault-seed",
        type=click.IntRange(min=0),
        metavar="N",
        help="Select the same requests again for faults with a share.",
        show_default="a new seed, which is shown",
    )(command)
    return click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="SPEC",
        help="Inject a fault into the emulator, such as 429,retry-after=2,count=3 or "
        "503,after,share=10%,on=SendToGroup. Repeatable; see `wps-run serve --help`.",
    )(command)


def _parse_absences(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, float | None], ...]:
    """Split `NAME` or `NAME=DURATION`; a name may contain `=` if no duration follows."""
    absences: list[tuple[str, float | None]] = []
    for value in values:
        name, _equals, duration = value.rpartition("=")
        try:
            absences.append((name, parse_duration(duration)) if name else (value, None))
        except ValueError:
            absences.append((value, None))
    return tuple(absences)


def rehearsal_options(command: Decorated) -> Decorated:
    """Add `--absent`, `--fault` and `--fault-seed`."""
    command = click.option(
        "--absent",
        callback=_parse_absences,
        multiple=True,
        metavar="NAME[=DURATION]",
        help="With --local: do not connect this user or connection, so that `onMissing` applies; "
        "with a duration, connect it that long after the start. Repeatable.",
    )(command)
    return fault_options(command)


def rehearsal_arguments(
    faults: Sequence[str],
    fault_seed: int | None,
    absent: Sequence[tuple[str, float | None]],
    *,
    local: bool,
) -> dict[str, Any]:
    """Return the values of these options as arguments of `running.rehearsal`.

    Raises:
        UsageError: They are given without `--local`.
    """
    options = {"--fault": faults, "--fault-seed": fault_seed is not None, "--absent": absent}
    given = [flag for flag, value in options.items() if value]
    if given and not local:
        raise UsageError(f"{given[0]} is for rehearsals; add --local")
    return {"faults": faults, "fault_seed": fault_seed, "absent": dict(absent)}
