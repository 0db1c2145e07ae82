"""Read the live state of a hub: who is there, who is in a group, who may do what.

Reads change nothing, so each is retried like an idempotent action. What a server answers is
checked: the reader never follows a link to another place, and never reads without an end.
"""

import asyncio
import json
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Protocol

import msgspec

from wps_run.actions.reads import (
    CHECK_PERMISSION,
    CONNECTION_EXISTS,
    GENERATE_TOKEN,
    GROUP_EXISTS,
    LIST_CONNECTIONS,
    PAGE_QUERY,
    READS,
    USER_EXISTS,
)
from wps_run.actions.request import Request, RequestTemplate
from wps_run.actions.table import RestOperation
from wps_run.connect.client import Client
from wps_run.connect.client_token import (
    ClientTokenOptions,
    build_token_request,
    parse_token_response,
)
from wps_run.connect.reply import Reply
from wps_run.execution.errors import error_for
from wps_run.execution.limits import (
    ConcurrencyLimiter,
    RateLimiter,
    Wait,
    WaitNotices,
    is_throttling,
)
from wps_run.execution.retry import NO_ATTEMPT, Retry, RetryPolicy, is_missing
from wps_run.input_limits import LIVE_CONNECTIONS, LIVE_PAGE
from wps_run.playbook.live import LiveConnection
from wps_run.playbook.options import Delivery, RunOptions
from wps_run.problems import WpsRunError, shorten
from wps_run.text import escape_invisible, truncate_middle


class ReadError(WpsRunError):
    """Something cannot be read of the service.

    Attributes:
        code: A stable name: the service's error code, that of a failed request, or `bad-answer`.
        message: What cannot be read, and why. Contains no secret.
        hint: What to do, or "".
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code, self.message, self.hint = code, message, hint
        super().__init__("; ".join(filter(None, (message, hint))))


class StateSource(Protocol):
    """What can be asked about the state of one hub. Each method may raise `ReadError`."""

    async def members(self, group: str) -> tuple[LiveConnection, ...]:
        """Return the connections in a group, ordered by their IDs."""
        ...

    async def user_exists(self, user_id: str) -> bool:
        """Whether the user has a connection."""
        ...

    async def connection_exists(self, connection_id: str) -> bool: ...

    async def group_exists(self, group: str) -> bool:
        """Whether the group has a connection."""
        ...

    async def has_permission(self, connection_id: str, permission: str, target_name: str) -> bool:
        """Whether a connection may do something in the group `target_name`."""
        ...


class StateReader:
    """Reads the state of one hub over HTTP: the `StateSource` of the real service.

    Args:
        client: An open client of the hub's endpoint.
        hub: The hub.
        options: The retries, the timeout, the concurrency and the rate of reads.
        on_wait: Called at the beginning of a wait that the service requests, once for each.
    """

    def __init__(
        self,
        client: Client,
        hub: str,
        options: RunOptions,
        *,
        on_wait: Callable[[Wait], object] | None = None,
    ) -> None:
        self._client = client
        self._hub = hub
        self._options = options
        self._on_wait = on_wait
        self._templates = {read.operation: RequestTemplate(read, hub) for read in READS}
        self._policy = RetryPolicy(options.retry)
        self._limiter = ConcurrencyLimiter(options.concurrency)
        self._rate = RateLimiter(options.rate)
        self._wait_notices = WaitNotices()
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    async def user_exists(self, user_id: str) -> bool:
        """Whether the user has a connection.

        Raises:
            ReadError: It cannot be read.
        """
        return await self._exists(USER_EXISTS, _name("user", user_id), userId=user_id)

    async def connection_exists(self, connection_id: str) -> bool:
        """Whether the connection is open.

        Raises:
            ReadError: It cannot be read.
        """
        subject = _name("connection", connection_id)
        return await self._exists(CONNECTION_EXISTS, subject, connectionId=connection_id)

    async def group_exists(self, group: str) -> bool:
        """Whether the group has a connection.

        Raises:
            ReadError: It cannot be read.
        """
        return await self._exists(GROUP_EXISTS, _name("group", group), group=group)

    async def has_permission(self, connection_id: str, permission: str, target_name: str) -> bool:
        """Whether a connection may do something in the group `target_name`.

        A connection that does not exist may not.

        Raises:
            ReadError: It cannot be read.
        """
        return await self._exists(
            CHECK_PERMISSION,
            f"permission {permission} of {_name('connection', connection_id)}",
            connectionId=connection_id,
            permission=permission,
            targetName=target_name,
        )

    async def members(self, group: str) -> tuple[LiveConnection, ...]:
        """Return the connections in a group, ordered by their IDs.

        Raises:
            ReadError: They cannot be read.
        """
        members = [member async for page in self.pages(group) for member in page]
        members.sort()
        return tuple(members)

    async def pages(self, group: str) -> AsyncIterator[list[LiveConnection]]:
        """Yield the connections in a group page by page, each connection once.

        Of the link to the next page only the query is used: its host may be another one behind a
        gateway, and a token must not go elsewhere; its path may be encoded in another way.

        Raises:
            ReadError: They cannot be read.
        """
        subject = _name("group", group)
        request = self._templates[LIST_CONNECTIONS.operation].fill({"group": group})
        users: dict[str, str | None] = {}
        queries = {query := PAGE_QUERY}
        while True:
            page = await self._read_page(replace(request, query=query), subject)
            new = _new_members(page, users)
            if new is None:
                raise self._bad_answer(subject, "lists a connection with two users")
            yield new
            if not page.next_link:
                return
            query = next_query(page.next_link)
            if not query or query in queries:
                raise self._bad_answer(subject, "has a link to a next page that leads nowhere")
            queries.add(query)
            if len(users) > LIVE_CONNECTIONS.value:
                raise self._error(subject, "too-many", f"it {LIVE_CONNECTIONS.error}")
            if _is_endless(len(queries), len(users)):
                raise self._bad_answer(
                    subject, f"does not end: {len(queries)} pages have {len(users)} connections"
                )

    async def client_token(self, options: ClientTokenOptions) -> str:
        """Let the service create the token of a client, for a caller without the access key.

        Raises:
            ReadError: The service creates none.
            UsageError: The lifetime is not in whole minutes.
        """
        subject = _name("client token of user", options.user) if options.user else "client token"
        request = build_token_request(self._hub, options)
        _, body = await self._send(GENERATE_TOKEN, request, subject)
        token = parse_token_response(body)
        if token is None:
            raise self._bad_answer(subject, "has no token")
        return token

    async def _read_page(self, request: Request, subject: str) -> "_Page":
        outcome, body = await self._send(LIST_CONNECTIONS, request, subject)
        if is_missing(outcome):
            return _Page(value=[])
        if len(body) > LIVE_PAGE.value:
            raise self._bad_answer(subject, LIVE_PAGE.error)
        try:
            return parse_page(body)
        except ValueError as error:
            raise self._bad_answer(subject, f"is no list of connections: {error}") from None

    def _bad_answer(self, subject: str, predicate: str) -> ReadError:
        hint = "check that the endpoint is the service's own"
        return self._error(subject, "bad-answer", f"the response {predicate}", hint)

    def _error(self, subject: str, code: str, reason: str, hint: str = "") -> ReadError:
        message = f"cannot read the {subject} of hub {self._hub}: {reason}"
        return ReadError(code, shorten(message), hint)

    async def _exists(self, read: RestOperation, subject: str, **values: str) -> bool:
        request = self._templates[read.operation].fill(values)
        outcome, _ = await self._send(read, request, subject)
        return not is_missing(outcome)

    async def _send(
        self, read: RestOperation, request: Request, subject: str
    ) -> tuple[Reply, bytes]:
        """Send a read until it is answered: with a success, or that its target is missing.

        Raises:
            ReadError: It is not answered, or refused.
        """
        history, request_id = NO_ATTEMPT, str(uuid.uuid4())
        while True:
            await self._wait_for_turn()
            sent = time.monotonic()
            try:
                outcome, body = await self._client.send(
                    request,
                    timeout=self._options.timeout,
                    request_id=request_id,
                    attempt=history.attempts + 1,
                    body_limit=LIVE_PAGE.value if request.method == "GET" else 0,
                )
                history = history.after(read, outcome)
                chance = random.random()  # noqa: S311 -- only spreads the retries
                if is_throttling(outcome):
                    pause = self._policy.throttle_pause(history, chance)
                    self._limiter.throttled(sent, time.monotonic(), pause)
                elif isinstance(outcome, Reply):
                    self._limiter.accepted(sent)
            finally:
                self._limiter.in_flight -= 1
                self._changed.set()
            if isinstance(outcome, Reply) and (_is_answer(read, outcome) or is_missing(outcome)):
                return outcome, body
            decision = self._policy.decide(read, Delivery.AT_LEAST_ONCE, history, chance)
            if not isinstance(decision, Retry):
                error = error_for(read, outcome, in_doubt=False)
                raise self._error(subject, error.code, error.message, error.hint)
            self._report_wait(outcome, decision.delay)
            await asyncio.sleep(decision.delay)  # noqa: TID251 -- the pause between two attempts

    async def _wait_for_turn(self) -> None:
        """Wait until a request may start, and count it as in flight. First come, first served."""
        async with self._turn:
            while (delay := self._delay()) is None or delay > 0:
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
            self._rate.reserve(time.monotonic())
            self._limiter.in_flight += 1

    def _delay(self) -> float | None:
        """Return the seconds until a request may start, or None: when another one has ended."""
        if self._limiter.is_full:
            return None
        return max(self._rate.next_at, self._limiter.next_at) - time.monotonic()

    def _report_wait(self, outcome: object, delay: float) -> None:
        if self._on_wait is None or not isinstance(outcome, Reply) or not outcome.retry_after:
            return
        if self._wait_notices.is_due(time.monotonic(), delay):
            self._on_wait(Wait(delay, outcome, is_throttling(outcome)))


def _is_answer(read: RestOperation, reply: Reply) -> bool:
    return reply.status in read.success and not reply.is_page


class _Member(msgspec.Struct, rename="camel", gc=False):
    """A connection in a page."""

    connection_id: Annotated[str, msgspec.Meta(min_length=1)]
    user_id: str | None = None


class _Page(msgspec.Struct, rename="camel", gc=False):
    """A page of the connections in a group."""

    value: list[_Member]
    next_link: str | None = None


_decode_page = msgspec.json.Decoder(_Page).decode


def parse_page(body: bytes) -> _Page:
    """Parse a page.

    Raises:
        ValueError: It is not JSON, or has another content. The message quotes none of it.
    """
    try:
        return _decode_page(body)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):
        return _parse_leniently(body)


def _parse_leniently(body: bytes) -> _Page:
    """Parse a page with halves of surrogate pairs, which msgspec refuses."""
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    try:
        return msgspec.convert(content, _Page)
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise ValueError("it is other JSON") from None


def _new_members(page: _Page, users: dict[str, str | None]) -> list[LiveConnection] | None:
    """Return the connections of a page that are not in `users`, and add them to it.

    A connection may be on two pages, since others come and go between two requests. None if it
    has another user there, which cannot be.
    """
    listed = {member.connection_id: member.user_id or None for member in page.value}
    if len(listed) < len(page.value) and any(
        listed[member.connection_id] != (member.user_id or None) for member in page.value
    ):
        return None
    for connection in users.keys() & listed.keys():
        if users[connection] != listed.pop(connection):
            return None
    users.update(listed)
    return [LiveConnection._make(item) for item in listed.items()]


_MAX_QUERY = 8 * 1024
"""The most characters of the query of a link."""

_URL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*")


def next_query(link: str) -> str:
    """Return the query of the link to the next page, without api-version; "" if it has none.

    A link with characters that no URL has is no link.
    """
    query = link.partition("#")[0].partition("?")[2]
    if len(query) > _MAX_QUERY or not _URL.fullmatch(query):
        return ""
    pairs = [pair for pair in query.split("&") if pair]
    return "&".join(pair for pair in pairs if not pair.lower().startswith("api-version="))


MOST_SHORT_PAGES, SHORT_PAGE = 500, 10
"""More pages than these must have more new connections than this, on average. The service puts
up to 200 on a page, so such a list has no end."""


def _is_endless(pages: int, members: int) -> bool:
    return pages > MOST_SHORT_PAGES and members < pages * SHORT_PAGE


def _name(kind: str, name: str) -> str:
    return f"{kind} `{truncate_middle(escape_invisible(name), MOST_SHOWN)}`"


MOST_SHOWN = 100
"""The most columns of a name in a message."""
