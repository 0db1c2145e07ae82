"""The pieces put together, once: load playbooks, plan them, run them.

The command line and library users come through here. The edge (HTTP, the embedded service)
is imported inside the functions that need it, so that validating a playbook loads none of it.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.playbook.binding import beyond_binding
from runner.playbook.inputs import Files
from runner.playbook.model import Playbook, read_playbook, variables_in
from runner.playbook.options import Mode, RunOptions, merged
from runner.playbook.schema import actions_schema, schema_text
from runner.playbook.steps import check, steps
from runner.playbook.variables import Scope
from runner.playbook.warnings import unused_assignments, used_variables, warnings_of
from runner.playbook.yaml12 import decode, load
from runner.problems import PlaybookError, Problem, Severity, UsageError, in_order

if TYPE_CHECKING:
    from runner.connect.endpoint import Endpoint
    from runner.execution.journal import Journal
    from runner.execution.result import Result
    from runner.execution.resume import Resumption
    from runner.execution.stop import Stop
    from runner.playbook.step import Step
    from runner.rehearsal import Rehearsal
    from runner.report.heading import Destination, Heading

LOCAL_HUB = "local"
"""The hub of a rehearsal when nothing names one."""

DEFAULT_CONNECTION = "WebPubSubConnectionString"
"""The setting that holds the connection string unless the playbook names another one."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line, or the caller, adds to the playbooks.

    Attributes:
        options: Values under the playbook's own keys (`mode`, `concurrency`, …); they win.
        variables: Name to value; they win over the playbook's `vars`.
        environment: Settings by name, and what `${env.NAME}` reads.
        hub: The hub, or None for the playbook's own or the setting's.
        connection: The name of the setting that holds the connection string, or None.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    hub: str | None = None
    connection: str | None = None

    def scope(self, playbook: Playbook) -> Scope:
        """What `${…}` may name in this playbook."""
        names = {**playbook.variables, **self.variables}
        return Scope(names, self.environment, _files_of(playbook))


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a run is kept, and what an earlier part of it has done.

    Attributes:
        journal: Takes results, and what is about to leave; None when the run has none.
        resumption: What is done already, or None.
    """

    journal: "Journal | None" = None
    resumption: "Resumption | None" = None

    def settled(self, plan: "Plan") -> "Iterator[Result]":
        """The results that the earlier part has settled; new ones go into the journal."""
        if self.resumption:
            for result in self.resumption.settled(plan.steps()):
                if self.resumption.is_new(result):
                    self.add(result)
                yield result

    def left(self, plan: "Plan") -> "Iterator[Step]":
        """The steps that are to be carried out."""
        return self.resumption.left(plan.steps()) if self.resumption else plan.steps()

    def told(self, result: "Result") -> "Result":
        """The result to tell of a step that was left; it goes into the journal."""
        told = self.resumption.told(result) if self.resumption else result
        self.add(told)
        return told

    def add(self, result: "Result") -> None:
        """Note a result."""
        from runner.execution.journal import encoded
        from runner.execution.record import record_of

        if self.journal:
            self.journal.add(encoded(record_of(result).as_json()))


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
        total: How many steps it has.
    """

    playbook: Playbook
    hub: str
    connection: str
    options: RunOptions
    scope: Scope
    first: int
    total: int

    def steps(self) -> "Iterator[Step]":
        """Its steps, made anew at each call, one at a time."""
        return steps(self.playbook, self.scope, self.options, self.hub, first=self.first)


def load_playbook(path: str | Path) -> Playbook:
    """Read one playbook, or a bare batch of actions, from a YAML or JSON file.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: It is wrong; holds every problem that can be found without its variables.
    """
    playbook = read_playbook(decode(read_file(path), str(path)), str(path))
    refuse(playbook.problems)
    return playbook


def load_variables(path: str | Path) -> dict[str, str]:
    """Read variables from a YAML or JSON file: one mapping of names to single values.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: It is not such a mapping.
    """
    return variables_in(load(decode(read_file(path), str(path)), str(path)))


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
    scope = Scope({**playbook.variables, **variables}, None, _files_of(playbook))
    beyond = beyond_binding(playbook) if binding_only else ()
    warned = warnings_of(playbook)
    return in_order((*playbook.problems, *check(playbook, scope).problems, *beyond, *warned))


def warnings(playbooks: Sequence[Playbook], assigned: Iterable[str] = ()) -> tuple[Problem, ...]:
    """What is allowed and yet hardly meant in the playbooks of one run, file by file.

    Args:
        playbooks: The playbooks.
        assigned: Variables of which each is given for one of these playbooks to use.
    """
    assigned = tuple(assigned)
    used = {name for one in playbooks for name in used_variables(one)} if assigned else ()
    found = [in_order(warnings_of(one)) for one in playbooks]
    return (*unused_assignments(assigned, used), *chain(*found))


def plan(playbooks: Sequence[Playbook], given: Given, *, default_hub: str = "") -> tuple[Plan, ...]:
    """Check playbooks with their variables and make them ready to run, in the order given.

    Args:
        playbooks: The playbooks of one run.
        given: What the caller adds.
        default_hub: The hub when neither playbook, caller nor settings name one; "" for none.

    Raises:
        PlaybookError: A value is wrong once variables are filled in; holds every problem.
        SettingsError: No hub is named, or its name is none.
    """
    from runner.connect.settings import resolve_hub

    scopes = [given.scope(playbook) for playbook in playbooks]
    checks = [check(playbook, scope) for playbook, scope in zip(playbooks, scopes, strict=True)]
    refuse(
        [
            problem
            for playbook, checked in zip(playbooks, checks, strict=True)
            for problem in in_order((*playbook.problems, *checked.problems))
        ]
    )
    plans: list[Plan] = []
    first = 0
    for playbook, scope, checked in zip(playbooks, scopes, checks, strict=True):
        named = playbook.hub if given.hub is None else given.hub
        hub = resolve_hub(named, given.environment, default=default_hub)
        options = merged(playbook.options, given.options)
        connection = given.connection or playbook.connection or DEFAULT_CONNECTION
        plans.append(Plan(playbook, hub, connection, options, scope, first, checked.steps))
        first += checked.steps
    return tuple(plans)


def heading(
    plans: Sequence[Plan], destination: "Destination", endpoints: Sequence[str] = ()
) -> "Heading":
    """What is run and where, for reports. An endpoint is a host and port."""
    from runner.report.heading import Heading

    options = [one.options for one in plans]
    paces = [
        f"concurrent, at most {one.concurrency} in flight"
        if one.mode is Mode.CONCURRENT
        else "sequential"
        for one in options
    ]
    return Heading(
        destination=destination,
        endpoints=tuple(endpoints),
        hubs=tuple(dict.fromkeys(one.hub for one in plans)),
        playbooks=tuple(one.playbook.name or one.playbook.document.file for one in plans),
        total=sum(one.total for one in plans),
        pace=" / ".join(dict.fromkeys(paces)),
    )


def endpoint_of(plan: Plan, via: str | None = None) -> "Endpoint":
    """Where a plan's actions go, by the setting that it names.

    Args:
        plan: The plan.
        via: The URL of a reverse proxy that they are sent to instead, or None.

    Raises:
        SettingsError: The setting is missing, or it or `via` cannot be used.
    """
    from runner.connect.settings import resolve_endpoint

    endpoint = resolve_endpoint(plan.connection, plan.scope.environment or {})
    return endpoint.through(via) if via else endpoint


def rehearsal(plans: Sequence[Plan]) -> "Rehearsal":
    """A fresh embedded service, with a simulated client for everybody whom the plans name."""
    from runner.rehearsal import Rehearsal

    return Rehearsal((one.hub, one.steps()) for one in plans)


async def run(
    plans: Sequence[Plan],
    endpoint: "Callable[[Plan], Endpoint]" = endpoint_of,
    stop: "Stop | None" = None,
    *,
    ca_bundle: str | None = None,
    kept: Kept | None = None,
) -> "AsyncGenerator[Result]":
    """Carry plans out, one after the other, and yield a result for every action.

    Results come as actions end, each action's once. An `ok` means accepted by the service,
    not delivered.

    Args:
        plans: What `plan` made.
        endpoint: Where each plan's actions go; asked for all of them before anything is sent.
        stop: Ends the run early when asked to.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        kept: Where the run is kept, and what an earlier part of it has done.

    Raises:
        SettingsError: An endpoint is missing or cannot be used. Nothing was sent.
    """
    from runner.connect.client import Client
    from runner.connect.tls import trusting
    from runner.execution.executor import Executor
    from runner.execution.stop import Stop

    tls = trusting(ca_bundle) if ca_bundle else None
    # All clients first: a key, identity or proxy that cannot be used is found before anything
    # is sent.
    jobs = [
        (one, Client(endpoint(one), concurrency=one.options.concurrency, tls=tls)) for one in plans
    ]
    stop, kept = stop or Stop(), kept or Kept()
    async with AsyncExitStack() as opened:
        for _, client in jobs:
            await opened.enter_async_context(client)
        for one, client in jobs:
            for settled in kept.settled(one):
                yield settled
            executor = Executor(client, one.options, stop, ledger=kept.journal)
            results = executor.run(kept.left(one))
            async with aclosing(results):
                async for result in results:
                    yield kept.told(result)


def fingerprint(plans: Sequence[Plan], endpoints: Sequence[str], salt: str) -> dict[str, str]:
    """What a run is made of, each part by the name that a person would give it.

    Args:
        plans: The plans of the run, their files read at least once.
        endpoints: Host and port where the actions of each plan go.
        salt: A secret of the journal's own; digests of short secrets are of no use without it.
    """
    from runner.execution.fingerprint import fingerprint as made

    parts: dict[str, str | Iterable[bytes]] = {
        "the actions of wps-run": schema_text(actions_schema())
    }
    for number, (one, endpoint) in enumerate(zip(plans, endpoints, strict=True)):
        file = one.playbook.document.file
        which = f"the playbook {file}" + (f" (number {number + 1})" if number else "")
        parts[which] = one.playbook.document.text
        parts[f"the hub of {which}"] = one.hub.lower()
        parts[f"the endpoint of {which}"] = endpoint
        for name in sorted(used_variables(one.playbook)):
            known = one.scope.environment or {} if name.startswith("env.") else one.scope.variables
            value = known.get(name.removeprefix("env."))
            if value is not None:
                parts[f"the variable {name} of {which}"] = value
        for name, path in _files_read(one).items():
            parts[f"the file {name} of {which}"] = _pieces(path)
    return made(salt, parts)


def _files_read(plan: Plan) -> dict[str, Path]:
    return plan.scope.inputs.read if isinstance(plan.scope.inputs, Files) else {}


def _pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces of a mebibyte."""
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            yield piece


def _files_of(playbook: Playbook) -> Files:
    """The files that a playbook names, relative to its folder; of stdin, to the working folder."""
    return Files(Path(playbook.document.file).parent)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise what is wrong, if anything is.

    Raises:
        PlaybookError: One of the problems is an error; holds all of them.
    """
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise PlaybookError(problems)
