"""Rehearsals (`--local`): run playbooks against a fresh emulator with simulated clients.

Each user and each connection that an action is on gets a client, so that the end of the run shows
its effects: the members of each group, the recipients of each message, the closed clients. Nobody
else is simulated: a connection in `excluded` gets no client, since nothing says that it exists.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from wps_run.connect.endpoint import Endpoint
from wps_run.emulator.clients import NullClient
from wps_run.emulator.effects import Close
from wps_run.emulator.hub import Hub, UnknownConnectionError
from wps_run.emulator.names import Permission
from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.server import Emulator
from wps_run.playbook.live import LiveConnection
from wps_run.playbook.steps import Step
from wps_run.problems import UsageError
from wps_run.redaction import NO_SECRETS, Secrets
from wps_run.report.simulation import (
    ClosedClient,
    FaultHits,
    MessageDelivery,
    PermissionState,
    Simulation,
    masked_simulation,
    message_delivery,
)
from wps_run.text import replace_invisible

USER, CONNECTION = "user", "connection"
"""The kinds of names in steps."""


@dataclass(slots=True)
class SimulatedClients:
    """The simulated clients of one hub and what happened to them, in order.

    Attributes:
        labels: The label in reports by connection ID: the ID of the user or of the connection.
        users: The users that have a client.
        joined: The groups that a request added a client to.
        deliveries: The messages with their recipients.
        closed: The clients that were closed.
        permissions: Connection, permission and group of each grant and revocation.
        absent: The names that have no client now, with their kind.
        fault_hits: For each fault, the number of affected requests by operation.
        request_ids: The IDs of the requests.
        repeats: The number of requests that were sent again.
    """

    labels: dict[str, str] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    deliveries: list[MessageDelivery] = field(default_factory=list)
    closed: list[ClosedClient] = field(default_factory=list)
    permissions: dict[tuple[str, Permission, str], None] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    fault_hits: dict[str, Counter[str]] = field(default_factory=dict)
    request_ids: set[str] = field(default_factory=set)
    repeats: int = 0

    def count(self, request: RequestEntry) -> None:
        """Count the faults of a request, and whether it was sent again."""
        for fault in request.faults:
            self.fault_hits.setdefault(fault, Counter())[request.operation] += 1
        self.repeats += request.request_id in self.request_ids
        self.request_ids.add(request.request_id)

    def record(self, request: RequestEntry, hub: Hub) -> None:
        """Record the effect of a request on the clients in a hub."""
        if request.operation == "AddConnectionsToGroups":
            self.joined |= hub.groups.keys()
        elif request.operation in {"AddUserToGroup", "AddConnectionToGroup"}:
            self.joined |= hub.groups.keys() & set(request.names)
        effect = request.effect
        if effect is None:
            return
        clients = tuple(self.labels[connection_id] for connection_id in effect.connections)
        if isinstance(effect, Close):
            self.closed += (ClosedClient(client, effect.reason) for client in clients)
        else:
            message = effect.message
            origin = message.group or "server"
            unreceived = "" if clients else self._unreceived(request, hub)
            self.deliveries.append(
                message_delivery(origin, message.data_type, message.data, clients, unreceived)
            )

    def _unreceived(self, request: RequestEntry, hub: Hub) -> str:
        """Return why no simulated client received the message of a request."""
        target = request.names[0] if request.names else ""
        match request.operation:
            case "SendToGroup":
                where = f"in group `{target}`"
                now, ever = hub.groups.get(target, ()), target in self.joined
            case "SendToUser":
                where = f"for user `{target}`"
                now, ever = hub.users.get(target, ()), target in self.users
            case "SendToConnection":
                where = f"for connection `{target}`"
                now, ever = (), target in self.labels
            case _:
                where, now, ever = "in this hub", hub.connections, bool(self.labels)
        if not ever:
            return f"nobody was simulated {where}"
        parameters = [name for name in ("filter", "excluded") if f"{name}=" in request.query]
        if now and parameters:
            selection = " and ".join(f"`{name}`" for name in parameters)
            return f"{selection} left no simulated client {where}"
        return f"no simulated client was left {where}"


class SimulatedState:
    """The state of one hub of a rehearsal, read from the emulator itself, without requests.

    So the faults of the rehearsal do not affect it. It is a `StateSource`, and has what happened
    to the clients of the hub as `RehearsalEffects`.
    """

    def __init__(self, hub: Hub, clients: SimulatedClients) -> None:
        self._hub = hub
        self._clients = clients

    async def members(self, group: str) -> tuple[LiveConnection, ...]:
        connections = self._hub.connections
        return tuple(
            LiveConnection(connection_id, connections[connection_id].user_id)
            for connection_id in sorted(self._hub.groups.get(group, ()))
        )

    async def user_exists(self, user_id: str) -> bool:
        return user_id in self._hub.users

    async def connection_exists(self, connection_id: str) -> bool:
        return connection_id in self._hub.connections

    async def group_exists(self, group: str) -> bool:
        return group in self._hub.groups

    async def has_permission(self, connection_id: str, permission: str, target_name: str) -> bool:
        try:
            return self._hub.check(Permission(permission), connection_id, target_name)
        except UnknownConnectionError:
            return False

    def recipients(self, message: str) -> Collection[str] | None:
        """Return the clients that received a message; None if there was no such message."""
        equal = [item for item in self._clients.deliveries if item.text == message]
        if not equal:
            return None
        return dict.fromkeys(name for delivery in equal for name in delivery.recipients)

    def closings(self) -> Mapping[str, Collection[str]]:
        """Return the clients that were closed, each with the reasons that it received."""
        reasons: dict[str, list[str]] = {}
        for closed in self._clients.closed:
            reasons.setdefault(closed.client, []).append(closed.reason)
        return reasons


class Rehearsal:
    """A fresh emulator with a client for each name in the steps.

    Use it as an async context manager.

    Args:
        plans: Hubs, each with the steps to run in it; the steps are read once, at the start.
        faults: Faults to inject, as described by `wps-run serve --help`.
        fault_seed: The seed of the faults' random decisions, or None for a new one.
        absent: Users and connections without a client, each with the seconds after the start when
            it connects, or None for never.
        secrets: Values to mask in the simulations.

    Raises:
        UsageError: A fault is invalid, or, on entering, no step has a name in `absent`.
    """

    def __init__(
        self,
        plans: Iterable[tuple[str, Iterable[Step]]],
        *,
        faults: Sequence[str] = (),
        fault_seed: int | None = None,
        absent: Mapping[str, float | None] | None = None,
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        self._plans = plans
        self._absent = absent or {}
        self._secrets = secrets
        try:
            self._emulator = Emulator(on_request=self._record, faults=faults, fault_seed=fault_seed)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._has_faults = bool(faults)
        self._hubs: dict[str, SimulatedClients] = {}
        self._timers: list[asyncio.TimerHandle] = []

    async def __aenter__(self) -> Self:
        for hub, steps in self._plans:
            for step in steps:
                self._add_clients(hub.lower(), step)
        named = set().union(*(clients.absent for clients in self._hubs.values()))
        for name in self._absent:
            if name not in named:
                quoted = replace_invisible(name)
                raise UsageError(f"no action has `{quoted}` as its userId or connectionId")
        await self._emulator.start()
        self._schedule_late_clients()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for timer in self._timers:
            timer.cancel()
        await self._emulator.stop()

    @property
    def endpoint(self) -> Endpoint:
        return self._emulator.endpoint

    def state(self, hub: str) -> SimulatedState:
        """Return the current state of a hub."""
        name = hub.lower()
        clients = self._hubs.get(name, SimulatedClients())
        return SimulatedState(self._emulator.hubs.get(name, Hub()), clients)

    def simulations(self) -> tuple[Simulation, ...]:
        """Return the current result for each hub."""
        simulations = tuple(self._simulation(hub, clients) for hub, clients in self._hubs.items())
        if not self._secrets.values:
            return simulations
        return tuple(masked_simulation(item, self._secrets.mask) for item in simulations)

    def _record(self, request: RequestEntry) -> None:
        clients = self._hubs.get(request.hub)
        if clients is None:  # another process sent a request to this port
            return
        if self._has_faults:
            clients.count(request)
        clients.record(request, self._emulator.hubs.get(request.hub, Hub()))

    def _add_clients(self, hub: str, step: Step) -> None:
        """Connect a client for each user or connection of a step that is new and not absent."""
        clients = self._hubs.setdefault(hub, SimulatedClients())
        for kind, name in _names(step):
            if name in self._absent:
                clients.absent[name] = kind
            elif name not in (clients.users if kind == USER else clients.labels):
                self._connect(hub, clients, kind, name)
        if "permission" in step.values:
            permission = Permission(str(step.values["permission"]))
            group = str(step.values["targetName"])
            clients.permissions[str(step.values["connectionId"]), permission, group] = None

    def _connect(self, hub: str, clients: SimulatedClients, kind: str, name: str) -> None:
        if kind == USER:
            clients.users.add(name)
            connection_id = self._emulator.attach(hub, NullClient(), user_id=name)
        else:
            connection_id = self._emulator.attach(hub, NullClient(), connection_id=name)
        clients.labels[connection_id] = name

    def _schedule_late_clients(self) -> None:
        loop = asyncio.get_running_loop()
        for hub, clients in self._hubs.items():
            for name in clients.absent:
                seconds = self._absent[name]
                if seconds is not None:
                    timer = loop.call_later(seconds, self._connect_late, hub, clients, name)
                    self._timers.append(timer)

    def _connect_late(self, hub: str, clients: SimulatedClients, name: str) -> None:
        self._connect(hub, clients, clients.absent.pop(name), name)

    def _simulation(self, name: str, clients: SimulatedClients) -> Simulation:
        hub = self._emulator.hubs.get(name, Hub())
        faults = self._emulator.faults
        return Simulation(
            hub=name,
            client_count=len(clients.labels),
            groups={
                group: tuple(clients.labels[connection_id] for connection_id in members)
                for group, members in hub.groups.items()
            },
            deliveries=tuple(clients.deliveries),
            closed_clients=tuple(clients.closed),
            permissions=tuple(
                PermissionState(
                    connection,
                    permission,
                    group,
                    is_allowed=hub.check(permission, connection, group),
                )
                for connection, permission, group in clients.permissions
                if connection in hub.connections
            ),
            absent=tuple(clients.absent),
            fault_hits=tuple(
                FaultHits(text, hits.total(), dict(hits))
                for text, hits in (
                    (counter.fault.text, clients.fault_hits.get(counter.fault.text, Counter()))
                    for counter in faults.counters
                )
            ),
            repeats=clients.repeats,
            fault_seed=faults.seed if self._has_faults else None,
        )


def _names(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of the user and of the connection that a step is on."""
    for key, kind in (("userId", USER), ("connectionId", CONNECTION)):
        name = step.values.get(key)
        if isinstance(name, str):
            yield kind, name
