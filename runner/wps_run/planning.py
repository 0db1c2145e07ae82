"""The pieces put together, once: load playbooks, plan them, run them.

The command line and library users come through here. The edge (HTTP, the embedded service)
is imported inside the functions that need it, so that validating a playbook loads none of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wps_run.document.loader import decode, load
from wps_run.playbook.files import Files
from wps_run.playbook.lint import (
    find_not_in_binding,
    find_unused_assignments,
    find_warnings,
    used_variables,
)
from wps_run.playbook.model import Playbook, read_playbook, variables_from
from wps_run.playbook.options import Mode, RunOptions, merge_options
from wps_run.playbook.shards import Shard
from wps_run.playbook.steps import check, steps
from wps_run.playbook.variables import VariableScope
from wps_run.problems import PlaybookError, Problem, Severity, UsageError, sort_problems

if TYPE_CHECKING:
    from wps_run.execution.run_info import Destination, RunInfo
    from wps_run.playbook.steps import Step

LOCAL_HUB = "local"
"""The hub of a rehearsal when nothing names one."""

DEFAULT_CONNECTION = "WebPubSubConnectionString"
"""The setting that holds the connection string unless the playbook names another one."""


@dataclass(frozen=True, slots=True)
class RunOverrides:
    """What the command line, or the caller, adds to the playbooks.

    Attributes:
        options: Values under the playbook's own keys (`mode`, `concurrency`, …); they win.
        variables: Name to value; they win over the playbook's `vars`.
        environment: Settings by name, and what `${env.NAME}` reads.
        hub: The hub, or None for the playbook's own or the setting's.
        connection: The name of the setting that holds the connection string, or None.
        shard: The share of the plan that is carried out, or None for all of it.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    hub: str | None = None
    connection: str | None = None
    shard: Shard | None = None

    def scope(self, playbook: Playbook) -> VariableScope:
        """What `${…}` may name in this playbook."""
        names = {**playbook.variables, **self.variables}
        return VariableScope(names, self.environment, _files_of(playbook))


@dataclass(frozen=True, slots=True)
class Plan:
    """One playbook, checked and ready to run.

    Attributes:
        playbook: The playbook.
        hub: The hub its actions are for.
        connection: The name of the setting that holds its connection string.
        options: How it is run.
        scope: What its `${…}` name.
        first: The number of its first step among all steps of the run.
        total: How many steps it has, of a shard how many are the shard's.
        whole: How many steps all shards have.
        shard: Which of them are carried out, or None for all of them.
    """

    playbook: Playbook
    hub: str
    connection: str
    options: RunOptions
    scope: VariableScope
    first: int
    total: int
    whole: int
    shard: Shard | None = None

    def steps(self, *, every: bool = False) -> "Iterator[Step]":
        """Its steps, made anew at each call; of a shard its own, or those of every shard."""
        shard = None if every else self.shard
        fixed = (self.playbook, self.scope, self.options, self.hub)
        return steps(*fixed, first=self.first, shard=shard)


def load_playbook(path: str | Path) -> Playbook:
    """Read one playbook, or a bare batch of actions, from a YAML or JSON file.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: It is wrong; holds every problem that can be found without its variables.
    """
    playbook = read_playbook(decode(read_file(path), str(path)), str(path))
    raise_errors(playbook.problems)
    return playbook


def load_variables(path: str | Path) -> dict[str, str]:
    """Read variables from a YAML or JSON file: one mapping of names to single values.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: It is not such a mapping.
    """
    return variables_from(load(decode(read_file(path), str(path)), str(path)))


def read_file(path: str | Path) -> bytes:
    """The bytes of a file that the user named.

    Raises:
        UsageError: It cannot be read; says why.
    """
    try:
        return Path(path).read_bytes()
    except IsADirectoryError:
        raise UsageError(f"`{path}` is a folder; name the playbooks in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read `{path}`: {reason}") from None


def validate(
    playbook: Playbook, variables: Mapping[str, str], *, binding_only: bool = False
) -> tuple[Problem, ...]:
    """Every problem of a playbook, in order, warnings among them.

    The environment's values are not judged.

    Args:
        playbook: As `read_playbook` gives it.
        variables: Name to value; they win over the playbook's `vars`.
        binding_only: Whether what the Functions output binding does not have is a problem.
    """
    scope = VariableScope({**playbook.variables, **variables}, None, _files_of(playbook))
    beyond = find_not_in_binding(playbook) if binding_only else ()
    warned = find_warnings(playbook)
    return sort_problems((*playbook.problems, *check(playbook, scope).problems, *beyond, *warned))


def find_run_warnings(
    playbooks: Sequence[Playbook], assigned: Iterable[str] = ()
) -> tuple[Problem, ...]:
    """What is allowed and yet hardly meant in the playbooks of one run, file by file.

    Args:
        playbooks: The playbooks.
        assigned: Variables of which each is given for one of these playbooks to use.
    """
    assigned = tuple(assigned)
    used = {name for one in playbooks for name in used_variables(one)} if assigned else ()
    found = [sort_problems(find_warnings(one)) for one in playbooks]
    return (*find_unused_assignments(assigned, used), *chain(*found))


def plan(
    playbooks: Sequence[Playbook], given: RunOverrides, *, default_hub: str = ""
) -> tuple[Plan, ...]:
    """Check playbooks with their variables and make them ready to run, in the order given.

    Args:
        playbooks: The playbooks of one run.
        given: What the caller adds.
        default_hub: The hub when neither playbook, caller nor settings name one; "" for none.

    Raises:
        PlaybookError: Values are wrong once variables are filled in, or shards break an order.
        SettingsError: No hub is named, or its name is none.
    """
    from wps_run.connect.settings import resolve_hub

    scopes = [given.scope(playbook) for playbook in playbooks]
    pairs = zip(playbooks, scopes, strict=True)
    checks = [check(playbook, scope, given.shard) for playbook, scope in pairs]
    raise_errors(
        [
            problem
            for playbook, checked in zip(playbooks, checks, strict=True)
            for problem in sort_problems((*playbook.problems, *checked.problems))
        ]
    )
    plans: list[Plan] = []
    first = 0
    for playbook, scope, checked in zip(playbooks, scopes, checks, strict=True):
        named = playbook.hub if given.hub is None else given.hub
        hub = resolve_hub(named, given.environment, default=default_hub)
        options = merge_options(playbook.options, given.options)
        connection = given.connection or playbook.connection or DEFAULT_CONNECTION
        if given.shard:
            options = given.shard.paced(options)
        sizes = (checked.owned, checked.steps)
        plans.append(Plan(playbook, hub, connection, options, scope, first, *sizes, given.shard))
        first += checked.steps
    if given.shard:
        from wps_run.playbook.shard_conflicts import PlanPart, require_commuting

        whole = [partial(one.steps, every=True) for one in plans]
        require_commuting(list(map(PlanPart, playbooks, (one.hub for one in plans), whole)))
    return tuple(plans)


def run_info(
    plans: Sequence[Plan], destination: "Destination", endpoints: Sequence[str] = ()
) -> "RunInfo":
    """What is run and where, for reports. An endpoint is a host and port."""
    from wps_run.execution.run_info import RunInfo

    options = [one.options for one in plans]
    paces = [
        f"concurrent, at most {one.concurrency} in flight"
        if one.mode is Mode.CONCURRENT
        else "sequential"
        for one in options
    ]
    return RunInfo(
        destination=destination,
        endpoints=tuple(endpoints),
        hubs=tuple(dict.fromkeys(one.hub for one in plans)),
        playbooks=tuple(one.playbook.name or one.playbook.document.file for one in plans),
        total=sum(one.total for one in plans),
        pace=" / ".join(dict.fromkeys(paces)),
        shard=next((one.shard for one in plans), None),
        whole=sum(one.whole for one in plans),
    )


def _files_of(playbook: Playbook) -> Files:
    """The files that a playbook names, relative to its folder; of stdin, to the working folder."""
    return Files(Path(playbook.document.file).parent)


def raise_errors(problems: Sequence[Problem]) -> None:
    """Raise what is wrong, if anything is.

    Raises:
        PlaybookError: One of the problems is an error; holds all of them.
    """
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise PlaybookError(problems)
