"""`--local`: playbooks run against a fresh embedded service with simulated clients.

Every user and every connection that the playbooks name is given a client, so that the end of
the run shows what would happen: who is in which group, who heard what, who was closed and why.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from runner.actions.wire import Value
from runner.connect.endpoint import Endpoint
from runner.playbook.step import Step
from runner.report.outlook import Closed, Heard, Outlook, Permitted
from runner.service.effects import Close, Effect, Message
from runner.service.hub import Hub
from runner.service.names import Permission
from runner.service.rest.handler import Exchange
from runner.service.server import LocalService


@dataclass(slots=True)
class _Scene:
    """The simulated clients of one hub, and what they noticed, in order.

    Attributes:
        labels: Connection ID to what reports call it: the user's ID, or the connection's own.
        users: The users who have a client.
        heard: Each message with those who heard it.
        closed: Those who were cut off.
        ruled: Connection, permission and group of each grant and revocation.
    """

    labels: dict[str, str] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    heard: list[Heard] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)
    ruled: dict[tuple[str, Permission, str], None] = field(default_factory=dict)

    def note(self, effect: Effect) -> None:
        """Note what clients noticed of one action."""
        clients = tuple(self.labels[connection] for connection in effect.connections)
        if isinstance(effect, Close):
            self.closed += (Closed(client, effect.reason) for client in clients)
        else:
            message = effect.message
            origin = message.group or "server"
            self.heard.append(Heard(origin, message.data_type, message.data, clients))


class SimulatedClient:
    """A client that is there, and does nothing. What reaches it is noted by its scene."""

    def deliver(self, message: Message) -> None:
        """Hear a message."""

    def closed(self, reason: str) -> None:
        """Be cut off."""


class Rehearsal:
    """A fresh embedded service, peopled with those whom steps name.

    Args:
        plans: Hub to the steps that will be run in it; they are read once, at the start.
    """

    def __init__(self, plans: Iterable[tuple[str, Iterable[Step]]]) -> None:
        self._plans = plans
        self._service = LocalService(on_request=self._note)
        self._scenes: dict[str, _Scene] = {}

    async def __aenter__(self) -> Self:
        await self._service.start()
        for hub, steps in self._plans:
            for step in steps:
                self._seat(hub.lower(), step)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._service.stop()

    @property
    def endpoint(self) -> Endpoint:
        """Where the embedded service listens."""
        return self._service.endpoint

    def outlooks(self) -> tuple[Outlook, ...]:
        """What would happen, a value a hub, as it stands now."""
        hubs = self._service.hubs
        return tuple(
            _outlook(hub, hubs.get(hub, Hub()), scene) for hub, scene in self._scenes.items()
        )

    def _note(self, exchange: Exchange) -> None:
        if exchange.effect is not None:
            self._scenes[exchange.hub].note(exchange.effect)

    def _seat(self, hub: str, step: Step) -> None:
        """Give everybody whom the step names a client, unless they have one."""
        scene = self._scenes.setdefault(hub, _Scene())
        for user in _strings(step.values.get("userId")):
            if user not in scene.users:
                scene.users.add(user)
                connection = self._service.attach(hub, SimulatedClient(), user_id=user)
                scene.labels[connection] = user
        for name in ("connectionId", "excluded"):
            for connection in _strings(step.values.get(name)):
                if connection not in scene.labels:
                    self._service.attach(hub, SimulatedClient(), connection_id=connection)
                    scene.labels[connection] = connection
        if "permission" in step.values:
            permission = Permission(str(step.values["permission"]))
            group = str(step.values["targetName"])
            scene.ruled[str(step.values["connectionId"]), permission, group] = None


def _strings(value: Value | None) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, str) else ()


def _outlook(name: str, hub: Hub, scene: _Scene) -> Outlook:
    return Outlook(
        hub=name,
        clients=len(scene.labels),
        groups=tuple(
            (group, tuple(scene.labels[connection] for connection in members))
            for group, members in hub.groups.items()
        ),
        heard=tuple(scene.heard),
        closed=tuple(scene.closed),
        permissions=tuple(
            Permitted(
                connection, permission, group, allowed=hub.check(permission, connection, group)
            )
            for connection, permission, group in scene.ruled
            if connection in hub.connections
        ),
    )
