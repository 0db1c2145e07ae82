"""The file of an approved plan: `plan --out` writes it, `run --plan` runs nothing else."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from wps_run.approval import (
    ApprovedPlan,
    PlanHeader,
    PlanWriter,
    is_plan,
    parts_of,
    relative_to_plan,
)
from wps_run.checking import STDIN, STDIN_NAME
from wps_run.cli.journals import (
    STDIN_PLACEHOLDER,
    near,
    path_word,
    require_stdin,
    reused_overrides,
    variable_words,
    with_playbooks,
    words_of,
)
from wps_run.cli.options import VARIABLES, map_files, option_names
from wps_run.cli.service import ServiceAccess
from wps_run.cli.terminal import shell_line, show_message
from wps_run.journal.format import KeptOptions, format_moment
from wps_run.journaling import groups_read, playbook_paths
from wps_run.planning import Plan, RunOverrides
from wps_run.playbook.shards import Shard, resolve_shard
from wps_run.problems import SettingsError, UsageError
from wps_run.report_files import replaced_file
from wps_run.text import Label


@contextmanager
def open_plan_file(
    path: str,
    plans: Sequence[Plan],
    kept: KeptOptions,
    access: ServiceAccess,
    command: click.Command,
    *,
    live: bool,
) -> Iterator[PlanWriter]:
    """Open the file of a plan, which replaces an earlier one when all steps are in it.

    Args:
        path: The file.
        plans: The plans.
        kept: The options that a run takes from it.
        access: How a run would reach the service.
        command: The command that has the options.
        live: Whether the live groups were read.

    Raises:
        UsageError: It cannot be written, or would replace another file.
    """
    relative = partial(relative_to_plan, plan=path)
    try:
        _require_no_other_file(path)
        with replaced_file(Path(path).resolve(), mode=0o600) as file:
            salt = secrets.token_hex(16)
            header = PlanHeader(
                created=format_moment(datetime.now(UTC)),
                salt=salt,
                playbooks=tuple(
                    name if name == STDIN else relative(name) for name in playbook_paths(plans)
                ),
                folder=relative(os.curdir),
                options=map_files(command, kept, relative),
                parts=parts_of(plans, _known_hosts(plans, access), access.gateway, salt),
                live=live,
                shard=next((str(plan.shard) for plan in plans if plan.shard), None),
            )
            writer = PlanWriter(
                file,
                header,
                groups_read(plans),
                lambda name: name if name == STDIN_NAME else relative(name),
            )
            yield writer
            writer.end()
    except OSError as error:
        raise UsageError(f"cannot write the plan `{path}`: {error.strerror}") from None


def _require_no_other_file(path: str) -> None:
    """Refuse to replace a file that is no plan, such as a playbook.

    Raises:
        UsageError: It is one, or the name is empty.
        OSError: It cannot be read.
    """
    if path in {"", STDIN}:
        raise UsageError("--out writes no other than a named file, such as --out plan.wps")
    if os.path.lexists(path) and not (Path(path).is_file() and is_plan(path)):
        raise UsageError(f"--out would replace `{path}`, which is not a plan; name another file")


def _known_hosts(plans: Sequence[Plan], access: ServiceAccess) -> list[str | None]:
    """Return the endpoint of each plan, with a note if its settings are not there."""
    hosts: list[str | None] = []
    reasons: dict[str, None] = {}
    for plan in plans:
        try:
            hosts.append(access.endpoint(plan).host)
        except SettingsError as error:
            hosts.append(None)
            reasons[str(error)] = None
    for reason in reasons:
        show_message(Label.NOTE, f"the plan does not fix the endpoint, only the hub: {reason}")
    return hosts


def approved_arguments(
    approved: ApprovedPlan, overrides: RunOverrides, playbooks: tuple[str, ...], command: str
) -> tuple[RunOverrides, tuple[str, ...]]:
    """Return the overrides of a run, and its playbooks, by its plan.

    Args:
        approved: The plan. If it has all shards, the run may be one of them.
        overrides: Those of the command line, options of the plan included.
        playbooks: Those of the command line.
        command: The command line, without variables.

    Raises:
        UsageError: The plan is of other playbooks or another shard, or something must be given
            again.
    """
    path = approved.path
    shard = _shard_of(approved) or overrides.shard
    if overrides.shard not in {None, shard}:
        raise UsageError(
            f"`{path}` is the plan of shard {shard}, not of shard {overrides.shard}; leave out "
            "--shard, or name the other plan"
        )
    paths = _playbooks_of(approved)
    if not playbooks:
        require_stdin(paths, path, f"{command} - < {STDIN_PLACEHOLDER}")
    elif [*map(_absolute, playbooks)] != [*map(_absolute, paths)]:
        raise UsageError(
            f"`{path}` is the plan of {', '.join(paths)}; leave the playbooks out, or make a plan "
            "of the other ones"
        )
    reason = f"the plan `{path}` has no values of variables"
    overrides = reused_overrides(approved.header.options, overrides, reason, command)
    return replace(overrides, shard=shard), paths


def _playbooks_of(approved: ApprovedPlan) -> tuple[str, ...]:
    """Return the playbooks of a plan, as they are named from this folder."""
    return tuple(_name_from_here(approved, name) for name in approved.header.playbooks)


def _name_from_here(approved: ApprovedPlan, name: str) -> str:
    """Return the name of a file in a plan, as it is named from this folder."""
    is_file = name != STDIN and not name.startswith(STDIN_NAME)
    return near(approved.path_of(name)) if is_file else name


def _shard_of(approved: ApprovedPlan) -> Shard | None:
    text = approved.header.shard
    return resolve_shard(text, None, {}) if text else None


def _absolute(path: str) -> str:
    return path if path == STDIN else os.path.normpath(Path(path).absolute())


def require_approved(
    approved: ApprovedPlan,
    plans: Sequence[Plan],
    access: ServiceAccess | None,
    kept: KeptOptions,
    command: click.Command,
) -> None:
    """Refuse a run that is not the one in the plan.

    Args:
        approved: The plan.
        plans: The plans of the run.
        access: How the service is reached; None for a rehearsal.
        kept: The options of the run, those of the plan included.
        command: The command that makes plans.

    Raises:
        ApprovalError: Something has changed.
        SettingsError: An endpoint is missing or cannot be used.
    """
    hosts = [access.endpoint(plan).host if access else None for plan in plans]
    gateway = access.gateway if access else None
    parts = parts_of(plans, hosts, gateway, approved.header.salt)
    approved.require_same(
        plans,
        parts,
        groups_read(plans),
        again=_plan_again(approved, kept, command),
        shown=partial(_name_from_here, approved),
    )


def run_command(path: str, plans: Sequence[Plan], kept: KeptOptions) -> str:
    """Return the command line that runs a plan, for a shell."""
    words = shell_line(["wps-run", "run", "--plan", path_word(path)])
    line = " ".join([words, *map(variable_words, words_of(kept.get(VARIABLES)))])
    return with_playbooks(line, [name for name in playbook_paths(plans) if name == STDIN])


def _plan_again(approved: ApprovedPlan, kept: KeptOptions, command: click.Command) -> str:
    """Return the command line that makes a plan again, with the options of a run, for a shell."""
    header = approved.header
    words = ["wps-run", "plan", "--out", path_word(approved.path)]
    words += ["--live"] if header.live else []
    words += ["--shard", header.shard] if header.shard else []
    known = option_names(command) - {VARIABLES}
    for name, value in map_files(command, kept, near).items():
        for each in value if isinstance(value, tuple) else (value,):
            if name in known:
                words += [name] if each is True else [name, str(each)]
    variables = map(variable_words, words_of(kept.get(VARIABLES)))
    return with_playbooks(" ".join([shell_line(words), *variables]), _playbooks_of(approved))
