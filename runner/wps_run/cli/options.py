"""The options that several commands share, and what they are turned into."""

import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

from wps_run import planning
from wps_run.document.loader import decode
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.playbook.options import Delivery, Mode, OnError, seconds
from wps_run.playbook.shards import SHARD_VARIABLE, SHARDS_VARIABLE, resolve_shard
from wps_run.problems import PlaybookError, Problem, UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

STDIN = "-"
STDIN_NAME = "<stdin>"


class Duration(click.ParamType[float]):
    """A duration: `250ms`, `10s`, `2m`, or a number of seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds, or the usual error of click."""
        try:
            duration = seconds(float(value) if value.replace(".", "", 1).isdigit() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if duration <= 0:
            self.fail("a duration must be longer than 0", param, ctx)
        return duration


class Rate(click.FloatRange):
    """A number of actions a second; neither infinite nor no number."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or the usual error of click."""
        rate = float(super().convert(value, param, ctx))
        if not math.isfinite(rate):
            self.fail(f"{value} is no number of actions a second", param, ctx)
        return rate


class Assignment(click.ParamType[tuple[str, str]]):
    """`name=value`."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Name and value; the value may be empty and may hold `=`."""
        name, equals, text = value.partition("=")
        if not equals or not name:
            self.fail("write it as name=value", param, ctx)
        return name, text


def variable_options(command: Decorated) -> Decorated:
    """`--var` and `--vars-file`."""
    command = click.option(
        "--vars-file",
        "vars_files",
        multiple=True,
        metavar="FILE",
        help="Read variables from a YAML or JSON file; later files win.",
    )(command)
    return click.option(
        "--var",
        "assignments",
        type=Assignment(),
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a variable for ${NAME}. Wins over --vars-file and the playbook's `vars`.",
    )(command)


def run_options(command: Decorated) -> Decorated:
    """What may be said of a run on the command line; each wins over the playbook."""
    options = (
        click.option("--hub", metavar="NAME", help="The hub. Overrides `hub:` in the playbook."),
        click.option(
            "--mode",
            type=click.Choice([str(mode) for mode in Mode]),
            help="One at a time, or overlapping where actions commute. Overrides `mode:`.",
        ),
        click.option(
            "--concurrency",
            type=click.IntRange(1, 1000),
            metavar="N",
            help="Most requests in flight at once when concurrent. Overrides `concurrency:`.  "
            "[default: 16; 1 to 1000]",
        ),
        click.option(
            "--on-error",
            "on_error",
            type=click.Choice([str(rule) for rule in OnError]),
            help="Whether a failure ends the run. Overrides `onError:`.  [default: stop]",
        ),
        click.option(
            "--delivery",
            type=click.Choice([str(delivery) for delivery in Delivery]),
            help="Whether a send with an unknown outcome is sent again. Overrides `delivery:`.  "
            "[default: atMostOnce]",
        ),
        click.option(
            "--rate",
            type=Rate(min=0, min_open=True),
            metavar="N",
            help="Start at most N actions a second, retries included. Overrides `rate:`.  "
            "[default: no limit; more than 0]",
        ),
        click.option(
            "--timeout",
            type=Duration(),
            metavar="TIME",
            help="How long one attempt may take: 250ms, 10s, 2m. Overrides `timeout:`.  "
            "[default: 30s]",
        ),
        click.option(
            "--attempts",
            type=click.IntRange(1, 100),
            metavar="N",
            help="Most attempts of one action, the first included. Overrides `retry:`.  "
            "[default: 4; 1 to 100]",
        ),
        click.option(
            "--shard",
            metavar="K/N",
            help="Carry out only share K of N, chosen by each action's target; all actions must "
            f"commute. The rate is divided by N.  [env var: {SHARD_VARIABLE}]",
        ),
        click.option(
            "--shards",
            type=click.IntRange(1, 999_999),
            metavar="N",
            help="The same, with K from JOB_COMPLETION_INDEX, which a Kubernetes Indexed Job "
            f"sets.  [env var: {SHARDS_VARIABLE}]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return variable_options(command)


def variables(assignments: Iterable[tuple[str, str]], vars_files: Iterable[str]) -> dict[str, str]:
    """The variables of the command line, the strongest last."""
    merged: dict[str, str] = {}
    for file in vars_files:
        merged.update(planning.load_variables(file))
    merged.update(assignments)
    return merged


def given(
    settings: str | None = None, connection: str | None = None, **said: Any
) -> planning.RunOverrides:
    """What the command line adds to the playbooks.

    Args:
        settings: A Functions `local.settings.json`, or None.
        connection: The name of the setting that holds the connection string, or None.
        **said: The options of `run_options`, by name.
    """
    keys = {"on_error": "onError"}
    plain = ("mode", "concurrency", "on_error", "delivery", "rate", "timeout")
    options = {keys.get(name, name): said[name] for name in plain if said[name] is not None}
    if said["attempts"] is not None:
        options["retry"] = {"attempts": said["attempts"]}
    return planning.RunOverrides(
        options=options,
        variables=variables(said["assignments"], said["vars_files"]),
        environment=environment(settings),
        hub=said["hub"],
        connection=connection,
        shard=resolve_shard(said["shard"], said["shards"], os.environ),
    )


def say_if_empty(plans: Sequence[planning.Plan]) -> None:
    """Say on stderr that a shard has nothing to do, which is no fault."""
    shard = next((one.shard for one in plans), None)
    if shard and not any(one.total for one in plans):
        whole = sum(one.whole for one in plans)
        actions = "action" if whole == 1 else "actions"
        told = f"shard {shard} is empty (the plan has {whole} {actions}); nothing to do"
        click.echo(f"wps-run: {told}", err=True)


def environment(settings: str | None) -> Mapping[str, str]:
    """Settings by name: the environment, and behind it a Functions `local.settings.json`.

    Raises:
        UsageError: The file cannot be read.
        SettingsError: It is no such file.
    """
    if settings is None:
        return dict(os.environ)
    from wps_run.connect.settings import settings_from_json  # noqa: PLC0415 -- only a run needs it

    text = decode(planning.read_file(settings), settings)
    return {**settings_from_json(text, settings), **os.environ}


def read(path: str) -> Playbook:
    """Read one playbook; `-` is standard input. Its problems are not judged yet.

    Raises:
        UsageError: It cannot be read.
        PlaybookError: It is not YAML at all.
    """
    if path == STDIN:
        if sys.stdin is None:
            raise UsageError("standard input is closed")
        return read_playbook(decode(sys.stdin.buffer.read(), STDIN_NAME), STDIN_NAME)
    return read_playbook(decode(planning.read_file(path), path), path)


def read_all(paths: Iterable[str]) -> list[Playbook]:
    """Read the playbooks of one run. Their problems are not judged yet; `planning.plan` does that.

    Raises:
        UsageError: One cannot be read, or none is named.
        PlaybookError: Some are not YAML at all; holds every problem of every file.
    """
    paths = list(paths)
    if not paths:
        raise UsageError("name a playbook, or `-` for standard input")
    if paths.count(STDIN) > 1:
        raise UsageError("standard input can be read only once")
    playbooks: list[Playbook] = []
    unread: list[Problem] = []
    for path in paths:
        try:
            playbooks.append(read(path))
        except PlaybookError as error:
            unread += error.problems
    if unread:
        raise PlaybookError([*unread, *(found for one in playbooks for found in one.problems)])
    return playbooks
