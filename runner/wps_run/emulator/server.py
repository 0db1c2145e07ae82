"""The embedded service: start, stop, and clients that need no socket."""

import logging
import secrets
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.http import HttpProcessingError

from wps_run.connect.endpoint import Endpoint
from wps_run.emulator.admin.handler import AdminHandler
from wps_run.emulator.admin.routes import AdminContext
from wps_run.emulator.auth import TokenVerifier
from wps_run.emulator.clients import ConnectedClient, HubState, NullClient, Users
from wps_run.emulator.dashboard.handler import DashboardHandler
from wps_run.emulator.dashboard.live import DashboardSource
from wps_run.emulator.dashboard.traffic import TrafficCounters
from wps_run.emulator.faults.rules import FaultCounter, FaultInjector
from wps_run.emulator.faults.syntax import parse_fault
from wps_run.emulator.hub import ALL_CONNECTIONS, Hub
from wps_run.emulator.names import hub_key, is_group_name, is_hub_name, is_id
from wps_run.emulator.request_log import ClientEvent, RequestEntry, RequestLog
from wps_run.emulator.rest.handler import RestHandler
from wps_run.emulator.seed import SeedClient, SeedError, SeedProblem, read_seed
from wps_run.emulator.websocket.handler import HEARTBEAT, WebSocketHandler
from wps_run.emulator.websocket.handshake import is_client_path
from wps_run.emulator.websocket.send_queue import ClientLimits

logging.getLogger("wps_run.emulator").addHandler(logging.NullHandler())


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a record tells of a fault here. What is no HTTP is quoted, and may hold a token."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_HTTP_LOG = logging.getLogger("wps_run.emulator.http")
_HTTP_LOG.addFilter(_is_ours)

KEY_BYTES = 32
"""The least bytes an access key may have."""

_HEADER_BYTES = 32 * 1024
"""The longest request line and header: many `excluded`, and a token that repeats them."""

_STOP_SECONDS = 1.0
"""How long a stop waits for answers that are under way."""

_SEEDS = 2**31
"""New fault seeds are below this: short enough to be typed."""

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - told apart
"""Where a service that listens on all addresses is reached from this machine."""


class Emulator:
    """A Web PubSub compatible service in this process.

    Use it as an async context manager, or call `start` and `stop`. All of it belongs to the
    event loop it was started in.

    Args:
        host: The address to listen on.
        port: The port; 0 picks a free one.
        access_key: The key, or None for a new one.
        tls_cert: A file with the certificate chain (PEM): https instead of http.
        tls_key: The file with its private key (PEM).
        allow_unvalidated_entra_tokens: Let in whatever looks like an Entra ID token.
        strict_api_version: Refuse newer api-versions instead of warning on `wps_run.emulator`.
        faults: FaultInjector that requests meet, in the words of `fault_syntax.GRAMMAR`.
        fault_seed: What the faults' luck depends on, or None for a new one.
        limits: What is kept for a client that is slow or away.
        heartbeat: Seconds of silence after which a client is pinged.
        on_request: Is given each exchange once its status is known.
        on_event: Is given what clients do.

    Raises:
        ValueError: The key is too short or cannot stand in a connection string, one of
            certificate and key is missing, or a fault is not written as faults are.
    """

    def __init__(  # noqa: PLR0913 - settings by name, each with a default
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        access_key: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        allow_unvalidated_entra_tokens: bool = False,
        strict_api_version: bool = False,
        faults: Iterable[str] = (),
        fault_seed: int | None = None,
        limits: ClientLimits = ClientLimits(),  # noqa: B008 - frozen
        heartbeat: float = HEARTBEAT,
        on_request: Callable[[RequestEntry], None] | None = None,
        on_event: Callable[[ClientEvent], None] | None = None,
    ) -> None:
        if (tls_cert is None) is not (tls_key is None):
            raise ValueError("TLS needs both a certificate and its private key")
        self._key = _checked_key(access_key) if access_key is not None else secrets.token_hex(32)
        self._host, self._port = host, port
        self._tls = (tls_cert, tls_key) if tls_cert is not None else None
        self._rooms: defaultdict[str, HubState] = defaultdict(HubState)
        self.request_log = RequestLog()
        self._forgotten: frozenset[str] = frozenset()
        seed = secrets.randbelow(_SEEDS) if fault_seed is None else fault_seed
        self.faults = FaultInjector(seed, [FaultCounter(parse_fault(fault)) for fault in faults])
        self._on_request = on_request
        self._on_event = on_event
        gate = TokenVerifier(
            self._key, allow_unvalidated_entra_tokens=allow_unvalidated_entra_tokens
        )
        self._sockets = WebSocketHandler(
            self._rooms, gate, limits=limits, heartbeat=heartbeat, on_event=self._witness
        )
        self._rest = RestHandler(
            self._rooms,
            gate,
            self.faults,
            scheme=self._scheme,
            strict_api_version=strict_api_version,
            on_request=self._note,
        )
        self._counters = TrafficCounters()
        scene = DashboardSource(lambda: self.hubs, self.request_log, self._counters, self.faults)
        self._page = DashboardHandler(scene, host, is_secure=self._tls is not None)
        backstage = AdminContext(
            self.request_log,
            self.faults,
            lambda: self.hubs,
            self.reset,
            self.seed,
            self.dashboard_link,
            lambda access: gate.issue_client_token(access, time.time()),
        )
        self._local = AdminHandler(backstage, self._key, self._page.is_authorized)
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen. Once this returns, the service answers.

        Raises:
            OSError: The address cannot be had.
            ValueError: Certificate or key cannot be read, or do not belong together.
        """
        server = web.Server(
            self._handle,
            access_log=None,
            logger=_HTTP_LOG,
            auto_decompress=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, ssl_context=self._context()).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and close what is open. The hubs stay readable."""
        runner, self._runner = self._runner, None
        self._rest.stop()
        if runner is not None:
            for site in tuple(runner.sites):
                await site.stop()
            await self._page.stop()
            await self._sockets.stop()
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens, and its key. The port is known once it was started."""
        host = _ANY_ADDRESS.get(self._host, self._host)
        shown = f"[{host}]" if ":" in host else host
        return Endpoint(f"{self._scheme}://{shown}:{self._port}", self._key)

    @property
    def connection_string(self) -> str:
        """What clients are configured with. It holds the key."""
        return f"Endpoint={self.endpoint.origin};AccessKey={self._key};Version=1.0;"

    def dashboard_link(self) -> str:
        """A new link to the page on which the service is watched; it opens once.

        Until there is a link, there is no page.
        """
        return f"{self.endpoint.origin}{self._page.create_link()}"

    @property
    def hubs(self) -> Mapping[str, Hub]:
        """The hubs that were used, by lower-case name."""
        return {name: room.hub for name, room in self._rooms.items()}

    def attach(
        self,
        hub: str,
        client: ConnectedClient,
        *,
        user_id: str | None = None,
        connection_id: str | None = None,
        groups: Iterable[str] = (),
    ) -> str:
        """Let a client in that needs no socket.

        Args:
            hub: The hub, in any case.
            client: Notices what happens to it.
            user_id: Whose it is, or None for an anonymous one.
            connection_id: Its ID, or None for a new one.
            groups: The groups it is in from the start.

        Returns:
            The connection ID.

        Raises:
            ValueError: A name is none the service takes, or the ID is in use.
        """
        chosen = secrets.token_urlsafe(23) if connection_id is None else connection_id
        joined = tuple(groups)
        if not is_hub_name(hub) or not is_id(chosen) or not all(map(is_group_name, joined)):
            raise ValueError("the hub, the connection or a group has a name that is not allowed")
        if user_id is not None and not is_id(user_id):
            raise ValueError("the user has a name that is not allowed")
        room = self._rooms[hub_key(hub)]
        room.hub.connect(chosen, user_id, joined)
        room.clients.attach(chosen, client)
        return chosen

    def detach(self, hub: str, connection_id: str) -> None:
        """Let a client leave of its own will; an unknown one is left alone."""
        room = self._rooms.get(hub_key(hub))
        if room is not None:
            room.hub.disconnect(connection_id)
            room.clients.detach(connection_id)

    def seed(self, data: object) -> int:
        """Let clients in that need no socket and do nothing.

        Args:
            data: What `seed.read_seed` takes.

        Returns:
            How many came.

        Raises:
            SeedError: It is wrong, or an ID is in use; nobody was let in.
        """
        seats = read_seed(data)
        taken = [seat for seat in seats if self._is_taken(seat)]
        if taken:
            ids = ", ".join(f"`{seat.connection_id}`" for seat in taken[:3])
            raise SeedError([SeedProblem(("clients",), f"connections are there already: {ids}")])
        for seat in seats:
            connection = self.attach(
                seat.hub,
                NullClient(),
                user_id=seat.user_id,
                connection_id=seat.connection_id,
                groups=seat.groups,
            )
            for permission, group in seat.permissions:
                self._rooms[seat.hub].hub.grant(permission, connection, group)
        return len(seats)

    def reset(self) -> None:
        """Close every client, and forget hubs, ledger and faults.

        That the clients leave, which may take them a moment, is not noted any more.
        """
        self._forgotten = frozenset(one for hub in self.hubs.values() for one in hub.connections)
        for room in self._rooms.values():
            room.clients.perform(room.hub.close(ALL_CONNECTIONS, "reset"))
        self.faults.replace(())
        self.request_log.clear()
        self._counters.reset()

    def _is_taken(self, seat: SeedClient) -> bool:
        room = self._rooms.get(seat.hub)
        return room is not None and seat.connection_id in room.hub.connections

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._page.handles(request.raw_path):
            return await self._page.handle(request)
        if self._local.handles(request.raw_path):
            return await self._local.handle(request)
        if is_client_path(request.raw_path):
            return await self._sockets.handle(request)
        return await self._rest.handle(request)

    def _note(self, exchange: RequestEntry, users: Users) -> None:
        self._counters.record(exchange)
        self.request_log.add(time.time(), exchange, users)
        if self._on_request is not None:
            self._on_request(exchange)

    def _witness(self, event: ClientEvent) -> None:
        if event.connection_id in self._forgotten:
            return
        self._counters.record(event)
        users = self._rooms[event.hub].users_of(event.effect) if event.effect else ()
        self.request_log.add(time.time(), event, users)
        if self._on_event is not None:
            self._on_event(event)

    @property
    def _scheme(self) -> str:
        return "http" if self._tls is None else "https"

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(*self._tls)
        except OSError as error:  # what OpenSSL refuses, too
            certificate, key = self._tls
            reason = "not a PEM pair" if isinstance(error, ssl.SSLError) else error.strerror
            raise ValueError(
                f"cannot use the certificate `{certificate}` with the key `{key}`: {reason}"
            ) from None
        return context


def _checked_key(key: str) -> str:
    plain = key.isprintable() and ";" not in key and key == key.strip()
    if len(key.encode("utf-8", "surrogatepass")) < KEY_BYTES or not plain:
        raise ValueError(
            f"the access key must have at least {KEY_BYTES} bytes, no `;`, no control characters, "
            "and no blanks around it"
        )
    return key
