"""The HTTP client: sends one request to the service, and returns its reply or why there is none."""

import logging
import os
import ssl
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Self

import aiohttp
from aiohttp import ClientRequest, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from multidict import CIMultiDict
from yarl import URL

from wps_run.actions.request import Request
from wps_run.connect.auth import Signer, TokenSource
from wps_run.connect.deadlines import Deadlines
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.entra import EntraTokens, create_entra_tokens
from wps_run.connect.log import LOG, RequestLogger
from wps_run.connect.proxy import find_proxy
from wps_run.connect.reply import NoReply, Outcome, parse_reply
from wps_run.problems import SettingsError, is_out_of_files
from wps_run.redaction import NO_SECRETS, Secrets, clean_line
from wps_run.version import VERSION

MAX_BODY_BYTES = 64 * 1024
"""The most bytes of a response body that are read; errors of the service are far shorter."""

_GRACE = 0.05
"""Seconds by which the time limit of an attempt exceeds that of its connection.

The connection's limit expires first, so that a missing connection is known as one: nothing was
sent, and every action may be retried.
"""

_EXACT = float("inf")
"""aiohttp rounds timeouts above this many seconds up to whole seconds; ours stay exact."""


class _BareRequest(ClientRequest):
    """A request without automatic headers.

    `skip_auto_headers` has the same effect, but takes 5 % of a request's time.
    """

    _skip_auto_headers: CIMultiDict[None] | None = CIMultiDict({"Content-Type": None})

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        pass


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
        self._secrets = secrets.with_values(endpoint.key)
        self._variables = tuple(variables)
        self._proxy = find_proxy(endpoint) if trust_env else None
        self._now = now
        self._deadlines = Deadlines()
        self._is_logging = LOG.isEnabledFor(logging.INFO)

    async def __aenter__(self) -> Self:
        if self._entra_tokens:
            await self._entra_tokens.renew(self._now())
        self._session = ClientSession(
            connector=TCPConnector(limit=self._concurrency, ssl=self._tls or True),
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
        clean = partial(self._clean, request, token)
        log = (
            RequestLogger(request, request_id, attempt, self._secrets, clean)
            if self._is_logging
            else None
        )
        headers = self._headers(request, token, request_id)
        if log:
            log.log_request(headers)
        result = await self._exchange(request, headers, timeout)
        if isinstance(result, NoReply):
            if log:
                log.log_failure(result)
            return result, b""
        response, body = result
        if log:
            log.log_response(response.status, response.headers, len(body))
        return (
            parse_reply(response.status, response.headers, body, now=self._now(), clean=clean),
            body,
        )

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
                return no_reply_from(error)
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
    (aiohttp.ClientProxyConnectionError, "connect", "the proxy could not be reached"),
    (aiohttp.ClientHttpProxyError, "connect", "the proxy refused to connect to the service"),
    (aiohttp.ClientSSLError, "tls", "no secure connection to the service"),
    (aiohttp.ClientConnectorError, "connect", "the service could not be reached"),
)
"""Failures before the first byte: exception, code and message. The first match applies."""

_MAYBE_SENT: tuple[tuple[type[Exception], str, str], ...] = (
    (TimeoutError, "timeout", "no answer came in time"),
    (aiohttp.ClientResponseError, "disconnected", "the answer was not HTTP"),
)


def no_reply_from(error: Exception) -> NoReply:
    """Derive from an exception why there is no reply, and whether the request may have been sent.

    Only failures that certainly precede the first byte count as not sent. The messages are
    ours with the system's reason, since those of aiohttp contain URLs and data of the server.
    """
    if isinstance(error, aiohttp.ClientConnectorError) and is_out_of_files(error.os_error):
        message = "could not connect, since this process has too many open files"
        return NoReply(sent=False, code="open-files", message=message)
    for failures, sent in ((_NEVER_SENT, False), (_MAYBE_SENT, True)):
        for kind, code, message in failures:
            if isinstance(error, kind):
                return NoReply(sent, code, message + _reason(error))
    return NoReply(sent=True, code="disconnected", message="the connection broke before an answer")


def _reason(error: Exception) -> str:
    """Return ` (reason)` as the system, TLS or the proxy gives it, else an empty text."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f" ({getattr(error.certificate_error, 'verify_message', 'bad certificate')})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f" (status {error.status})"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
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
