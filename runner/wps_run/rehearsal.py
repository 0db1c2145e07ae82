"""`--local`: playbooks run against a fresh embedded service with simulated clients.

Every user and every connection that the playbooks name is given a client, so that the end of
the run shows what would happen: who is in which group, who heard what, who was closed and why.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from wps_run.connect.endpoint import Endpoint
from wps_run.emulator.clients import NullClient
from wps_run.emulator.effects import Close, Effect
from wps_run.emulator.hub import Hub
from wps_run.emulator.names import Permission
from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.server import Emulator
from wps_run.playbook.steps import Step
from wps_run.problems import UsageError
from wps_run.report.simulation import (
    ClosedClient,
    FaultHits,
    MessageDelivery,
    PermissionState,
    Simulation,
)
from wps_run.text import replace_invisible

USER, CONNECTION = "user", "connection"
"""What a name is of."""


@dataclass(slots=True)
class SimulatedClients:
    """The simulated clients of one hub, and what they noticed, in order.

    Attributes:
        labels: Connection ID to what reports call it: the user's ID, or the connection's own.
        users: The users who have a client.
        heard: Each message with those who heard it.
        closed: Those who were cut off.
        ruled: Connection, permission and group of each grant and revocation.
        away: Who was named and is not there: name to `USER` or `CONNECTION`.
        struck: For each fault, how many requests of which operation it struck.
        requests: The IDs of the requests.
        repeats: How many of them were sent again.
    """

    labels: dict[str, str] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    heard: list[MessageDelivery] = field(default_factory=list)
    closed: list[ClosedClient] = field(default_factory=list)
    ruled: dict[tuple[str, Permission, str], None] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)
    struck: dict[str, Counter[str]] = field(default_factory=dict)
    requests: set[str] = field(default_factory=set)
    repeats: int = 0

    def count(self, exchange: RequestEntry) -> None:
        """Count what befell a request, and whether it came before."""
        for fault in exchange.faults:
            self.struck.setdefault(fault, Counter())[exchange.operation] += 1
        self.repeats += exchange.request_id in self.requests
        self.requests.add(exchange.request_id)

    def note(self, effect: Effect) -> None:
        """Note what clients noticed of one action."""
        clients = tuple(self.labels[connection] for connection in effect.connections)
        if isinstance(effect, Close):
            self.closed += (ClosedClient(client, effect.reason) for client in clients)
        else:
            message = effect.message
            origin = message.group or "server"
            self.heard.append(MessageDelivery(origin, message.data_type, message.data, clients))


class Rehearsal:
    """A fresh embedded service, peopled with those whom steps name.

    Args:
        plans: Hub to the steps that will be run in it; they are read once, at the start.
        faults: Faults that requests meet, as `wps-run serve --help` has them.
        fault_seed: What the faults' luck depends on, or None for a new one.
        absent: Users and connections who are not there, whoever names them; for each the seconds
            from the start after which it comes, or None for never.

    Raises:
        UsageError: A fault is not written as faults are; or, on entering, nobody is named so.
    """

    def __init__(
        self,
        plans: Iterable[tuple[str, Iterable[Step]]],
        *,
        faults: Sequence[str] = (),
        fault_seed: int | None = None,
        absent: Mapping[str, float | None] | None = None,
    ) -> None:
        self._plans = plans
        self._absent = absent or {}
        try:
            self._service = Emulator(on_request=self._note, faults=faults, fault_seed=fault_seed)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._faulty = bool(faults)
        self._scenes: dict[str, SimulatedClients] = {}
        self._coming: list[asyncio.TimerHandle] = []

    async def __aenter__(self) -> Self:
        for hub, steps in self._plans:
            for step in steps:
                self._seat(hub.lower(), step)
        named = set().union(*(scene.away for scene in self._scenes.values()))
        for name in self._absent:
            if name not in named:
                raise UsageError(
                    f"no playbook names a user or a connection `{replace_invisible(name)}`"
                )
        await self._service.start()
        self._expect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for timer in self._coming:
            timer.cancel()
        await self._service.stop()

    @property
    def endpoint(self) -> Endpoint:
        """Where the embedded service listens."""
        return self._service.endpoint

    def outlooks(self) -> tuple[Simulation, ...]:
        """What would happen, a value a hub, as it stands now."""
        return tuple(self._outlook(hub, scene) for hub, scene in self._scenes.items())

    def _note(self, exchange: RequestEntry) -> None:
        scene = self._scenes.get(exchange.hub)
        if scene is None:  # somebody else has found the port
            return
        if self._faulty:
            scene.count(exchange)
        if exchange.effect is not None:
            scene.note(exchange.effect)

    def _seat(self, hub: str, step: Step) -> None:
        """Give everybody whom the step names a client, unless they have one or are absent."""
        scene = self._scenes.setdefault(hub, SimulatedClients())
        for kind, name in _named(step):
            if name in self._absent:
                scene.away[name] = kind
            elif name not in (scene.users if kind == USER else scene.labels):
                self._admit(hub, scene, kind, name)
        if "permission" in step.values:
            permission = Permission(str(step.values["permission"]))
            group = str(step.values["targetName"])
            scene.ruled[str(step.values["connectionId"]), permission, group] = None

    def _admit(self, hub: str, scene: SimulatedClients, kind: str, name: str) -> None:
        if kind == USER:
            scene.users.add(name)
            connection = self._service.attach(hub, NullClient(), user_id=name)
        else:
            connection = self._service.attach(hub, NullClient(), connection_id=name)
        scene.labels[connection] = name

    def _expect(self) -> None:
        """Let those who are late come in their time."""
        loop = asyncio.get_running_loop()
        for hub, scene in self._scenes.items():
            for name in scene.away:
                seconds = self._absent[name]
                if seconds is not None:
                    self._coming.append(loop.call_later(seconds, self._arrive, hub, scene, name))

    def _arrive(self, hub: str, scene: SimulatedClients, name: str) -> None:
        self._admit(hub, scene, scene.away.pop(name), name)

    def _outlook(self, name: str, scene: SimulatedClients) -> Simulation:
        hub = self._service.hubs.get(name, Hub())
        faults = self._service.faults
        return Simulation(
            hub=name,
            client_count=len(scene.labels),
            groups=tuple(
                (group, tuple(scene.labels[connection] for connection in members))
                for group, members in hub.groups.items()
            ),
            deliveries=tuple(scene.heard),
            closed_clients=tuple(scene.closed),
            permissions=tuple(
                PermissionState(
                    connection,
                    permission,
                    group,
                    hub.check(permission, connection, group),
                )
                for connection, permission, group in scene.ruled
                if connection in hub.connections
            ),
            absent=tuple(scene.away),
            fault_hits=tuple(
                FaultHits(one.fault.text, tuple(scene.struck.get(one.fault.text, {}).items()))
                for one in faults.counters
            ),
            repeats=scene.repeats,
            fault_seed=faults.seed if self._faulty else None,
        )


def _named(step: Step) -> Iterator[tuple[str, str]]:
    """The users and connections that a step names."""
    for key, kind in (("userId", USER), ("connectionId", CONNECTION), ("excluded", CONNECTION)):
        value = step.values.get(key)
        for name in value if isinstance(value, tuple) else (value,):
            if isinstance(name, str):
                yield kind, name
