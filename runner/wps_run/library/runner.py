"""Run actions and playbooks from Python."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AsyncExitStack, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from msgspec import to_builtins

from wps_run import journaling, planning, running
from wps_run.checking import DEFAULT_CONNECTION, find_run_warnings, load_seed
from wps_run.connect.client import Client, Connections
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.settings import parse_header_setting, resolve_endpoint, resolve_hub
from wps_run.execution.result import ExpectationResult, Result, SkipReason
from wps_run.execution.run_info import Destination
from wps_run.execution.stop import Stop
from wps_run.execution.summary import Summary
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.rows_file import read_rows
from wps_run.journal.writer import read_journal
from wps_run.journaling import JournalOptions
from wps_run.library.keywords import (
    DEFAULT_AHEAD,
    NO_SETTINGS,
    FilePath,
    PlanKeywords,
    RunKeywords,
    RunSettings,
    Texts,
    in_python,
    kept_options,
    recorded_defaults,
    recorded_options,
    texts,
)
from wps_run.library.sources import Work, collect
from wps_run.library.stream import LOG, ActiveRun, ResultStream, end_runs
from wps_run.planning import LOCAL_HUB, Plan, RunOverrides
from wps_run.playbook.live import LiveConnection, LiveGroups
from wps_run.playbook.model import Playbook
from wps_run.playbook.options import RunOptions, override_values
from wps_run.problems import JournalError, Problem, UsageError, format_problem
from wps_run.reading import (
    OpenSource,
    check_name,
    check_permission,
    compare_plans,
    find_in_place,
    load_tls,
    masked_variables,
    read_live,
    service_source,
)
from wps_run.report.changes import change_record
from wps_run.report_files import report_paths, write_report_files
from wps_run.running import Observer, RunContext, carry_out
from wps_run.state.changes import StepChange, Verdict
from wps_run.state.reader import StateReader, StateSource

if TYPE_CHECKING:
    from wps_run.emulator.seed import SeedClient
    from wps_run.rehearsal import Rehearsal
    from wps_run.report.simulation import Simulation

_MOST_CONNECTIONS = 1000
"""The most connections to a service, which is the highest concurrency of a run."""


@dataclass(frozen=True, slots=True)
class RunnerTarget:
    """Where a `Runner` runs.

    Attributes:
        environment: Settings by name; `${env.NAME}` of playbooks reads them, too.
        hub: The hub, or None for that of a playbook or the setting `WebPubSubHub`.
        connection: The name of the setting with the connection string, or None for that of a
            playbook, or the default.
        endpoint: The URL of a reverse proxy that receives requests in place of the service.
        headers: Names of headers for a gateway, and of the settings with their values.
        ca_bundle: A file of certificates to trust in addition to the system's, or None.
        trust_env: Whether `HTTPS_PROXY` and `NO_PROXY` of this process apply.
        is_local: Whether an emulator is the target.
        faults, fault_seed, seed: What the emulator has, as `Runner.local` says.
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    hub: str | None = None
    connection: str | None = None
    endpoint: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ca_bundle: str | None = None
    trust_env: bool = False
    is_local: bool = False
    faults: tuple[str, ...] = ()
    fault_seed: int | None = None
    seed: "tuple[SeedClient, ...] | None" = None


class Runner:
    """Runs actions and playbooks against one service. Make it with one of its class methods.

    Use it as an async context manager; its connections serve all its runs. It reads no environment
    variable and writes no journal unless asked to.

    Attributes:
        target: Where it runs.
    """

    def __init__(self, target: RunnerTarget) -> None:
        self.target = target
        self._tls = load_tls(target.ca_bundle) if target.ca_bundle else None
        self._connections: dict[Endpoint, Connections] = {}
        self._rehearsal: Rehearsal | None = None
        self._stack: AsyncExitStack | None = None
        self._was_opened = False
        self._active: set[ActiveRun] = set()
        self._latest: ActiveRun | None = None

    @classmethod
    def from_connection_string(
        cls,
        connection_string: str,
        *,
        hub: str | None = None,
        endpoint: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Return a runner for the service of a connection string.

        Args:
            connection_string: `Endpoint=…;AccessKey=…;Version=1.0;`.
            hub: The hub; may be left out if playbooks name it.
            endpoint: The URL of a reverse proxy that receives requests in place of the service.
            ca_bundle: A file of certificates to trust in addition to the system's.

        Raises:
            SettingsError: An argument cannot be used.
        """
        environment = {DEFAULT_CONNECTION: connection_string}
        resolve_endpoint(DEFAULT_CONNECTION, environment, endpoint)
        return cls(
            RunnerTarget(
                environment,
                hub,
                DEFAULT_CONNECTION,
                endpoint,
                ca_bundle=None if ca_bundle is None else os.fspath(ca_bundle),
            )
        )

    @classmethod
    def from_env(  # noqa: PLR0913 -- by name, each with a default
        cls,
        *,
        hub: str | None = None,
        env: Mapping[str, str] | None = None,
        connection: str | None = None,
        endpoint: str | None = None,
        headers: Texts = (),
        ca_bundle: str | os.PathLike[str] | None = None,
        trust_env: bool = True,
    ) -> Self:
        """Return a runner for the service that settings name, as the command line does.

        Args:
            hub: The hub, or None for that of a playbook or the setting `WebPubSubHub`.
            env: Settings by name; the environment variables of this process by default.
            connection: The name of the setting with the connection string, or of the settings of
                an identity; None for that of a playbook, or `WebPubSubConnectionString`.
            endpoint: The URL of a reverse proxy that receives requests in place of the service.
            headers: Headers for a gateway as `NAME=SETTING`, where SETTING names their value.
            ca_bundle: A file of certificates to trust in addition to the system's.
            trust_env: Whether `HTTPS_PROXY` and `NO_PROXY` of this process apply.

        Raises:
            SettingsError: A header is not `NAME=SETTING`, or `ca_bundle` cannot be used.
        """
        return cls(
            RunnerTarget(
                dict(os.environ if env is None else env),
                hub,
                connection,
                endpoint,
                tuple(map(parse_header_setting, texts(headers))),
                None if ca_bundle is None else os.fspath(ca_bundle),
                trust_env,
            )
        )

    @classmethod
    def local(
        cls,
        *,
        hub: str | None = None,
        faults: Texts = (),
        fault_seed: int | None = None,
        seed: FilePath | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a runner that rehearses against an emulator of its own.

        Every user and connection that an action names has a simulated client. What the runs leave
        stays until the runner is closed; `simulations` shows it.

        Args:
            hub: The hub, or None for that of a playbook, else `local`.
            faults: Faults to inject, as `wps-run serve --help` describes.
            fault_seed: The seed of their random decisions, or None for a new one.
            seed: A file with the simulated clients, such as `wps-run snapshot` writes, in place of
                one for each name.
            env: Settings for `${env.NAME}`; none by default.

        Raises:
            UsageError: The file of the seed cannot be read, or is empty.
            PlaybookError: The seed is wrong.
        """
        return cls(
            RunnerTarget(
                dict(env or {}),
                hub,
                is_local=True,
                faults=texts(faults),
                fault_seed=fault_seed,
                seed=None if seed is None else tuple(load_seed(os.fspath(seed), default_hub="")),
            )
        )

    def __repr__(self) -> str:
        where = "local" if self.target.is_local else self.target.connection or DEFAULT_CONNECTION
        return f"<Runner {where}, hub {self.target.hub or 'of the playbook'}>"

    async def __aenter__(self) -> Self:
        if self._was_opened:
            raise UsageError("a runner is opened once; make another one")
        self._was_opened = True
        self._stack = AsyncExitStack()
        if self.target.is_local:
            from wps_run.rehearsal import Rehearsal  # noqa: PLC0415 -- only rehearsals need it

            self._rehearsal = await self._stack.enter_async_context(
                Rehearsal(
                    (),
                    faults=self.target.faults,
                    fault_seed=self.target.fault_seed,
                    seed=self.target.seed,
                    secrets=self._overrides().secrets,
                )
            )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        stack, self._stack = self._stack, None
        try:
            await end_runs(self._active)
        finally:
            for connections in self._connections.values():
                await connections.close()
            self._connections.clear()
            if stack:
                await stack.aclose()

    @property
    def last(self) -> Summary:
        """The totals of the latest run: `counts` by status, `exit_code`, `expectations`.

        While its results are read, they are those so far. When it has ended, was canceled, or its
        reader has left, every action is accounted for: what may have been sent is `unknown` until
        its response is there.
        """
        return self._latest.account if self._latest else Summary()

    @property
    def expectations(self) -> tuple[ExpectationResult, ...]:
        """The results of the expectations of the latest run, so far."""
        return tuple(self._latest.expectations) if self._latest else ()

    def simulations(self) -> "tuple[Simulation, ...]":
        """Return what all rehearsals of the runner have left, one for each hub.

        Raises:
            UsageError: The runner is not local, or not open.
        """
        if self._rehearsal is None or self._stack is None:
            raise UsageError("only an open runner of `Runner.local()` has simulations")
        return self._rehearsal.simulations()

    def run(self, *work: Work, **options: Unpack[RunKeywords]) -> ResultStream:
        """Run actions and playbooks, and yield a result for every action as it ends.

        `ok` means that the service accepted the action, not that a message was delivered. When
        the reader leaves the loop, or its task is canceled, nothing new starts.

        Args:
            work: Typed actions, or playbooks as file names, texts, mappings or `Playbook`.
            options: Those of `RunKeywords`; they override those of a playbook.

        Raises:
            TypeError: An option is unknown.
            UsageError: An option has a wrong value, or there is nothing to run.
            PlaybookError: A playbook or an action is wrong; by the first result.
            SettingsError: A setting is missing or cannot be used; by the first result.
            JournalError: A journal cannot be written or resumed; by the first result.
        """
        settings = RunSettings.of(options, RunKeywords, "run")
        stop = settings.values.get("stop") or Stop()
        run = ActiveRun(settings.values.get("ahead", DEFAULT_AHEAD), stop)
        return ResultStream(run, partial(self._carry_out, run, work, settings))

    async def _carry_out(self, run: ActiveRun, work: Sequence[Work], settings: RunSettings) -> None:
        self._require_open()
        run.stop.attach()
        self._latest = run
        self._active.add(run)
        try:
            await self._run_plans(run, work, settings)
        finally:
            self._active.discard(run)

    async def _run_plans(self, run: ActiveRun, work: Sequence[Work], settings: RunSettings) -> None:
        journal = await asyncio.to_thread(_journal_options, settings)
        plans = await self._plan(work, settings, journal.resume)
        if not journal.resume:
            planning.require_in_time(plans, "give a later one")
        plans, warning = running.fit_open_files(plans, ends=2 if self.target.is_local else 1)
        if warning:
            LOG.warning("%s", warning)
        where = Destination.LOCAL if self.target.is_local else Destination.SERVICE
        hosts = [self._endpoint(plan).host for plan in plans]
        run_info = planning.run_info(plans, where, tuple(dict.fromkeys(hosts)))
        reports = report_paths(settings.reports, filter(None, (journal.file, journal.resume)))
        recorder = journaling.open_recorder(
            journal,
            run_info,
            plans,
            ["LOCAL" for _ in plans] if self.target.is_local else hosts,
            report_folder=reports[0].parent if reports else None,
            needs_report=bool(reports),
            warn=partial(LOG.warning, "%s"),
        )
        try:
            recorder = await self._leave_out(plans, recorder, settings, run.stop)
            context = RunContext(
                run_info,
                self._open_client,
                recorder,
                self._rehearsal.simulations if self._rehearsal else tuple,
                self._state_of if self._rehearsal else None,
            )
            run.total, run.summary = run_info.total, Summary(since_ms=recorder.elapsed * 1000)
            if recorder.journal:
                recorder.journal.begin(partial(run.stop.request, SkipReason.JOURNAL))
            observer = Observer(run.window)
            batches = carry_out(plans, context, run.stop, run.summary, observer)
            try:
                async with aclosing(batches):
                    await run.put(batches)
            finally:
                run.summary = run.complete_account()
                await _write_end(context, run.summary, reports)
        finally:
            recorder.discard_temporary()

    async def _leave_out(
        self, plans: Sequence[Plan], recorder: RunRecorder, settings: RunSettings, stop: Stop
    ) -> RunRecorder:
        """Return the recorder that leaves out what would change nothing, if that is asked for."""
        if not settings.values.get("only_changes"):
            return recorder
        reading = find_in_place(plans, self._source, recorder.resumption)
        in_place = await stop.unless_interrupted(reading)
        return recorder if in_place is None else replace(recorder, in_place=in_place)

    async def diff(
        self, *work: Work, **options: Unpack[PlanKeywords]
    ) -> AsyncGenerator["PlannedChange"]:
        """Compare actions with the live state, and yield those that a run would not leave out.

        Each is compared with what those before it leave. Nothing is changed.

        Args:
            work: As of `run`.
            options: Those of `PlanKeywords`.

        Raises:
            TypeError, UsageError, PlaybookError, SettingsError: As `run` does.
            ReadError: Something cannot be read.
        """
        self._require_open()
        settings = RunSettings.of(options, PlanKeywords, "diff")
        plans = await self._plan(work, settings)
        async with aclosing(compare_plans(plans, self._source)) as blocks:
            async for plan, compared in blocks:
                for change in compared.changes:
                    if change.verdict is not Verdict.IN_PLACE:
                        endpoint = None if self._rehearsal else plan.service
                        yield PlannedChange(change, plan.hub, endpoint)

    async def verify(
        self, *work: Work, **options: Unpack[PlanKeywords]
    ) -> tuple[ExpectationResult, ...]:
        """Check what playbooks expect, without running their actions.

        Args:
            work: Playbooks, as of `run`.
            options: Those of `PlanKeywords`.

        Raises:
            TypeError, UsageError, PlaybookError, SettingsError: As `run` does.
        """
        self._require_open()
        settings = RunSettings.of(options, PlanKeywords, "verify")
        plans = await self._plan(work, settings, is_live=False)
        plans = tuple(plan.without_actions() for plan in plans if not plan.is_final)
        if not any(plan.expectations for plan in plans):
            raise UsageError("nothing was checked; the playbook has no `expect`")
        run_info = planning.run_info(plans, Destination.SERVICE)
        state_of = self._state_of if self._rehearsal else None
        context = RunContext(run_info, self._open_client, RunRecorder(), rehearsed=state_of)
        results: list[ExpectationResult] = []
        batches = carry_out(plans, context, Stop(), Summary(), Observer())
        async with aclosing(batches):
            async for batch in batches:
                results += (each for each in batch if isinstance(each, ExpectationResult))
        return tuple(results)

    @overload
    async def show(self, *, group: str) -> tuple[LiveConnection, ...]: ...
    @overload
    async def show(self, *, user: str) -> bool: ...
    @overload
    async def show(self, *, connection: str) -> bool: ...
    @overload
    async def show(self, *, connection: str, permission: str, group: str) -> bool: ...
    async def show(
        self,
        *,
        group: str | None = None,
        user: str | None = None,
        connection: str | None = None,
        permission: str | None = None,
    ) -> tuple[LiveConnection, ...] | bool:
        """Ask the service what is there. Nothing is changed.

        Args:
            group: A group; its connections, with their users, are returned.
            user: A user; returns whether it has a connection.
            connection: A connection; returns whether it is open.
            permission: `sendToGroup` or `joinLeaveGroup`, with `connection` and `group`; returns
                whether it is allowed.

        Raises:
            TypeError: The arguments do not name one thing.
            UsageError: The service cannot be asked for a name.
            ReadError: The service cannot be read.
            SettingsError: A setting is missing or cannot be used.
        """
        self._require_open()
        _check_names(group=group, user=user, connection=connection, permission=permission)
        async with AsyncExitStack() as stack:
            source = await self._hub_source(stack)
            match (group, user, connection, permission):
                case (str(), None, None, None):
                    return await source.members(group)
                case (None, str(), None, None):
                    return await source.user_exists(user)
                case (None, None, str(), None):
                    return await source.connection_exists(connection)
                case (str(), None, str(), str()):
                    return await source.has_permission(connection, permission, group)
                case _:
                    raise TypeError(
                        "show() takes `group`, `user`, `connection`, or all of `connection`, "
                        "`permission` and `group`"
                    )

    async def _hub_source(self, stack: AsyncExitStack) -> StateSource:
        """Open what answers about the hub of the runner."""
        if self._rehearsal:
            return self._rehearsal.state(self.target.hub or LOCAL_HUB)
        environment = self.target.environment
        hub = resolve_hub(self.target.hub, environment)
        name = self.target.connection or DEFAULT_CONNECTION
        endpoint = resolve_endpoint(name, environment, self.target.endpoint, self.target.headers)
        secrets = self._overrides().secrets
        client = Client(
            endpoint,
            concurrency=_MOST_CONNECTIONS,
            connections=self._connections_to(endpoint),
            secrets=secrets,
        )
        return StateReader(await stack.enter_async_context(client), hub, RunOptions())

    def _require_open(self) -> None:
        if self._stack is None:
            raise UsageError("the runner is not open; write `async with Runner.… as runner:`")

    def _overrides(self, settings: RunSettings = NO_SETTINGS) -> RunOverrides:
        return RunOverrides(
            options=settings.options,
            variables=settings.values.get("variables", {}),
            environment=self.target.environment,
            allowed_environment=settings.values.get("allow_env", ()),
            hub=self.target.hub,
            connection=self.target.connection,
            headers=self.target.headers,
            shard=settings.shard,
            selection=settings.selection,
        )

    async def _plan(
        self,
        work: Sequence[Work],
        settings: RunSettings,
        resumed: str | None = None,
        *,
        is_live: bool = True,
    ) -> tuple[Plan, ...]:
        """Read, check and plan playbooks, with the live groups that they need."""
        sources = await collect(work)
        playbooks = await asyncio.to_thread(sources.read)
        plan = partial(self._plan_playbooks, playbooks, settings, resumed)
        plans = await asyncio.to_thread(plan)
        for warning in await asyncio.to_thread(_find_warnings, playbooks, plans, settings):
            LOG.warning("%s", format_problem(warning))
        if self._rehearsal:
            self._rehearsal.connect((each.hub, each.steps()) for each in plans)
        if is_live and any(each.live_groups for each in plans):
            live = await self._live_groups(plans, resumed)
            plans = await asyncio.to_thread(plan, live=live, earlier=plans)
            if self._rehearsal:
                self._rehearsal.connect((each.hub, each.steps()) for each in plans)
        return plans

    def _plan_playbooks(
        self,
        playbooks: Sequence[Playbook],
        settings: RunSettings,
        resumed: str | None,
        **live: Any,  # noqa: ANN401 -- as `planning.plan` has them
    ) -> tuple[Plan, ...]:
        try:
            overrides = self._overrides(settings)
            if resumed:
                overrides = _with_recorded(overrides, resumed)
            default_hub = LOCAL_HUB if self.target.is_local else ""
            return planning.plan(playbooks, overrides, default_hub=default_hub, **live)
        except UsageError as error:
            raise UsageError(in_python(str(error))) from None

    async def _live_groups(
        self, plans: Sequence[Plan], resumed: str | None
    ) -> Sequence[LiveGroups]:
        if resumed:
            return journaling.recorded_live(read_rows(Path(resumed)), plans)
        if not self._rehearsal:
            return await read_live(plans, self._open_client)
        return [
            {group: await self._state_of(plan).members(group) for group in plan.live_groups}
            for plan in plans
        ]

    def _endpoint(self, plan: Plan) -> Endpoint:
        if self._rehearsal:
            return self._rehearsal.endpoint
        return resolve_endpoint(
            plan.connection,
            plan.scope.environment or {},
            self.target.endpoint,
            self.target.headers,
        )

    def _connections_to(self, endpoint: Endpoint) -> Connections:
        """Return the connections to an endpoint, which all runs share."""
        if endpoint not in self._connections:
            self._connections[endpoint] = Connections(
                endpoint,
                limit=_MOST_CONNECTIONS,
                tls=self._tls,
                trust_env=self.target.trust_env,
            )
        return self._connections[endpoint]

    def _open_client(self, plan: Plan) -> Client:
        endpoint = self._endpoint(plan)
        return Client(
            endpoint,
            concurrency=plan.options.concurrency,
            connections=self._connections_to(endpoint),
            secrets=plan.scope.secrets,
            variables=masked_variables(plan),
        )

    def _state_of(self, plan: Plan) -> Any:  # noqa: ANN401 -- the emulator is imported late
        if self._rehearsal is None:
            raise RuntimeError("only a local runner has simulated states")
        return self._rehearsal.state(plan.hub)

    @property
    def _source(self) -> OpenSource:
        if self._rehearsal:
            return lambda plan: nullcontext(self._state_of(plan))
        return service_source(self._open_client)


def _check_names(*, permission: str | None, **names: str | None) -> None:
    """Refuse names that no client can have, or that the service cannot be asked for.

    Raises:
        UsageError: One of them is such a name.
    """
    if permission is not None:
        check_permission(permission)
    for kind, name in names.items():
        if isinstance(name, str):
            is_in_path = not (permission and kind == "group")
            ask = partial("show({}={!r})".format, kind) if is_in_path else None
            check_name(kind, name, ask)


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """What one action would do, compared with the live state.

    Attributes:
        change: The step, the verdict, and the reason.
        hub: Its hub.
        endpoint: The host and port of its service; None in a rehearsal.
    """

    change: StepChange
    hub: str
    endpoint: str | None = None

    @property
    def verdict(self) -> Verdict:
        """`change`; `absent` if its user or connection does not exist; or `not-known`."""
        return self.change.verdict

    @property
    def reason(self) -> str:
        """Why that is so, or ""."""
        return self.change.reason

    @property
    def action_name(self) -> str:
        """The `actionName`."""
        return self.change.step.action.name

    @property
    def target(self) -> Mapping[str, Any]:
        """What it is applied to: name to value."""
        return self.change.step.target

    def __repr__(self) -> str:
        target = ", ".join(map(str, self.target.values()))
        return f"<{self.verdict} {self.action_name} {target}>"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data, with the keys of `wps-run diff --output ndjson`."""
        record: dict[str, Any] = to_builtins(change_record(self.change, self.hub, self.endpoint))
        return record


def run_sync(
    *work: Work,
    env: Mapping[str, str] | None = None,
    connection_string: str | None = None,
    local: bool = False,
    hub: str | None = None,
    on_result: Callable[[Result], object] | None = None,
    **options: Unpack[RunKeywords],
) -> Summary:
    """Run actions and playbooks to the end, without an event loop of the caller.

    In a running event loop, such as that of a notebook, the run has a thread of its own; the
    caller waits. An interrupt (Ctrl-C) stops the run, and is raised when it has ended.

    Args:
        work: As of `Runner.run`.
        env: Settings by name, such as `os.environ`.
        connection_string: The connection string, in place of `env`.
        local: Whether to rehearse against an emulator, in place of both.
        hub: The hub, or None for that of the playbook or the setting.
        on_result: Called with each result as it comes.
        options: As of `Runner.run`.

    Returns:
        The totals.

    Raises:
        UsageError: Not one of `env`, `connection_string` and `local` is given.
        Exception: What `Runner.run` raises.
    """
    RunSettings.of(options, RunKeywords, "run_sync")
    runner = _runner_for(env, connection_string, local, hub)
    stop = options["stop"] = options.get("stop") or Stop()

    async def run_all() -> Summary:
        async with runner:
            async for result in runner.run(*work, **options):
                if on_result:
                    on_result(result)
            return runner.last

    try:
        if _is_in_event_loop():
            return _run_in_thread(run_all, stop)
        return asyncio.run(run_all())
    except BaseException as error:
        if runner.last.total:
            error.add_note(f"the run until then: {runner.last!r}")
        raise


def _runner_for(
    env: Mapping[str, str] | None,
    connection_string: str | None,
    local: bool,  # noqa: FBT001 -- as the keyword of `run_sync`
    hub: str | None,
) -> Runner:
    """Return the runner for the place where `run_sync` runs.

    Raises:
        UsageError: There is not exactly one.
    """
    if sum((env is not None, connection_string is not None, bool(local))) != 1:
        raise UsageError(
            "say where to run: `env=os.environ`, `connection_string=…`, or `local=True`"
        )
    if connection_string is not None:
        return Runner.from_connection_string(connection_string, hub=hub)
    if env is not None:
        return Runner.from_env(hub=hub, env=env)
    return Runner.local(hub=hub)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_in_thread(run_all: Callable[[], Coroutine[None, None, Summary]], stop: Stop) -> Summary:
    """Run in an event loop in a thread of its own, and wait for the end.

    An interrupt of the caller stops the run, and a second one abandons it. It is raised at the end.
    """
    interrupt: KeyboardInterrupt | None = None
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(lambda: asyncio.run(run_all()))
        while not ended.done():
            try:
                wait([ended])
            except KeyboardInterrupt as error:
                if interrupt:
                    stop.abandon()
                stop.request()
                interrupt = error
    if interrupt:
        raise interrupt
    return ended.result()


def _journal_options(settings: RunSettings) -> JournalOptions:
    """Return which journal a run has.

    Raises:
        UsageError: Two arguments contradict each other.
        JournalError: The journal cannot be read.
    """
    values = settings.values
    journal, resume = values.get("journal"), values.get("resume")
    if journal and resume:
        raise UsageError("`resume` continues its own journal; leave out `journal`")
    if values.get("resume_if_exists") and not journal:
        raise UsageError("`resume_if_exists` resumes the run of `journal`; name the file")
    for name in ("only_failed", "skip_failed"):
        if values.get(name) and not (resume or values.get("resume_if_exists")):
            raise UsageError(f"`{name}` selects what `resume` runs; name the journal")
    if values.get("only_failed") and values.get("skip_failed"):
        raise UsageError("`only_failed` and `skip_failed` contradict each other")
    options = JournalOptions(
        journal,
        resume_if_exists=values.get("resume_if_exists", False),
        is_off=not (journal or resume),
        resume=resume,
        only_failed=values.get("only_failed", False),
        skip_failed=values.get("skip_failed", False),
    ).resolved()
    earlier = (read_journal(Path(options.resume)).options or {}) if options.resume else {}
    return replace(options, kept=kept_options(settings.options, earlier))


def _find_warnings(
    playbooks: Sequence[Playbook], plans: Sequence[Plan], settings: RunSettings
) -> Sequence[Problem]:
    """Return the warnings about playbooks, about variables that none of them uses, and plans."""
    about_playbooks = find_run_warnings(playbooks, settings.values.get("variables", ()))
    return (*about_playbooks, *planning.find_warnings(plans))


def _with_recorded(overrides: RunOverrides, journal: str) -> RunOverrides:
    """Return overrides with the options and the shard that the run of a journal had."""
    history = read_journal(Path(journal))
    recorded = recorded_options(history.options or {})
    return replace(
        overrides,
        options=override_values(recorded, overrides.options),
        defaults=recorded_defaults(history.options or {}),
        shard=overrides.shard or history.run.shard,
    )


async def _write_end(context: RunContext, summary: Summary, reports: Sequence[Path]) -> None:
    """End the journal, and write the report files.

    Raises:
        JournalError: The journal could not be written.
        UsageError: A report cannot be written.
    """
    simulations = context.simulations()
    await running.end_journal(context, summary, simulations)
    journal = context.recorder.journal
    if journal and journal.error is not None:
        raise JournalError(f"the journal `{journal.path}` cannot be written: {journal.error}")
    if reports:
        report = running.report_of(context, summary, simulations)
        for path, error in write_report_files(reports, report):
            raise UsageError(f"cannot write the report `{path}`: {error.strerror}")
