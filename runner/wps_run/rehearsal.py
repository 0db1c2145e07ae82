"""Rehearsals (`--local`): run playbooks against a fresh emulator with simulated clients.

Each user and each connection that an action is on gets a client, so that the end of the run shows
its effects: the members of each group, the recipients of each message, the closed clients. Nobody
else is simulated: a connection in `excluded` gets no client, since nothing says that it exists.
With a seed, its clients are simulated, and nobody else: whom it does not have is absent.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Self

from wps_run.connect.endpoint import Endpoint
from wps_run.emulator.clients import NullClient
from wps_run.emulator.effects import Close
from wps_run.emulator.hub import Hub, UnknownConnectionError
from wps_run.emulator.names import Permission
from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.seed import SeedClient
from wps_run.emulator.server import Emulator
from wps_run.playbook.live import LiveConnection, LiveGroups
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
        seeded: The connection IDs of the clients that are from a seed.
        late: For each name of clients of the seed that are absent now, these clients.
        received: The connection IDs that received each message of `deliveries`.
        closed_ids: The connection ID of each client in `closed`.
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
    seeded: set[str] = field(default_factory=set)
    late: dict[str, list[SeedClient]] = field(default_factory=dict)
    received: list[tuple[str, ...]] = field(default_factory=list)
    closed_ids: list[str] = field(default_factory=list)

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
            self.closed_ids += effect.connections
        else:
            message = effect.message
            origin = message.group or "server"
            unreceived = "" if clients else self._unreceived(request, hub)
            self.deliveries.append(
                message_delivery(origin, message.data_type, message.data, clients, unreceived)
            )
            self.received.append(effect.connections)

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
    to the clients of the hub as `RehearsalEffects`. A `/` in the path of a request stays encoded,
    so it finds the same names as a read of the service.
    """

    def __init__(self, hub: Hub, clients: SimulatedClients) -> None:
        self._hub = hub
        self._clients = clients

    async def members(self, group: str) -> tuple[LiveConnection, ...]:
        connections = self._hub.connections
        return tuple(
            LiveConnection(connection_id, connections[connection_id].user_id)
            for connection_id in sorted(self._hub.groups.get(_in_path(group), ()))
        )

    async def user_exists(self, user_id: str) -> bool:
        return _in_path(user_id) in self._hub.users

    async def connection_exists(self, connection_id: str) -> bool:
        return _in_path(connection_id) in self._hub.connections

    async def group_exists(self, group: str) -> bool:
        return _in_path(group) in self._hub.groups

    async def has_permission(self, connection_id: str, permission: str, target_name: str) -> bool:
        try:
            return self._hub.check(Permission(permission), _in_path(connection_id), target_name)
        except UnknownConnectionError:
            return False

    def recipients(self, message: str) -> Collection[str] | None:
        """Return the clients that received a message; None if there was no such message.

        A client of a seed with a user and a connection ID is there under both.
        """
        clients = self._clients
        deliveries = zip(clients.deliveries, clients.received, strict=True)
        equal = [connections for item, connections in deliveries if item.text == message]
        if not equal:
            return None
        return dict.fromkeys(name for each in chain(*equal) for name in self._names(each))

    def closings(self) -> Mapping[str, Collection[str]]:
        """Return the clients that were closed, each with the reasons that it received."""
        reasons: dict[str, list[str]] = {}
        for closed, connection_id in zip(
            self._clients.closed, self._clients.closed_ids, strict=True
        ):
            for name in self._names(connection_id):
                reasons.setdefault(name, []).append(closed.reason)
        return reasons

    def _names(self, connection_id: str) -> Iterator[str]:
        """Yield the names of a client that a playbook can have."""
        label = self._clients.labels[connection_id]
        yield label
        if label != connection_id and connection_id in self._clients.seeded:
            yield connection_id


def _in_path(name: str) -> str:
    """Return a name as the service reads it in the path of a request."""
    return name.replace("/", "%2F")


def seeded_clients(
    seed: Iterable[SeedClient], hub: str, absent: Collection[str] = ()
) -> list[SeedClient]:
    """Return the clients of a seed that are in a hub, each with a connection ID.

    The IDs are the same each time, so that the rows of live groups are, too.

    Args:
        seed: The clients. Those with the hub "" are in each hub of the run.
        hub: The hub.
        absent: Users and connections to leave out.

    Raises:
        UsageError: Two clients have the same connection ID.
    """
    hub = hub.lower()
    clients = [client for client in seed if client.hub in {"", hub}]
    ids: set[str | None] = set()
    for client in clients:
        if client.connection_id in ids:
            shown = replace_invisible(str(client.connection_id))
            raise UsageError(f"the seed has the connection `{shown}` twice in hub {hub}")
        ids |= {client.connection_id} - {None}
    free_ids = (name for number in count(1) if (name := f"seed-{number}") not in ids)
    return [
        replace(client, hub=hub, connection_id=client.connection_id or next(free_ids))
        for client in clients
        if client.user_id not in absent and client.connection_id not in absent
    ]


def seeded_groups(clients: Iterable[SeedClient], groups: Iterable[str]) -> LiveGroups:
    """Return the connections of clients in groups, as they are before the first action."""
    members: dict[str, dict[LiveConnection, None]] = {group: {} for group in groups}
    for client in clients:
        for group in members.keys() & set(client.groups):
            members[group][LiveConnection(str(client.connection_id), client.user_id)] = None
    return {group: tuple(sorted(connections)) for group, connections in members.items()}


class Rehearsal:
    """A fresh emulator with a client for each name in the steps, or with those of a seed.

    Use it as an async context manager.

    Args:
        plans: Hubs, each with the steps to run in it; the steps are read once, at the start.
        faults: Faults to inject, as described by `wps-run serve --help`.
        fault_seed: The seed of the faults' random decisions, or None for a new one.
        absent: Users and connections without a client, each with the seconds after the start when
            it connects, or None for never.
        seed: The clients, or None for one for each name in the steps. Those with the hub "" are in
            each hub.
        secrets: Values to mask in the simulations.

    Raises:
        UsageError: A fault is invalid, or, on entering, no step and no client of the seed has a
            name in `absent`, or two clients of the seed have the same connection ID.
    """

    def __init__(  # noqa: PLR0913 -- by name, each with a default
        self,
        plans: Iterable[tuple[str, Iterable[Step]]],
        *,
        faults: Sequence[str] = (),
        fault_seed: int | None = None,
        absent: Mapping[str, float | None] | None = None,
        seed: Sequence[SeedClient] | None = None,
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        self._plans = plans
        self._absent = absent or {}
        self._seed = seed
        self._secrets = secrets
        try:
            self._emulator = Emulator(on_request=self._record, faults=faults, fault_seed=fault_seed)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._has_faults = bool(faults)
        self._hubs: dict[str, SimulatedClients] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    async def __aenter__(self) -> Self:
        self.connect(self._plans)
        await self._emulator.start()
        return self

    def connect(self, plans: Iterable[tuple[str, Iterable[Step]]]) -> None:
        """Connect the clients that further steps name, as on entering.

        Raises:
            UsageError: As on entering.
        """
        for hub, steps in plans:
            if self._seed is not None and hub.lower() not in self._hubs:
                self._add_seed(hub.lower(), self._seed)
            for step in steps:
                self._add_clients(hub.lower(), step)
        named = set().union(*(clients.absent for clients in self._hubs.values()))
        for name in self._absent:
            if name not in named:
                quoted = replace_invisible(name)
                source = "no action has" if self._seed is None else "neither seed nor action has"
                raise UsageError(f"{source} `{quoted}` as its userId or connectionId")
        self._schedule_late_clients()

    async def __aexit__(self, *exc_info: object) -> None:
        for timer in self._timers.values():
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

    def _add_seed(self, hub: str, seed: Sequence[SeedClient]) -> None:
        """Connect the clients of the seed that are in a hub and not absent."""
        clients = self._hubs[hub] = SimulatedClients()
        for client in seeded_clients(seed, hub):
            for name, kind in ((client.user_id, USER), (client.connection_id, CONNECTION)):
                if name is not None and name in self._absent:
                    clients.absent[name] = kind
                    clients.late.setdefault(name, []).append(client)
                    break
            else:
                self._connect_seeded(clients, client)

    def _connect_seeded(self, clients: SimulatedClients, client: SeedClient) -> None:
        connection_id = self._emulator.attach_seeded(client)
        clients.labels[connection_id] = client.user_id or connection_id
        clients.users |= {client.user_id} if client.user_id else set()
        clients.joined.update(client.groups)
        for permission, group in client.permissions:
            clients.permissions[connection_id, permission, group] = None
        clients.seeded.add(connection_id)

    def _add_clients(self, hub: str, step: Step) -> None:
        """Connect a client for each user or connection of a step that is new and not absent.

        With a seed, nobody is new: who is not there is absent.
        """
        clients = self._hubs.setdefault(hub, SimulatedClients())
        for kind, name in _names(step):
            if name in self._absent:
                clients.absent[name] = kind
            elif name not in (clients.users if kind == USER else clients.labels):
                if self._seed is None:
                    self._connect(hub, clients, kind, name)
                else:
                    clients.absent[name] = kind
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
                seconds = self._absent.get(name)
                if seconds is not None and (hub, name) not in self._timers:
                    timer = loop.call_later(seconds, self._connect_late, hub, clients, name)
                    self._timers[hub, name] = timer

    def _connect_late(self, hub: str, clients: SimulatedClients, name: str) -> None:
        kind = clients.absent.pop(name)
        for client in (seeded := clients.late.pop(name, [])):
            self._connect_seeded(clients, client)
        if not seeded:
            self._connect(hub, clients, kind, name)

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
            seeded=None if self._seed is None else len(clients.seeded),
        )


def _names(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of the user and of the connection that a step is on."""
    for key, kind in (("userId", USER), ("connectionId", CONNECTION)):
        name = step.values.get(key)
        if isinstance(name, str):
            yield kind, name
