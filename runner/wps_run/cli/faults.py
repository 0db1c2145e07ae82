"""The options that ask for trouble: faults on demand, and who is not there."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from wps_run.playbook.options import parse_duration
from wps_run.problems import UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def fault_options(command: Decorated) -> Decorated:
    """`--fault` and `--fault-seed`."""
    command = click.option(
        "--fault-seed",
        type=click.IntRange(min=0),
        metavar="N",
        help="Strike the same requests again where a fault has a share.  [default: a new one, "
        "which is told]",
    )(command)
    return click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="SPEC",
        help="Make the embedded service misbehave, as in 429,retry-after=2,count=3 or "
        "503,after,share=10%,on=SendToGroup. Repeatable; `wps-run serve --help` has the words.",
    )(command)


class Absence(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no generics
    """`NAME`, who never comes, or `NAME=DURATION`, who comes so long after the start."""

    name = "name[=duration]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float | None]:
        """The name, and when it comes. A name may hold `=` where no duration follows."""
        del param, ctx
        name, _, late = value.rpartition("=")
        try:
            return (name, parse_duration(late)) if name else (value, None)
        except ValueError:
            return value, None


def rehearsal_options(command: Decorated) -> Decorated:
    """`--absent`, `--fault` and `--fault-seed`, as a rehearsal has them."""
    command = click.option(
        "--absent",
        type=Absence(),
        multiple=True,
        metavar="NAME[=DURATION]",
        help="With --local: this user or connection is not there, as `onMissing` would find it; "
        "with a duration, it comes so long after the start. Repeatable.",
    )(command)
    return fault_options(command)


def trouble_in(
    faults: Sequence[str],
    fault_seed: int | None,
    absent: Sequence[tuple[str, float | None]],
    *,
    local: bool,
) -> dict[str, Any]:
    """What `api.rehearsal` takes of these options.

    Raises:
        UsageError: They were given for a run that is no rehearsal.
    """
    given = {"--fault": faults, "--fault-seed": fault_seed is not None, "--absent": absent}
    wrong = [option for option, value in given.items() if value and not local]
    if wrong:
        raise UsageError(f"{wrong[0]} is for rehearsals; add --local")
    return {"faults": faults, "fault_seed": fault_seed, "absent": dict(absent)}
