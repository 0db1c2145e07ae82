"""The emulator: start and stop its HTTP server, and connect simulated clients."""

import logging
import secrets
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self
from urllib.parse import urlsplit

from aiohttp import web

from wps_run.connect.endpoint import Endpoint
from wps_run.emulator.admin.handler import AdminHandler
from wps_run.emulator.admin.routes import AdminContext
from wps_run.emulator.auth import TokenVerifier
from wps_run.emulator.clients import ConnectedClient, HubState, NullClient, Users
from wps_run.emulator.connections import REQUEST_SECONDS, Listener, TurnBudget
from wps_run.emulator.dashboard.handler import DashboardHandler
from wps_run.emulator.dashboard.live import DashboardSource
from wps_run.emulator.dashboard.traffic import TrafficCounters
from wps_run.emulator.events.configuration import SYSTEM_EVENTS, parse_event_handlers
from wps_run.emulator.events.dispatcher import EVENT_SECONDS, EventDispatcher
from wps_run.emulator.fault_syntax import parse_fault
from wps_run.emulator.faults import FaultCounter, FaultInjector
from wps_run.emulator.hub import ALL_CONNECTIONS, Hub
from wps_run.emulator.names import hub_key, is_group_name, is_hub_name, is_id
from wps_run.emulator.request_log import ClientEvent, RequestEntry, RequestLog
from wps_run.emulator.rest.handler import RestHandler
from wps_run.emulator.seed import SeedClient, SeedError, SeedProblem, read_seed
from wps_run.emulator.websocket.handler import HEARTBEAT, WebSocketHandler
from wps_run.emulator.websocket.handshake import is_client_path
from wps_run.emulator.websocket.send_queue import ClientLimits

logging.getLogger("wps_run.emulator").addHandler(logging.NullHandler())

MIN_KEY_BYTES = 32
"""The minimum length of an access key, in bytes."""

_MAX_HEADER_BYTES = 32 * 1024
"""The maximum length of the request line and of a header: long `excluded` lists are in both."""

_FAULT_SEED_LIMIT = 2**31
"""New fault seeds are below this limit: short enough to be typed."""

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - not bound
"""The local address of a server that listens on all addresses."""


class Emulator:
    """A Web PubSub compatible service in this process.

    Use it as an async context manager, or call `start` and `stop`. It belongs to the event loop
    in which it was started.

    Args:
        host: The address to listen on.
        port: The port; 0 picks a free one.
        access_key: The access key, or None for a new one.
        tls_cert: A file with the certificate chain (PEM): https instead of http.
        tls_key: The file with its private key (PEM).
        allow_unvalidated_entra_tokens: Accept Entra ID tokens without verifying them.
        strict_api_version: Refuse newer api-versions instead of warning on `wps_run.emulator`.
        faults: The faults to inject; `wps-run serve --help` describes them.
        fault_seed: The seed of the faults' random decisions, or None for a new one.
        limits: The limits for clients that are slow or disconnected.
        event_handlers: The event handlers: `URL`, or `HUB=URL` for one hub; `{hub}` and `{event}`
            in a URL are replaced.
        system_events: The system events that they receive, after commas, or `none`.
        user_events: The same for user events; `*` for all.
        event_handler_hosts: Hosts beyond this machine where event handlers may be.
        event_seconds: How long an event handler may take to answer.
        heartbeat: The seconds of silence after which a client is pinged.
        request_seconds: How long a client may take to send one request; then its connection is
            dropped.
        on_request: Is called with each request once its status is known.
        on_event: Is called with each client event.

    Raises:
        ValueError: The key is too short or not allowed in a connection string, the certificate or
            its key is missing, or a fault or an event handler is invalid.
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
        event_handlers: Iterable[str] = (),
        system_events: str = ",".join(SYSTEM_EVENTS),
        user_events: str = "*",
        event_handler_hosts: Iterable[str] = (),
        event_seconds: float = EVENT_SECONDS,
        limits: ClientLimits = ClientLimits(),  # noqa: B008 - frozen
        heartbeat: float = HEARTBEAT,
        request_seconds: float = REQUEST_SECONDS,
        on_request: Callable[[RequestEntry], None] | None = None,
        on_event: Callable[[ClientEvent], None] | None = None,
    ) -> None:
        if (tls_cert is None) is not (tls_key is None):
            raise ValueError("TLS needs both a certificate and its private key")
        self._key = _check_key(access_key) if access_key is not None else secrets.token_hex(32)
        self._host, self._port = host, port
        self._tls = (tls_cert, tls_key) if tls_cert is not None else None
        self._hubs: defaultdict[str, HubState] = defaultdict(HubState)
        self.request_log = RequestLog()
        self._counters = TrafficCounters()
        self._reset_connections: frozenset[str] = frozenset()
        seed = secrets.randbelow(_FAULT_SEED_LIMIT) if fault_seed is None else fault_seed
        self.faults = FaultInjector(seed, [FaultCounter(parse_fault(fault)) for fault in faults])
        self._on_request = on_request
        self._on_event = on_event
        verifier = TokenVerifier(
            self._key, allow_unvalidated_entra_tokens=allow_unvalidated_entra_tokens
        )
        events = EventDispatcher(
            parse_event_handlers(event_handlers, system_events, user_events, event_handler_hosts),
            key=self._key,
            faults=self.faults,
            origins=self._origins,
            seconds=event_seconds,
            on_event=self._record_event,
        )
        self._budget = TurnBudget()
        self._websocket = WebSocketHandler(
            self._hubs,
            verifier,
            self._budget,
            events=events,
            limits=limits,
            heartbeat=heartbeat,
            on_event=self._record_event,
        )
        self._rest = RestHandler(
            self._hubs,
            verifier,
            self.faults,
            scheme=self._scheme,
            strict_api_version=strict_api_version,
            on_request=self._record_request,
        )
        source = DashboardSource(lambda: self.hubs, self.request_log, self._counters, self.faults)
        self._dashboard = DashboardHandler(source, host, is_secure=self._tls is not None)
        context = AdminContext(
            self.request_log,
            self.faults,
            lambda: self.hubs,
            self.reset,
            self.seed,
            self.dashboard_link,
            lambda parameters: verifier.issue_client_token(parameters, time.time()),
        )
        self._admin = AdminHandler(context, self._key, self._dashboard.is_authorized)
        self._request_seconds = request_seconds
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Listen. The emulator answers once this returns.

        Raises:
            OSError: The address is not available.
            ValueError: The certificate or its key is unreadable, or they do not match.
        """
        listener = Listener(
            self._handle,
            self._budget,
            self._request_seconds,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        await listener.start(self._host, self._port, self._ssl_context())
        self._listener, self._port = listener, listener.port

    async def stop(self) -> None:
        """Stop listening and close all connections. `hubs` and `request_log` stay readable."""
        listener, self._listener = self._listener, None
        self._rest.stop()
        if listener is not None:
            await listener.stop_accepting()
            await self._dashboard.stop()
            await self._websocket.stop()
            await listener.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def endpoint(self) -> Endpoint:
        """The URL and the access key. The port is known after `start`."""
        host = _ANY_ADDRESS.get(self._host, self._host)
        url_host = f"[{host}]" if ":" in host else host
        return Endpoint(f"{self._scheme}://{url_host}:{self._port}", self._key)

    @property
    def connection_string(self) -> str:
        """The connection string for clients. It holds the access key."""
        return f"Endpoint={self.endpoint.origin};AccessKey={self._key};Version=1.0;"

    def _origins(self) -> tuple[str, str]:
        """Return the host of this service, and the same with its port, for event handlers."""
        host = urlsplit(self.endpoint.origin).netloc
        return host.removesuffix(f":{self._port}"), host

    def dashboard_link(self) -> str:
        """Create a link that opens the dashboard once; before the first, there is no dashboard."""
        return f"{self.endpoint.origin}{self._dashboard.create_link()}"

    @property
    def hubs(self) -> Mapping[str, Hub]:
        """The hubs in use, by lower-case name."""
        return {name: state.hub for name, state in self._hubs.items()}

    def attach(
        self,
        hub: str,
        client: ConnectedClient,
        *,
        user_id: str | None = None,
        connection_id: str | None = None,
        groups: Iterable[str] = (),
    ) -> str:
        """Connect a simulated client and return its connection ID, which is a new one by default.

        Raises:
            ValueError: A name is invalid, or the ID is in use.
        """
        new_id = secrets.token_urlsafe(23) if connection_id is None else connection_id
        groups = tuple(groups)
        if not is_hub_name(hub) or not is_id(new_id) or not all(map(is_group_name, groups)):
            raise ValueError("the name of the hub, the connection or a group is invalid")
        if user_id is not None and not is_id(user_id):
            raise ValueError("the name of the user is invalid")
        state = self._hubs[hub_key(hub)]
        state.hub.connect(new_id, user_id, groups)
        state.clients.attach(new_id, client)
        return new_id

    def detach(self, hub: str, connection_id: str) -> None:
        """Disconnect a simulated client; an unknown one is ignored."""
        state = self._hubs.get(hub_key(hub))
        if state is not None:
            state.hub.disconnect(connection_id)
            state.clients.detach(connection_id)

    def seed(self, data: object) -> int:
        """Connect the clients of a seed, which ignore all messages, and return their number.

        Raises:
            SeedError: The seed is invalid, or an ID is in use; no client was connected.
        """
        return self.connect(read_seed(data))

    def connect(self, clients: Sequence[SeedClient]) -> int:
        """Connect the clients of a seed that was read, and return their number.

        Raises:
            SeedError: An ID is in use; no client was connected.
        """
        duplicates = [client for client in clients if self._is_connected(client)]
        if duplicates:
            ids = ", ".join(f"`{client.connection_id}`" for client in duplicates[:3])
            raise SeedError([SeedProblem(("clients",), f"already connected: {ids}")])
        for client in clients:
            self.attach_seeded(client)
        return len(clients)

    def attach_seeded(self, client: SeedClient) -> str:
        """Connect a client of a seed and return its connection ID. Errors: `attach`."""
        connection_id = self.attach(
            client.hub,
            NullClient(),
            user_id=client.user_id,
            connection_id=client.connection_id,
            groups=client.groups,
        )
        for permission, group in client.permissions:
            self._hubs[client.hub].hub.grant(permission, connection_id, group)
        return connection_id

    def reset(self) -> None:
        """Close all connections, and clear hubs, request log, counters and faults.

        The disconnect events of these connections, which may be delayed, are not recorded.
        """
        self._reset_connections = frozenset(
            connection_id for hub in self.hubs.values() for connection_id in hub.connections
        )
        for state in self._hubs.values():
            state.clients.close(state.hub.close(ALL_CONNECTIONS, "reset"))
        self.faults.replace(())
        self.request_log.clear()
        self._counters.reset()

    def _is_connected(self, client: SeedClient) -> bool:
        state = self._hubs.get(client.hub)
        return state is not None and client.connection_id in state.hub.connections

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._dashboard.handles(request.raw_path):
            return await self._dashboard.handle(request)
        if self._admin.handles(request.raw_path):
            return await self._admin.handle(request)
        if is_client_path(request.raw_path):
            return await self._websocket.handle(request)
        return await self._rest.handle(request)

    def _record_request(self, entry: RequestEntry, users: Users) -> None:
        self._counters.record(entry)
        self.request_log.add(time.time(), entry, users)
        if self._on_request is not None:
            self._on_request(entry)

    def _record_event(self, event: ClientEvent) -> None:
        if event.connection_id in self._reset_connections:
            return
        self._counters.record(event)
        users = self._hubs[event.hub].users_of(event.effect) if event.effect else ()
        self.request_log.add(time.time(), event, users)
        if self._on_event is not None:
            self._on_event(event)

    @property
    def _scheme(self) -> str:
        return "http" if self._tls is None else "https"

    def _ssl_context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(*self._tls)
        except OSError as error:  # includes SSLError
            certificate, key = self._tls
            reason = "not a PEM pair" if isinstance(error, ssl.SSLError) else error.strerror
            raise ValueError(
                f"cannot use the certificate `{certificate}` with the key `{key}`: {reason}"
            ) from None
        return context


def _check_key(key: str) -> str:
    is_plain = key.isprintable() and ";" not in key and key == key.strip()
    if len(key.encode("utf-8", "surrogatepass")) < MIN_KEY_BYTES or not is_plain:
        raise ValueError(
            f"the access key must have at least {MIN_KEY_BYTES} bytes, no `;`, no control "
            "characters, and no blanks around it"
        )
    return key
