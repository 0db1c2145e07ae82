"""The HTTP client: sends one request to the service, and returns its reply or why there is none."""

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, Self

import aiohttp
from aiohttp import ClientRequest, ClientSession, ClientTimeout, DummyCookieJar
from multidict import CIMultiDict
from yarl import URL

from wps_run.actions.request import Request
from wps_run.connect.auth import Signer, TokenSource
from wps_run.connect.connector import (
    CanceledBeforeConnectionError,
    Connector,
    EarlyReplyError,
    NothingSentError,
)
from wps_run.connect.deadlines import Deadlines
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.entra import EntraTokens, create_entra_tokens
from wps_run.connect.log import LOG, RequestLogger
from wps_run.connect.proxy import Proxy, find_proxy
from wps_run.connect.reply import Cleaner, NoReply, NoReplyCode, Outcome, Reply, parse_reply
from wps_run.problems import SettingsError, is_out_of_files
from wps_run.redaction import MASK, NO_SECRETS, Secrets, clean_line
from wps_run.version import VERSION

MAX_BODY_BYTES = 64 * 1024
"""The most bytes of a response body that are read; errors of the service are far shorter."""

_WITHOUT_BODY = frozenset({"GET", "HEAD"})
"""Methods whose requests have no Content-Length; some gateways refuse it."""

_SHORTEST_HEADER = 4
"""Characters; a shorter value of a header is masked only there, since it occurs in any text."""

_UNLIMITED = ClientTimeout(total=None)
"""No limits of aiohttp: `Deadlines` limits the whole attempt."""


class _BareRequest(ClientRequest):
    """A request without automatic headers.

    `skip_auto_headers` has the same effect, but takes 5 % of a request's time.
    """

    _skip_auto_headers: CIMultiDict[None] | None = CIMultiDict({"Content-Type": None})

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        pass


class Connections:
    """The connections to one endpoint, and the tokens for them. Several clients may share them.

    Args:
        endpoint: The service and its key or identity.
        limit: The most connections.
        tokens: The source of tokens; the endpoint's key or identity by default.
        tls: The TLS context, such as one with a CA bundle; the system's by default.
        trust_env: Whether `HTTPS_PROXY` and `NO_PROXY` apply.
        now: The clock for tokens: seconds since the epoch.

    Attributes:
        endpoint, tokens: The arguments.
        entra_tokens: The source of tokens if it is Entra ID, else None.
        proxy: The proxy that requests go through, or None.
        deadlines: The time limits of the requests.

    Raises:
        SettingsError: The endpoint's key, its identity or the proxy cannot be used.
        ValueError: The TLS context does not verify the server.
    """

    def __init__(  # noqa: PLR0913 -- one endpoint; the rest has defaults and goes by name
        self,
        endpoint: Endpoint,
        *,
        limit: int,
        tokens: TokenSource | None = None,
        tls: ssl.SSLContext | None = None,
        trust_env: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        if tls and not (tls.check_hostname and tls.verify_mode is ssl.CERT_REQUIRED):
            raise ValueError("the TLS context must verify certificates and host names")
        self.endpoint = endpoint
        self.tokens = tokens or _token_source(endpoint)
        self.entra_tokens = self.tokens if isinstance(self.tokens, EntraTokens) else None
        self.proxy = find_proxy(endpoint) if trust_env else None
        self.deadlines = Deadlines()
        self._limit = limit
        self._tls = tls
        self._now = now
        self._opening = asyncio.Lock()
        self._session: ClientSession | None = None

    async def open(self) -> ClientSession:
        """Return the session that holds the connections; open it unless it is open.

        Raises:
            SettingsError: No token is available.
        """
        async with self._opening:
            if self._session is None:
                if self.proxy:
                    LOG.info("requests go through the proxy %s", self.proxy.address)
                if self.entra_tokens:
                    await self.entra_tokens.renew(self._now())
                self._session = self._new_session()
            return self._session

    def _new_session(self) -> ClientSession:
        session = ClientSession(
            connector=Connector(limit=self._limit, ssl=self._tls or True),
            cookie_jar=DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": f"wps-run/{VERSION}"},
            request_class=_BareRequest,
            auto_decompress=False,
        )
        # aiohttp retries a PUT or DELETE when a kept-alive connection drops, and has no public
        # option against it.
        session._retry_connection = False  # noqa: SLF001
        return session

    async def close(self) -> None:
        """Close all connections; nothing can be sent any more."""
        self.deadlines.close()
        if self._session:
            await self._session.close()


class Client:
    """Sends requests to one endpoint. An async context manager; usable while it is open.

    Every attempt is visible to the caller: the client never retries, follows no redirect and
    keeps no cookie.

    Args:
        endpoint: The service and its key or identity.
        concurrency: The most connections, and so requests in flight.
        connections: Connections that other clients use, too, and that stay open; its own, from
            `concurrency`, `tokens`, `tls` and `trust_env`, by default.
        tokens: The source of tokens; the endpoint's key or identity by default.
        tls: The TLS context, such as one with a CA bundle; the system's by default.
        secrets: Values to mask in logs and in what the server answers; the endpoint's key and
            each token are masked in any case.
        variables: Values of the playbook's variables. An error of the server that repeats one
            is shown without it.
        trust_env: Whether `HTTPS_PROXY` and `NO_PROXY` apply.
        now: The clock for tokens and dates: seconds since the epoch.

    Attributes:
        endpoint: The endpoint.

    Raises:
        SettingsError: The endpoint's key, its identity or the proxy cannot be used; on opening,
            no token is available.
        ValueError: The TLS context does not verify the server.
    """

    _session: ClientSession

    def __init__(  # noqa: PLR0913 -- one endpoint; the rest has defaults and goes by name
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        connections: Connections | None = None,
        tokens: TokenSource | None = None,
        tls: ssl.SSLContext | None = None,
        secrets: Secrets = NO_SECRETS,
        variables: Iterable[str] = (),
        trust_env: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.endpoint = endpoint
        self._is_shared = connections is not None
        self._connections = connections or Connections(
            endpoint, limit=concurrency, tokens=tokens, tls=tls, trust_env=trust_env, now=now
        )
        self._tokens = self._connections.tokens
        self._entra_tokens = self._connections.entra_tokens
        self._proxy = self._connections.proxy
        self._deadlines = self._connections.deadlines
        self._scheme, _, self._authority = endpoint.address.partition("://")
        shown = (value for _, value in endpoint.headers if len(value) >= _SHORTEST_HEADER)
        self._secrets = secrets.with_values(endpoint.key, *shown)
        self._variables = tuple(variables)
        self._now = now
        self._has_gateway = bool(endpoint.reverse_proxy or endpoint.headers)
        self._is_logging = LOG.isEnabledFor(logging.INFO)

    async def __aenter__(self) -> Self:
        self._session = await self._connections.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, unless they are shared; nothing can be sent any more."""
        if not self._is_shared:
            await self._connections.close()

    async def send(
        self,
        request: Request,
        *,
        timeout: float,  # noqa: ASYNC109 -- its expiry is an outcome, not an exception
        request_id: str,
        attempt: int = 1,
        body_limit: int = 0,
    ) -> tuple[Outcome, bytes]:
        """Send one request, once.

        A status line is a reply, even when the body is incomplete or late: the service has
        decided by then. With `body_limit`, a 200 is one only with its whole body.

        Args:
            request: The request; its path is sent byte for byte.
            timeout: Seconds for connection and response together.
            request_id: The `x-ms-client-request-id`, the same for each attempt of an action.
            attempt: The number of this attempt of the action, for the log.
            body_limit: The most bytes of the body of a 200, if the caller needs all of it.

        Returns:
            The reply, or why there is none, without secrets; and the beginning of the response
            body, which may contain a secret and is never logged. A body of more than `body_limit`
            bytes is cut behind it, by one byte.
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
            request = replace(request, path=self.endpoint.path_prefix + request.path)
            # Not headers of the session, which a forward proxy would receive, too.
            headers.update(self.endpoint.headers)
        clean = partial(self._clean, request, token)
        log: RequestLogger | None = None
        if self._is_logging:
            log = RequestLogger(request, request_id, attempt, self._secrets, clean)
            log.log_request({**headers, **{name: MASK for name, _ in self.endpoint.headers}})
        result = await self._exchange(request, headers, timeout, body_limit)
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
        if reply.is_gateway and self.endpoint.headers:
            reply = reply._replace(has_own_header=True)
        return reply

    def _clean(self, request: Request, token: str, text: str | None, length: int) -> str | None:
        """Turn a text of the server into one line that may be shown."""
        # The signature alone, too: a server may echo the token with its dots escaped.
        secrets = self._secrets.with_values(token, token.rpartition(".")[2])
        return clean_line(text, secrets, length, request.echoes(self._variables))

    async def _exchange(
        self, request: Request, headers: dict[str, str], seconds: float, body_limit: int
    ) -> tuple[aiohttp.ClientResponse, bytes] | NoReply:
        """Send the request; return the response and its first bytes, or why there is none."""
        response: aiohttp.ClientResponse | None = None
        body, limit, is_whole = bytearray(), MAX_BODY_BYTES, False
        try:
            with self._deadlines.limit(seconds):
                response = await self._session.request(
                    request.method,
                    self._url(request),
                    headers=headers,
                    data=request.body or None,
                    allow_redirects=False,
                    timeout=_UNLIMITED,
                    proxy=self._proxy.url if self._proxy else None,
                    proxy_headers=self._proxy.headers if self._proxy else None,
                )
                if body_limit and response.status == HTTPStatus.OK:
                    limit, is_whole = body_limit + 1, True
                while len(body) < limit and not response.content.at_eof():
                    body += await response.content.readany()
        except CanceledBeforeConnectionError as error:
            raise asyncio.CancelledError from error  # by other code, which expects no subclass
        except (aiohttp.ClientError, OSError) as error:
            if response is None or is_whole:
                return no_reply_from(error, self._proxy)
        finally:
            if response is not None:
                response.release()
        return response, bytes(body[:limit])

    @staticmethod
    def _headers(request: Request, token: str, request_id: str) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {token}",
            "x-ms-client-request-id": request_id,
        }
        if request.method not in _WITHOUT_BODY:
            headers["Content-Length"] = str(len(request.body))
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


def _token_source(endpoint: Endpoint) -> TokenSource:
    return create_entra_tokens(endpoint.identity) if endpoint.identity else Signer(endpoint)


class _Failure(NamedTuple):
    """What an exception means; the attributes but `kind` are those of `NoReply`.

    Attributes:
        kind: The exception.
        of_proxy: The message when the connection is to a proxy; `{}` is its address.
    """

    kind: type[Exception]
    sent: bool
    code: NoReplyCode
    message: str
    of_proxy: str = ""


_FAILURES = (
    _Failure(
        aiohttp.ConnectionTimeoutError,
        sent=False,
        code="timeout",
        message="could not connect in time",
        of_proxy="no connection through the proxy {} in time",
    ),
    _Failure(
        aiohttp.ClientConnectorDNSError,
        sent=False,
        code="dns",
        message="the name of the service could not be resolved",
        of_proxy="the name of the proxy {} could not be resolved",
    ),
    _Failure(
        aiohttp.ClientSSLError,
        sent=False,
        code="tls",
        message="no secure connection to the service",
        of_proxy="no secure connection to the proxy {}",
    ),
    _Failure(
        aiohttp.ClientConnectorError,
        sent=False,
        code="connect",
        message="the service could not be reached",
        of_proxy="the proxy {} could not be reached",
    ),
    _Failure(
        NothingSentError,
        sent=False,
        code="connect",
        message="the connection was closed, or a response arrived, before the request was sent",
        of_proxy="the proxy {} closed the connection, or did not respond as a proxy; "
        "nothing was sent",
    ),
    _Failure(TimeoutError, sent=True, code="timeout", message="no response came in time"),
    _Failure(
        aiohttp.ClientResponseError,
        sent=True,
        code="disconnected",
        message="the response is not HTTP",
    ),
    _Failure(
        EarlyReplyError,
        sent=True,
        code="disconnected",
        message="a response came before the whole request was sent",
    ),
    _Failure(
        Exception, sent=True, code="disconnected", message="the connection broke before a response"
    ),
)
"""The first match applies."""


def no_reply_from(error: Exception, proxy: Proxy | None = None) -> NoReply:
    """Derive from an exception why there is no reply, and whether the request may have been sent.

    Only failures that certainly precede the first byte count as not sent. The messages are
    ours with the system's reason, since those of aiohttp contain URLs and data of the server.

    Args:
        error: The exception.
        proxy: The proxy that the request was sent through, or None.
    """
    if isinstance(error.__cause__, CanceledBeforeConnectionError):
        error = aiohttp.ConnectionTimeoutError()
    if isinstance(error, aiohttp.ClientConnectorError) and is_out_of_files(error.os_error):
        message = "could not connect, since this process has too many open files"
        return NoReply(sent=False, code="open-files", message=message)
    if proxy and isinstance(error, aiohttp.ClientHttpProxyError):
        return _refusal_of(proxy, error)
    _, sent, code, message, of_proxy = next(row for row in _FAILURES if isinstance(error, row.kind))
    if proxy and not sent:
        code, message = _on_the_way(proxy, error, of_proxy)
    return NoReply(sent, code, message + _reason(error))


def _on_the_way(proxy: Proxy, error: Exception, message: str) -> tuple[NoReplyCode, str]:
    """Return the code and the message of a failure between here and the service, by a proxy."""
    is_tls = isinstance(error, aiohttp.ClientSSLError)
    if not isinstance(error, aiohttp.ClientConnectorError) or error.host == proxy.host:
        return "proxy-tls" if is_tls else "proxy", message.format(proxy.address)
    if is_tls:
        return "tls", f"no secure connection to the service through the proxy {proxy.address}"
    return "proxy", f"the proxy {proxy.address} closed the connection to the service"


def _refusal_of(proxy: Proxy, error: aiohttp.ClientHttpProxyError) -> NoReply:
    """Return what an answer to CONNECT that is not 200 means."""
    status = error.status
    code: NoReplyCode
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        code, fault = "proxy-auth", "requires a user and a password"
        offers = error.headers.getall("Proxy-Authenticate", ()) if error.headers else ()
        if offers and not any("basic" in offer.lower() for offer in offers):
            fault = "requires another authentication than Basic, which wps-run does not have"
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
