"""One HTTP session with the service: a Request goes out, a Reply or a NoReply comes back.

Which certificates are trusted: the system's, and those of a file.
"""

import logging
import os
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
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
from wps_run.problems import SettingsError
from wps_run.version import VERSION

MAX_BODY_BYTES = 64 * 1024
"""The most bytes of an answer that are read; errors of the service are far shorter."""

_GRACE = 0.05
"""Seconds between the end of connecting and the end of an attempt.

Both are bounded by the same timeout. The connection's runs out first, so that a connection
that never came is known as one: nothing was sent, and every action may be tried again.
"""

_EXACT = float("inf")
"""aiohttp rounds timeouts above this many seconds up to whole seconds; ours are not."""


class _Bare(ClientRequest):
    """A request with no headers but those that it is given.

    `skip_auto_headers` comes to the same, and costs a twentieth of a request: it goes through the
    headers anew each time. A test looks at all that leaves.
    """

    _skip_auto_headers: CIMultiDict[None] | None = CIMultiDict({"Content-Type": None})

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        """Add none."""


class Client:
    """Sends requests to one endpoint. An async context manager; usable while it is open.

    Every attempt is the caller's and visible to it: nothing is sent again in silence, no
    redirect is followed, no cookie is kept.

    Args:
        endpoint: Where the service is, and its key.
        concurrency: The most connections, and so requests in flight.
        tokens: Who makes the tokens; the endpoint's key or identity unless given.
        tls: The TLS context, such as one with a CA bundle added; the system's unless given.
        trust_env: Whether `HTTPS_PROXY` and `NO_PROXY` are heeded.
        now: The clock of tokens and dates: seconds since the epoch.

    Raises:
        SettingsError: The endpoint's key, its identity or the proxy cannot be used; when it is
            opened, that there is no token.
        ValueError: The TLS context does not verify the server.
    """

    def __init__(  # noqa: PLR0913 -- one endpoint; the rest has defaults and goes by name
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        tokens: TokenSource | None = None,
        tls: ssl.SSLContext | None = None,
        trust_env: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        if tls and not (tls.check_hostname and tls.verify_mode is ssl.CERT_REQUIRED):
            raise ValueError("the TLS context must verify certificates and host names")
        self._endpoint = endpoint
        self._concurrency = concurrency
        self._scheme, _, self._authority = endpoint.address.partition("://")
        self._tokens = tokens or _token_source(endpoint)
        self._renewed = self._tokens if isinstance(self._tokens, EntraTokens) else None
        self._tls = tls
        self._proxy = find_proxy(endpoint) if trust_env else None
        self._now = now
        self._deadlines = Deadlines()
        self._agent = f"wps-run/{VERSION}"
        self._logged = LOG.isEnabledFor(logging.INFO)

    async def __aenter__(self) -> Self:
        if self._renewed:
            await self._renewed.renew(self._now())
        self._session = ClientSession(
            connector=TCPConnector(limit=self._concurrency, ssl=self._tls or True),
            cookie_jar=DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": self._agent},
            request_class=_Bare,
            auto_decompress=False,
        )
        # aiohttp sends a PUT or DELETE again when a kept-alive connection drops; there is no
        # public switch for it. A test proves that this one works.
        self._session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deadlines.close()
        await self._session.close()

    async def send(
        self,
        request: Request,
        *,
        timeout: float,  # noqa: ASYNC109 -- it bounds connecting and answering, and is an outcome
        request_id: str,
        attempt: int = 1,
    ) -> tuple[Outcome, bytes]:
        """Send one request, once.

        A status line is an answer, even when the body after it breaks off or does not end in
        time: the service has decided by then, and the body is only words about it.

        Args:
            request: What to send; its path goes out byte for byte.
            timeout: Seconds for connection and answer together.
            request_id: The `x-ms-client-request-id`, the same for each attempt of an action.
            attempt: Which attempt of the action it is, for the log.

        Returns:
            The reply, or why there is none; neither holds a secret. And the beginning of the
            answer's body, which may hold one, and is never logged.
        """
        now = self._now()
        if self._renewed:
            try:
                await self._renewed.renew(now)
            except SettingsError as error:
                return NoReply(sent=False, code="token", message=str(error)), b""
        token = self._tokens.token(request.path, now)
        # The signature by itself too, since the dots around it may come back written otherwise.
        secrets = (token, token.rpartition(".")[2], self._endpoint.key)
        log = RequestLogger(request, request_id, attempt, secrets) if self._logged else None
        headers = self._headers(request, token, request_id)
        if log:
            log.sent(headers)
        answer = await self._exchange(request, headers, timeout)
        if isinstance(answer, NoReply):
            if log:
                log.broke(answer)
            return answer, b""
        response, body = answer
        if log:
            log.answered(response.status, response.headers, len(body))
        return (
            parse_reply(response.status, response.headers, body, now=self._now(), secrets=secrets),
            body,
        )

    async def _exchange(
        self, request: Request, headers: dict[str, str], seconds: float
    ) -> tuple[aiohttp.ClientResponse, bytes] | NoReply:
        """The answer with the beginning of its body, or why there is none."""
        response: aiohttp.ClientResponse | None = None
        body = bytearray()
        try:
            with self._deadlines.within(seconds + _GRACE):
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
        """Where a request goes, from parts: to take a URL apart would cost much more."""
        return URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=request.path,
            query_string=request.full_query,
            encoded=True,
        )


@lru_cache
def _timeout(seconds: float) -> ClientTimeout:
    """How long to wait for a connection; the whole of an attempt is bounded elsewhere."""
    return ClientTimeout(total=None, connect=seconds, ceil_threshold=_EXACT)


def _token_source(endpoint: Endpoint) -> TokenSource:
    return create_entra_tokens(endpoint.identity) if endpoint.identity else Signer(endpoint)


_NEVER_SENT: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ConnectionTimeoutError, "timeout", "no connection came about in time"),
    (aiohttp.ClientConnectorDNSError, "dns", "the name of the service could not be resolved"),
    (aiohttp.ClientProxyConnectionError, "connect", "the proxy could not be reached"),
    (aiohttp.ClientHttpProxyError, "connect", "the proxy refused the way to the service"),
    (aiohttp.ClientSSLError, "tls", "no secure connection to the service"),
    (aiohttp.ClientConnectorError, "connect", "the service could not be reached"),
)
"""Failures before the first byte: error, code and words. The first that fits is taken."""

_MAYBE_SENT: tuple[tuple[type[Exception], str, str], ...] = (
    (TimeoutError, "timeout", "no answer came in time"),
    (aiohttp.ClientResponseError, "disconnected", "the answer was not HTTP"),
)


def no_reply_from(error: Exception) -> NoReply:
    """Why no answer came, and whether the request may have left.

    Only failures that lie certainly before the first byte count as not sent. The texts are
    ours, with the system's reason: those of aiohttp hold URLs, and what a server sent.
    """
    for kinds, sent in ((_NEVER_SENT, False), (_MAYBE_SENT, True)):
        for kind, code, words in kinds:
            if isinstance(error, kind):
                return NoReply(sent, code, words + _reason(error))
    return NoReply(sent=True, code="disconnected", message="the connection broke before an answer")


def _reason(error: Exception) -> str:
    """` (reason)` as the system, TLS or the proxy gives it, else an empty text."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f" ({getattr(error.certificate_error, 'verify_message', 'bad certificate')})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f" (status {error.status})"
    if isinstance(error, aiohttp.ClientConnectorError):
        system = error.os_error
        # asyncio's own words hold the address once more; the system's are plain.
        number = system.errno or 0
        words = os.strerror(number) if number > 0 else system.strerror
        return f" ({words})" if words else ""
    return ""


def load_ca_bundle(file: str) -> ssl.SSLContext:
    """A context that trusts the system's CAs and those in a file.

    Args:
        file: A file of certificates in PEM form (`-----BEGIN CERTIFICATE-----`).

    Raises:
        SettingsError: It cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError:
        raise SettingsError(
            f"the CA bundle `{file}` holds no certificate in PEM form "
            "(`-----BEGIN CERTIFICATE-----`)"
        ) from None
    except OSError as error:
        raise SettingsError(f"cannot read the CA bundle `{file}`: {error.strerror}") from None
    return context
