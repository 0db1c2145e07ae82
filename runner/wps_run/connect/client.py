"""The HTTP client: sends one request to the service, and returns its reply or why there is none."""

import asyncio
import logging
import os
import select
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Self

import aiohttp
from aiohttp import ClientRequest, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from wps_run.actions.request import Request
from wps_run.connect.auth import Signer, TokenSource
from wps_run.connect.deadlines import Deadlines
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.entra import EntraTokens, create_entra_tokens
from wps_run.connect.log import LOG, RequestLogger
from wps_run.connect.proxy import Proxy, find_proxy
from wps_run.connect.reply import Cleaner, NoReply, Outcome, Reply, parse_reply
from wps_run.problems import SettingsError, is_out_of_files
from wps_run.redaction import MASK, NO_SECRETS, Secrets, clean_line
from wps_run.version import VERSION

MAX_BODY_BYTES = 64 * 1024
"""The most bytes of a response body that are read; errors of the service are far shorter."""

_GRACE = 0.05
"""Seconds by which the time limit of an attempt exceeds that of its connection.

The connection's limit expires first, so that a missing connection is known as one: nothing was
sent, and every action may be retried.
"""

_SHORTEST_HEADER = 4
"""Characters; a shorter value of a header is masked only there, since it occurs in any text."""

_EXACT = float("inf")
"""aiohttp rounds timeouts above this many seconds up to whole seconds; ours stay exact."""


class _BareRequest(ClientRequest):
    """A request without automatic headers.

    `skip_auto_headers` has the same effect, but takes 5 % of a request's time.
    """

    _skip_auto_headers: CIMultiDict[None] | None = CIMultiDict({"Content-Type": None})

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        pass


class _NothingSentError(aiohttp.ClientConnectionError):
    """No request was written: a new connection, or that of a proxy, was closed or received data."""


class _EarlyReplyError(aiohttp.ClientConnectionError):
    """A success arrived before the whole request was written."""


class _HttpConnection(ResponseHandler):
    """A connection that accepts one reply to each request, and nothing else.

    Other data belongs to no request: a second reply, or bytes after a reply or on an idle
    connection. aiohttp would take it for the reply to the next request, which may never have been
    answered. It ends the connection, so that the next request goes to another one.
    """

    _replied: object = None
    """The parser of the last complete reply. aiohttp makes another one for each request."""

    _body: StreamReader | None = None
    """The body of the reply, as a stream, once its head is complete."""

    _body_size = 0
    """The bytes that were received after the head, with their framing."""

    _has_ended = False
    """Whether the other side has closed the connection. Over TLS, ours stays open for a while."""

    _poller: "select.poll | None" = None
    """Watches the socket. Made once, since making it takes longer than using it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if hasattr(select, "poll"):
            self._poller = select.poll()
            self._poller.register(transport.get_extra_info("socket"), select.POLLIN)

    def has_input(self) -> bool:
        """Whether bytes, or the end of the stream, wait to be read. Not known on Windows."""
        return self._poller is not None and bool(self._poller.poll(0))

    @property
    def is_new(self) -> bool:
        """Whether no request was sent yet."""
        return self._parser is None

    def is_connected(self) -> bool:
        """Whether it can be used. An idle connection with unread input cannot."""
        return not (
            self.transport is None
            or self.transport.is_closing()
            or self._has_ended
            or (self._parser is self._replied is not None and self.has_input())
        )

    def data_received(self, data: bytes) -> None:
        """Receive bytes: a reply head line by line, so that nothing after the reply is parsed."""
        if self._parser is self._replied:
            if data:
                self._close_unasked()
            else:
                super().data_received(data)
            return
        if self._body is None and 0 <= data.find(b"\r\n\r\n") == len(data) - 4:
            super().data_received(data)  # nearly always: one complete head
        else:
            self._receive_parts(data)
        if self._body is not None and self._body.is_eof():
            self._replied, self._body, self._body_size = self._parser, None, 0

    def _receive_parts(self, data: bytes) -> None:
        start = 0
        while self._body is None and self._exception is None and start < len(data):
            end = data.find(b"\n", start) + 1 or len(data)
            super().data_received(data[start:end])
            start = end
        if self._body is None or start == len(data):
            return
        if not self._body.is_eof():
            super().data_received(data[start:])
            self._body_size += len(data) - start
            # A body in chunks ends with an empty chunk.
            if (
                not self._body.is_eof()
                or self._body_size == self._body.total_bytes
                or data.endswith(b"\r\n\r\n")
            ):
                return
        self._close_unasked()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Receive a parsed head, with its body as a stream."""
        message, body = data
        if self._body is not None:
            self._close_unasked()
            return
        if message.version.major != 1:
            self.set_exception(HttpProcessingError(message="another version of HTTP"))
            return
        if not _is_informational(message.code):
            self._body = body
            if self.transport and self.transport.get_write_buffer_size():
                self.force_close()
                if message.code < HTTPStatus.MULTIPLE_CHOICES:
                    self.set_exception(_EarlyReplyError())
                    return
        super().feed_data(data, size)

    def eof_received(self) -> None:
        self._has_ended = True
        super().eof_received()

    def _close_unasked(self) -> None:
        LOG.info("closed a connection: it received data that belongs to no request")
        self.force_close()
        self.abort()


def _is_informational(status: int) -> bool:
    """Whether another head follows. After 101, which was not requested, the protocol is unknown."""
    return 100 <= status < 200 and status != HTTPStatus.SWITCHING_PROTOCOLS  # noqa: PLR2004


class _Connector(TCPConnector):
    """Gives connections without unread data; `is_connected` keeps out the idle ones with some."""

    def __init__(self, *, limit: int, ssl: ssl.SSLContext | bool) -> None:
        super().__init__(limit=limit, ssl=ssl)
        self._factory = partial(_HttpConnection, loop=self._loop)  # type: ignore[assignment]

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        """Return a kept-alive connection, or a new one on which the server is silent, too.

        Raises:
            aiohttp.ClientConnectionError: There is none. Nothing was sent.
        """
        try:
            connection = await super().connect(req, traces, timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, TimeoutError):
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise _NothingSentError from error
        protocol = connection.protocol
        if not isinstance(protocol, _HttpConnection):
            raise TypeError("aiohttp made a connection of another type")
        if not protocol.is_new:
            return connection
        if protocol.has_input():
            # The event loop reads it first: over TLS it may be other than data.
            for _ in range(2):
                await asyncio.sleep(0)  # noqa: TID251 -- only lets the event loop run
        if protocol.is_connected():
            return connection
        connection.close()
        raise _NothingSentError


class Client:
    """Sends requests to one endpoint. An async context manager; usable while it is open.

    Every attempt is visible to the caller: the client never retries, follows no redirect and
    keeps no cookie.

    Args:
        endpoint: The service and its key or identity.
        concurrency: The most connections, and so requests in flight.
        tokens: The source of tokens; the endpoint's key or identity by default.
        tls: The TLS context, such as one with a CA bundle; the system's by default.
        secrets: Values to mask in logs and in what the server answers; the endpoint's key and
            each token are masked in any case.
        variables: Values of the playbook's variables. An error of the server that repeats one
            is shown without it.
        trust_env: Whether `HTTPS_PROXY` and `NO_PROXY` apply.
        now: The clock for tokens and dates: seconds since the epoch.

    Raises:
        SettingsError: The endpoint's key, its identity or the proxy cannot be used; on opening,
            no token is available.
        ValueError: The TLS context does not verify the server.
    """

    def __init__(  # noqa: PLR0913 -- one endpoint; the rest has defaults and goes by name
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        tokens: TokenSource | None = None,
        tls: ssl.SSLContext | None = None,
        secrets: Secrets = NO_SECRETS,
        variables: Iterable[str] = (),
        trust_env: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        if tls and not (tls.check_hostname and tls.verify_mode is ssl.CERT_REQUIRED):
            raise ValueError("the TLS context must verify certificates and host names")
        self._endpoint = endpoint
        self._concurrency = concurrency
        self._scheme, _, self._authority = endpoint.address.partition("://")
        self._tokens = tokens or _token_source(endpoint)
        self._entra_tokens = self._tokens if isinstance(self._tokens, EntraTokens) else None
        self._tls = tls
        shown = (value for _, value in endpoint.headers if len(value) >= _SHORTEST_HEADER)
        self._secrets = secrets.with_values(endpoint.key, *shown)
        self._variables = tuple(variables)
        self._proxy = find_proxy(endpoint) if trust_env else None
        self._now = now
        self._deadlines = Deadlines()
        self._has_gateway = bool(endpoint.reverse_proxy or endpoint.headers)
        self._is_logging = LOG.isEnabledFor(logging.INFO)

    async def __aenter__(self) -> Self:
        if self._proxy:
            LOG.info("requests go through the proxy %s", self._proxy.address)
        if self._entra_tokens:
            await self._entra_tokens.renew(self._now())
        self._session = ClientSession(
            connector=_Connector(limit=self._concurrency, ssl=self._tls or True),
            cookie_jar=DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": f"wps-run/{VERSION}"},
            request_class=_BareRequest,
            auto_decompress=False,
        )
        # aiohttp retries a PUT or DELETE when a kept-alive connection drops, and has no public
        # option against it.
        self._session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; nothing can be sent any more."""
        self._deadlines.close()
        await self._session.close()

    async def send(
        self,
        request: Request,
        *,
        timeout: float,  # noqa: ASYNC109 -- its expiry is an outcome, not an exception
        request_id: str,
        attempt: int = 1,
    ) -> tuple[Outcome, bytes]:
        """Send one request, once.

        A status line is a reply, even when the body is incomplete or late: the service has
        decided by then.

        Args:
            request: The request; its path is sent byte for byte.
            timeout: Seconds for connection and response together.
            request_id: The `x-ms-client-request-id`, the same for each attempt of an action.
            attempt: The number of this attempt of the action, for the log.

        Returns:
            The reply, or why there is none, without secrets; and the beginning of the response
            body, which may contain a secret and is never logged.
        """
        now = self._now()
        if self._entra_tokens:
            try:
                await self._entra_tokens.renew(now)
            except SettingsError as error:
                return NoReply(sent=False, code="token", message=str(error)), b""
        token = self._tokens.token(request.path, now)
        headers = self._headers(request, token, request_id)
        if self._has_gateway:
            request = replace(request, path=self._endpoint.path_prefix + request.path)
            # Not headers of the session, which a forward proxy would receive, too.
            headers.update(self._endpoint.headers)
        clean = partial(self._clean, request, token)
        log: RequestLogger | None = None
        if self._is_logging:
            log = RequestLogger(request, request_id, attempt, self._secrets, clean)
            log.log_request({**headers, **{name: MASK for name, _ in self._endpoint.headers}})
        result = await self._exchange(request, headers, timeout)
        if isinstance(result, NoReply):
            if log:
                log.log_failure(result)
            return result, b""
        response, body = result
        if log:
            log.log_response(response.status, response.headers, len(body))
        return self._parse(response, body, clean), body

    def _parse(self, response: aiohttp.ClientResponse, body: bytes, clean: Cleaner) -> Reply:
        reply = parse_reply(
            response.status,
            response.headers,
            body,
            now=self._now(),
            clean=clean,
            has_gateway=self._has_gateway,
        )
        if self._entra_tokens and reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            reply = reply._replace(by_identity=True)
        return reply

    def _clean(self, request: Request, token: str, text: str | None, length: int) -> str | None:
        """Turn a text of the server into one line that may be shown."""
        # The signature alone, too: a server may echo the token with its dots escaped.
        secrets = self._secrets.with_values(token, token.rpartition(".")[2])
        return clean_line(text, secrets, length, request.echoes(self._variables))

    async def _exchange(
        self, request: Request, headers: dict[str, str], seconds: float
    ) -> tuple[aiohttp.ClientResponse, bytes] | NoReply:
        """Send the request; return the response and its first bytes, or why there is none."""
        response: aiohttp.ClientResponse | None = None
        body = bytearray()
        try:
            with self._deadlines.limit(seconds + _GRACE):
                response = await self._session.request(
                    request.method,
                    self._url(request),
                    headers=headers,
                    data=request.body or None,
                    allow_redirects=False,
                    timeout=_timeout(seconds),
                    proxy=self._proxy.url if self._proxy else None,
                    proxy_headers=self._proxy.headers if self._proxy else None,
                )
                while len(body) < MAX_BODY_BYTES and (chunk := await response.content.readany()):
                    body += chunk
        except (aiohttp.ClientError, OSError) as error:
            if response is None:
                return no_reply_from(error, self._proxy)
        finally:
            if response is not None:
                response.release()
        return response, bytes(body[:MAX_BODY_BYTES])

    @staticmethod
    def _headers(request: Request, token: str, request_id: str) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {token}",
            "x-ms-client-request-id": request_id,
            "Content-Length": str(len(request.body)),
        }
        if request.content_type is not None:
            headers["Content-Type"] = request.content_type
        return headers

    def _url(self, request: Request) -> URL:
        """Build the URL from its parts, which is faster than parsing it."""
        return URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=request.path,
            query_string=request.full_query,
            encoded=True,
        )


@lru_cache
def _timeout(seconds: float) -> ClientTimeout:
    """Limit the time to connect. `Deadlines` limits the whole attempt."""
    return ClientTimeout(total=None, connect=seconds, ceil_threshold=_EXACT)


def _token_source(endpoint: Endpoint) -> TokenSource:
    return create_entra_tokens(endpoint.identity) if endpoint.identity else Signer(endpoint)


_NEVER_SENT: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ConnectionTimeoutError, "timeout", "could not connect in time"),
    (aiohttp.ClientConnectorDNSError, "dns", "the name of the service could not be resolved"),
    (aiohttp.ClientSSLError, "tls", "no secure connection to the service"),
    (aiohttp.ClientConnectorError, "connect", "the service could not be reached"),
    (
        _NothingSentError,
        "connect",
        "the connection was closed, or brought an answer, before the request was sent",
    ),
)
"""Failures before the first byte: exception, code and message. The first match applies."""

_MAYBE_SENT: tuple[tuple[type[Exception], str, str], ...] = (
    (TimeoutError, "timeout", "no answer came in time"),
    (aiohttp.ClientResponseError, "disconnected", "the answer was not HTTP"),
    (_EarlyReplyError, "disconnected", "an answer came before the whole request was sent"),
)


def no_reply_from(error: Exception, proxy: Proxy | None = None) -> NoReply:
    """Derive from an exception why there is no reply, and whether the request may have been sent.

    Only failures that certainly precede the first byte count as not sent. The messages are
    ours with the system's reason, since those of aiohttp contain URLs and data of the server.

    Args:
        error: The exception.
        proxy: The proxy that the request was sent through, or None.
    """
    if isinstance(error, aiohttp.ClientConnectorError) and is_out_of_files(error.os_error):
        message = "could not connect, since this process has too many open files"
        return NoReply(sent=False, code="open-files", message=message)
    if proxy and (failure := _failure_of(proxy, error)):
        return failure
    for failures, sent in ((_NEVER_SENT, False), (_MAYBE_SENT, True)):
        for kind, code, message in failures:
            if isinstance(error, kind):
                return NoReply(sent, code, message + _reason(error))
    return NoReply(sent=True, code="disconnected", message="the connection broke before an answer")


_PROXY_FAILURES: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ClientConnectorDNSError, "proxy", "the name of the proxy {} could not be resolved"),
    (aiohttp.ClientSSLError, "proxy-tls", "no secure connection to the proxy {}"),
    (aiohttp.ClientConnectorError, "proxy", "the proxy {} could not be reached"),
    (aiohttp.ConnectionTimeoutError, "proxy", "no connection through the proxy {} in time"),
    (
        _NothingSentError,
        "proxy",
        "the proxy {} closed the connection, or did not answer as a proxy; nothing was sent",
    ),
)
"""Like `_NEVER_SENT`; the address of the proxy goes into the message."""


def _failure_of(proxy: Proxy, error: Exception) -> NoReply | None:
    """Return how a proxy failed before anything was sent to the service, or None if it did not."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refusal_of(proxy, error)
    if isinstance(error, aiohttp.ClientConnectorError) and error.host != proxy.host:
        code, message = "proxy", f"the proxy {proxy.address} closed the connection to the service"
        if isinstance(error, aiohttp.ClientSSLError):
            code = "tls"
            message = f"no secure connection to the service through the proxy {proxy.address}"
        return NoReply(sent=False, code=code, message=message + _reason(error))
    for kind, code, text in _PROXY_FAILURES:
        if isinstance(error, kind):
            message = text.format(proxy.address) + _reason(error)
            return NoReply(sent=False, code=code, message=message)
    return None


def _refusal_of(proxy: Proxy, error: aiohttp.ClientHttpProxyError) -> NoReply:
    """Return what an answer to CONNECT that is not 200 means."""
    status = error.status
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        code, fault = "proxy-auth", "asks for a user and a password"
        offers = error.headers.getall("Proxy-Authenticate", ()) if error.headers else ()
        if offers and not any("basic" in offer.lower() for offer in offers):
            fault = "asks for another login than Basic, which wps-run does not have"
        elif proxy.headers:
            fault = "refuses the user and the password"
    elif status in {408, 429} or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        code, fault = "proxy", "could not connect to the service"
    else:
        code, fault = "proxy-denied", "refused to connect to the service"
    message = f"the proxy {proxy.address} {fault} (status {status})"
    return NoReply(sent=False, code=code, message=message)


def _reason(error: Exception) -> str:
    """Return ` (reason)` as the system or TLS gives it, else an empty text."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f" ({getattr(error.certificate_error, 'verify_message', 'bad certificate')})"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, ssl.SSLError):  # its number is not the system's
            return f" ({cause.reason.lower().replace('_', ' ')})" if cause.reason else ""
        number = cause.errno or 0
        # asyncio's own text repeats the address; the system's does not.
        reason = os.strerror(number) if number > 0 else cause.strerror
        return f" ({reason})" if reason else ""
    return ""


def load_ca_bundle(file: str, content: bytes) -> ssl.SSLContext:
    """Create a TLS context that trusts the system's CAs and those of a PEM file.

    Args:
        file: The name of the file in messages.
        content: Its content.

    Raises:
        SettingsError: It contains no certificate.
    """
    context = ssl.create_default_context()
    pem = content.decode("ascii", errors="backslashreplace")  # only comments are not ASCII
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise SettingsError(
            f"the CA bundle `{file}` contains no certificate in PEM form "
            "(`-----BEGIN CERTIFICATE-----`)"
        ) from None
    return context
