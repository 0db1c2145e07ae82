"""Sends the events of clients to event handlers over HTTP, and returns what they answer.

Everything is bounded: the time for an event, the size of an answer, the requests at the same time,
and the events that wait. Redirects are not followed and no proxy is used, so that no event leaves
for a host that was not allowed.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from wps_run.emulator.connections import WarningLimiter
from wps_run.emulator.effects import DataType, Deliver, Effect, Message
from wps_run.emulator.events.cloud_events import (
    AnswerError,
    ConnectAnswer,
    Event,
    EventSource,
    HandlerResponse,
    allows_origin,
    connect_event,
    connected_event,
    connection_states,
    disconnected_event,
    event_headers,
    parse_connect_answer,
    parse_user_event_answer,
    user_event,
    validation_headers,
)
from wps_run.emulator.events.configuration import EventHandler, display_url, find_handler
from wps_run.emulator.faults import (
    FaultDecision,
    FaultInjector,
    FaultKind,
    FaultTiming,
    InjectedFault,
)
from wps_run.emulator.request_log import ClientEvent, EventKind
from wps_run.input_limits import EVENT_ANSWER

_LOG = logging.getLogger("wps_run.emulator")

EVENT_SECONDS = 30.0
"""How long an event may take, from its validation to the last byte of the answer."""

_VALIDATION_SECONDS = 10.0
"""How long the validation of an event handler may take."""

_VALID_SECONDS = 60.0
"""After this time, a validation is repeated, while events are sent on."""

_REQUEST_LIMIT = 100
"""The most requests at the same time; further ones wait."""

_WAITING_LIMIT = 10_000
"""The most events `connected` and `disconnected` that wait; further ones are not sent."""

_KEEP_ALIVE_SECONDS = 4.0
"""Less than the 5 seconds after which Node's and other servers close an unused connection."""

_ORDER_SECONDS = 0.5
"""How long `disconnected` waits for the answer to `connected`."""

_STOP_SECONDS = 1.0
"""How long a stop waits for events in progress."""

_CANCELED = "canceled, as the client has disconnected or the emulator stops"

_NOT_FOUND = 404
_NO_HEADERS: MultiMapping[str] = CIMultiDict()

_T = TypeVar("_T")


class EventFailedError(Exception):
    """An event reached no handler, or its answer is no success or invalid. The message says why.

    Attributes:
        answer: What the handler answered; None without a complete and valid answer.
    """

    def __init__(self, reason: str, answer: HandlerResponse | None = None) -> None:
        super().__init__(reason)
        self.answer = answer


@dataclass(slots=True)
class _Validation:
    """Whether a URL may receive events, when to ask again, and the task that asks."""

    is_allowed: bool = False
    expires_at: float = 0.0
    reason: str = ""
    task: asyncio.Task[None] | None = None


class EventDispatcher:
    """Sends events to event handlers.

    Args:
        handlers: The event handlers. Clients of a hub without one cause no events.
        key: The access key, which signs.
        faults: The faults, of which those that name events apply.
        origins: Returns the names of this service: its host, and the host with the port.
        seconds: How long an event may take.
        on_event: Is called with the outcome of each event.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self,
        handlers: Sequence[EventHandler],
        *,
        key: str,
        faults: FaultInjector,
        origins: Callable[[], tuple[str, str]],
        seconds: float,
        on_event: Callable[[ClientEvent], None],
    ) -> None:
        self._handlers = tuple(handlers)
        self._key = key
        self._faults = faults
        self._origins = origins
        self._seconds = seconds
        self._on_event = on_event
        self._sources: dict[str, EventSource] = {}
        self._validations: dict[str, _Validation] = {}
        self._session: aiohttp.ClientSession | None = None
        self._notifications: set[asyncio.Task[Any]] = set()
        self._blocking: set[asyncio.Task[Any]] = set()
        self._user_events: dict[str, set[asyncio.Task[Any]]] = {}
        self._connected: dict[str, asyncio.Task[None]] = {}
        self._warning = WarningLimiter()

    def has_handlers(self, hub: str) -> bool:
        """Whether the clients of a hub, by lower-case name, cause events."""
        return any(handler.hub in {None, hub} for handler in self._handlers)

    def takes_user_event(self, hub: str, name: str) -> bool:
        """Whether a handler receives this event of a client."""
        return find_handler(self._handlers, hub, name, is_system=False) is not None

    # Events that block.

    async def connect(
        self,
        source: EventSource,
        claims: Mapping[str, object],
        query: str,
        headers: MultiMapping[str],
        subprotocols: Sequence[str],
    ) -> ConnectAnswer:
        """Ask whether a client may connect. If so, it causes events until `disconnected`.

        Raises:
            EventFailedError: It may not, or nobody could be asked.
        """
        event = connect_event(claims, query, headers, subprotocols)
        answer = ConnectAnswer()
        if self._find(source, event) is None:
            source.next_id += 1
        else:
            task = _start(self._dispatch(source, event, parse_connect_answer), self._blocking)
            answer = await _wait(task)
        self._sources[source.connection_id] = source
        return answer

    async def send_user_event(
        self,
        connection_id: str,
        name: str,
        data: bytes,
        data_type: DataType,
        metadata: Mapping[str, str],
    ) -> Message | None:
        """Send an event of a client, and return the message that answers it, if any.

        Raises:
            EventFailedError: The event failed.
        """
        source = self._sources.get(connection_id)
        event = user_event(name, data, data_type, metadata)
        if source is None or self._find(source, event) is None:
            raise EventFailedError("no event handler takes the event")
        task = _start(self._dispatch(source, event, parse_user_event_answer), self._blocking)
        tasks = self._user_events.setdefault(connection_id, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return await _wait(task)

    # Events that do not block.

    def connected(self, connection_id: str, user_id: str | None, subprotocol: str) -> None:
        """Send that a client has connected; one that causes no events is ignored."""
        source = self._sources.get(connection_id)
        if source is not None:
            source.user_id, source.subprotocol = user_id, subprotocol
            task = self._notify(source, connected_event())
            if task is not None:
                self._connected[connection_id] = task
                task.add_done_callback(lambda _: self._connected.pop(connection_id, None))

    def disconnected(self, connection_id: str, reason: str) -> None:
        """Send that a client has disconnected; one that causes no events is ignored.

        The user events that it waits for are canceled. Its `connected` comes first, unless that
        takes long.
        """
        for task in self._user_events.pop(connection_id, ()):
            task.cancel()
        source = self._sources.pop(connection_id, None)
        if source is not None:
            self._notify(source, disconnected_event(reason), self._connected.get(connection_id))

    # The end.

    def cancel_blocking(self) -> None:
        """Let the events fail that block clients."""
        for task in self._blocking:
            task.cancel()

    async def stop(self) -> None:
        """Send what waits, within about a second, and close all connections to handlers."""
        self.cancel_blocking()
        if self._notifications:
            await asyncio.wait(self._notifications, timeout=_STOP_SECONDS)
        rest = [*self._notifications, *self._blocking]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # How an event is sent.

    def _find(self, source: EventSource, event: Event) -> EventHandler | None:
        return find_handler(self._handlers, source.hub, event.name, is_system=event.is_system)

    def _notify(
        self, source: EventSource, event: Event, previous: asyncio.Task[None] | None = None
    ) -> asyncio.Task[None] | None:
        """Send an event in a task, which is returned, after the previous event of the client."""
        if self._find(source, event) is None:
            source.next_id += 1
        elif len(self._notifications) >= _WAITING_LIMIT:
            self._warn("`%s` of a client is not sent: too many events wait", event.name)
        else:
            return _start(self._send_notification(source, event, previous), self._notifications)
        return None

    async def _send_notification(
        self, source: EventSource, event: Event, previous: asyncio.Task[None] | None
    ) -> None:
        if previous is not None:
            await asyncio.wait({previous}, timeout=_ORDER_SECONDS)
        with suppress(EventFailedError):  # it was reported
            await self._dispatch(source, event, lambda _: None)

    async def _dispatch(
        self, source: EventSource, event: Event, parse: Callable[[HandlerResponse], _T]
    ) -> _T:
        """Send an event to its handler, and return what the answer means.

        Raises:
            EventFailedError: There is no answer, or it is no success or invalid.
        """
        handler = self._find(source, event)
        assert handler is not None  # noqa: S101 - the callers have checked it
        url = handler.url(source.hub, event.name)
        decision = self._faults.decide(event.operation, source.hub)
        try:
            answer = await self._send(source, event, handler, decision)
            result = _read(answer, parse)
        except EventFailedError as error:
            detail = f"{error} ({display_url(url)})"
            status = error.answer.status if error.answer else 0
            self._warn("hub %r, user %r: event %s", source.hub, source.user_id, detail)
            self._report(source, event, status, detail, decision)
            raise
        except asyncio.CancelledError:
            self._report(source, event, 0, f"{_CANCELED} ({display_url(url)})", decision)
            raise
        if event.is_blocking:
            self._update_state(source, answer)
        effect = None
        if isinstance(result, Message):
            effect = Deliver((source.connection_id,), result)
        detail = f"{answer.status} ({display_url(url)})"
        self._report(source, event, answer.status, detail, decision, effect)
        return result

    async def _send(
        self, source: EventSource, event: Event, handler: EventHandler, decision: FaultDecision
    ) -> HandlerResponse:
        """Send an event, with the faults that apply. Raises EventFailedError."""
        fault = decision.fault
        event_id, source.next_id = source.next_id, source.next_id + 1
        headers = event_headers(event, source, event_id, self._key, time.time())
        headers |= validation_headers(self._origins()[0])
        headers["x-ms-client-request-id"] = str(uuid.uuid4())
        try:
            async with asyncio.timeout(self._seconds):
                await _pause(decision.delay(FaultTiming.BEFORE))
                if fault is not None and fault.timing is FaultTiming.BEFORE:
                    answer = await _inject(fault)
                else:
                    await self._validate(handler.url(source.hub, "validate"))
                    url = handler.url(source.hub, event.name)
                    answer = await self._request("POST", url, headers, event.body)
                    if fault is not None:
                        answer = await _inject(fault)
                await _pause(decision.delay(FaultTiming.AFTER))
        except TimeoutError:
            raise EventFailedError(f"no response within {self._seconds:g} s") from None
        return answer

    def _update_state(self, source: EventSource, answer: HandlerResponse) -> None:
        states = connection_states(answer)
        if len(states) > 1:
            self._warn("an event handler returned several ce-connectionState: the last one counts")
        if states:
            source.state = states[-1]

    def _report(  # noqa: PLR0913, PLR0917 - the parts of an entry
        self,
        source: EventSource,
        event: Event,
        status: int,
        detail: str,
        decision: FaultDecision,
        effect: Effect | None = None,
    ) -> None:
        self._on_event(
            ClientEvent(
                EventKind.DISPATCHED,
                source.hub,
                source.connection_id,
                source.user_id,
                f"{event.name}: {detail}",
                effect,
                operation=event.operation,
                status=status,
                faults=decision.texts,
            )
        )

    def _warn(self, message: str, *args: object) -> None:
        _LOG.log(logging.WARNING if self._warning.allows() else logging.INFO, message, *args)

    # Validation: a handler must allow this service before it receives an event.

    async def _validate(self, url: str) -> None:
        """Wait until a URL is validated; one that was is validated again in the background.

        Raises:
            EventFailedError: It does not allow events, or could not be asked.
        """
        validation = self._validations.setdefault(url, _Validation())
        is_due = asyncio.get_running_loop().time() >= validation.expires_at
        if is_due and validation.task is None:
            validation.task = _start(self._ask(url, validation), self._blocking)
        if validation.is_allowed:
            return
        if validation.task is not None:
            await asyncio.wait([validation.task])  # shared: it goes on if this event is cancelled
        if not validation.is_allowed:
            raise EventFailedError(f"validation failed: {validation.reason}")

    async def _ask(self, url: str, validation: _Validation) -> None:
        """Ask a URL whether it allows events, with OPTIONS, or with GET where that is unknown."""
        origins = self._origins()
        headers = validation_headers(origins[0])
        expires_at = 0.0  # a failed validation is repeated for the next event
        try:
            async with asyncio.timeout(_VALIDATION_SECONDS):
                answer = await self._request("OPTIONS", url, headers)
                if answer.status == _NOT_FOUND:
                    answer = await self._request("GET", url, headers)
        except TimeoutError:
            validation.reason = f"no response within {_VALIDATION_SECONDS:g} s"
            validation.is_allowed = False
        except EventFailedError as error:
            validation.reason, validation.is_allowed = str(error), False
        else:
            validation.is_allowed = answer.is_success and allows_origin(answer.headers, origins)
            allowed = f"WebHook-Allowed-Origin: {origins[0]}"
            validation.reason = f"OPTIONS returned {answer.status}, or without `{allowed}`"
            expires_at = asyncio.get_running_loop().time() + _VALID_SECONDS
        finally:
            validation.expires_at = expires_at if validation.is_allowed else 0.0
            validation.task = None

    # HTTP.

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HandlerResponse:
        """Send a request and read its response. Raises EventFailedError."""
        session = self._open_session()
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
            ) as response:
                return HandlerResponse(
                    response.status, response.headers, await _read_body(response)
                )
        except (aiohttp.ClientError, OSError) as error:
            raise EventFailedError(f"no complete response ({type(error).__name__})") from None
        except ValueError:
            raise EventFailedError("the request or the response has an invalid header") from None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_REQUEST_LIMIT, keepalive_timeout=_KEEP_ALIVE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # each event has its own
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                auto_decompress=False,
            )
        return self._session


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read a body up to the limit."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise EventFailedError("the response is compressed, which was not requested")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > EVENT_ANSWER.value:
            response.close()
            raise EventFailedError(f"the answer {EVENT_ANSWER.error}")
    return bytes(body)


async def _wait(dispatch: asyncio.Task[_T]) -> _T:
    """Wait for an event, and cancel it with its waiter. Raises EventFailedError."""
    try:
        return await asyncio.shield(dispatch)
    except asyncio.CancelledError:
        if dispatch.cancelled():
            raise EventFailedError(_CANCELED) from None
        dispatch.cancel()
        raise


def _read(answer: HandlerResponse, parse: Callable[[HandlerResponse], _T]) -> _T:
    """Return what a successful answer means. Raises EventFailedError."""
    if not answer.is_success:
        raise EventFailedError(f"the event handler returned {answer.status}", answer)
    try:
        return parse(answer)
    except AnswerError as error:
        raise EventFailedError(f"{error}, with status {answer.status}") from None


async def _inject(fault: InjectedFault) -> HandlerResponse:
    """Do what a fault says in place of a handler. Raises EventFailedError."""
    match fault.kind:
        case FaultKind.STATUS:
            return HandlerResponse(fault.status, _NO_HEADERS, b"")
        case FaultKind.STALL:
            await asyncio.Event().wait()  # until the time for the event is over
        case _:
            pass
    raise EventFailedError("a fault drops the connection")


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)  # noqa: TID251 - the delay of a fault; a stop cancels it


def _start(coroutine: Coroutine[Any, Any, _T], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[_T]:
    task = asyncio.ensure_future(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
