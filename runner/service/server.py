"""The embedded service: start, stop, and clients that need no socket."""

import logging
import secrets
import ssl
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.http import HttpProcessingError

from runner.connect.endpoint import Endpoint
from runner.service.access import Gate
from runner.service.clients import Client
from runner.service.hub import Hub
from runner.service.names import hub_key, is_group, is_hub, is_id
from runner.service.rest.handler import Exchange, Rest, Room

logging.getLogger("runner.service").addHandler(logging.NullHandler())


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a record tells of a fault here. What is no HTTP is quoted, and may hold a token."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_HTTP_LOG = logging.getLogger("runner.service.http")
_HTTP_LOG.addFilter(_is_ours)

KEY_BYTES = 32
"""The least bytes an access key may have."""

_HEADER_BYTES = 32 * 1024
"""The longest request line and header: many `excluded`, and a token that repeats them."""

_STOP_SECONDS = 1.0
"""How long a stop waits for answers that are under way."""

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - told apart
"""Where a service that listens on all addresses is reached from this machine."""


class LocalService:
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
        strict_api_version: Refuse newer api-versions instead of warning on `runner.service`.
        on_request: Is given each exchange after it was answered.

    Raises:
        ValueError: The key is too short or cannot stand in a connection string, or one of
            certificate and key is missing.
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
        on_request: Callable[[Exchange], None] | None = None,
    ) -> None:
        if (tls_cert is None) is not (tls_key is None):
            raise ValueError("TLS needs both a certificate and its private key")
        self._key = _checked_key(access_key) if access_key is not None else secrets.token_hex(32)
        self._host, self._port = host, port
        self._tls = (tls_cert, tls_key) if tls_cert is not None else None
        self._rooms: defaultdict[str, Room] = defaultdict(Room)
        self._rest = Rest(
            self._rooms,
            Gate(self._key, allow_unvalidated_entra_tokens=allow_unvalidated_entra_tokens),
            scheme=self._scheme,
            strict_api_version=strict_api_version,
            on_request=on_request,
        )
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen. Once this returns, the service answers.

        Raises:
            OSError: The address cannot be had.
            ValueError: Certificate or key cannot be read, or do not belong together.
        """
        server = web.Server(
            self._rest.handle,
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
        if runner is not None:
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

    @property
    def hubs(self) -> Mapping[str, Hub]:
        """The hubs that were used, by lower-case name."""
        return {name: room.hub for name, room in self._rooms.items()}

    def attach(
        self,
        hub: str,
        client: Client,
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
        if not is_hub(hub) or not is_id(chosen) or not all(map(is_group, joined)):
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
