"""The events of clients as HTTP requests, and what the answers of event handlers mean. No I/O.

Source: the CloudEvents extension for event handlers of the service; where it says nothing, what
Microsoft's emulator does.
"""

import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message as HeaderParser
from urllib.parse import parse_qsl

from multidict import MultiMapping

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.json_text import JsonTextError, parse_json
from wps_run.emulator.names import MetadataError, is_group_name, is_id, read_metadata
from wps_run.emulator.protobuf_wire import ANY, WireError

USER_EVENT = "userEvent"
"""The operation of user events, whatever their names, in faults and in the request log."""

_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no header can carry."""

_PRIVATE = re.compile("access_token|authorization|x-asrs-internal-.*", re.IGNORECASE)
"""The parameters and headers that no handler receives: tokens, and the service's own headers."""

_METADATA_PREFIX = "x-webpubsub-metadata-"
_JSON = "application/json"

_CONTENT_TYPES = {
    DataType.TEXT: "text/plain; charset=utf-8",
    DataType.JSON: _JSON,
    DataType.BINARY: "application/octet-stream",
    DataType.PROTOBUF: "application/x-protobuf",
}
_DATA_TYPES = {
    "text/plain": DataType.TEXT,
    "application/json": DataType.JSON,
    "application/octet-stream": DataType.BINARY,
    "application/x-protobuf": DataType.PROTOBUF,
}


class AnswerError(Exception):
    """The answer of an event handler is invalid. The message says why."""


@dataclass(slots=True)
class EventSource:
    """A connection, as its event handlers see it.

    Attributes:
        subprotocol: Its subprotocol; "" while it is unknown, and for a simple client.
        state: The connection state that the handler set last, or None.
        next_id: The ID of its next event. Every connection has its own, from 0 for `connect`.
    """

    hub: str
    connection_id: str
    user_id: str | None
    subprotocol: str = ""
    state: str | None = None
    next_id: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """An event to send: a system event, or a user event with the data of a client."""

    name: str
    body: bytes
    content_type: str = _JSON
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_system: bool = True

    @property
    def is_blocking(self) -> bool:
        """Whether its client waits for the answer, which may change the connection state."""
        return not self.is_system or self.name == "connect"

    @property
    def operation(self) -> str:
        """How faults and the request log name it."""
        return self.name if self.is_system else USER_EVENT


@dataclass(frozen=True, slots=True)
class HandlerResponse:
    """A complete response of an event handler."""

    status: int
    headers: MultiMapping[str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status <= 299  # noqa: PLR2004 - the 2xx


@dataclass(frozen=True, slots=True)
class ConnectAnswer:
    """What replaces the claims of a client's token; None, and no groups, replace nothing.

    Attributes:
        user_id: The user; "" for an anonymous client.
        subprotocol: The one to use among those that the client offers; "" for the usual one.
    """

    user_id: str | None = None
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] | None = None
    subprotocol: str = ""


# Events.


def connect_event(
    claims: Mapping[str, object],
    query: str,
    headers: MultiMapping[str],
    subprotocols: Iterable[str],
) -> Event:
    """Make the event that asks whether a client may connect; it holds no token.

    The names of parameters and headers have no case: the first spelling counts.
    """
    parameters = parse_qsl(query, keep_blank_values=True)
    content = {
        "claims": {name: _claim_values(value) for name, value in claims.items()},
        "query": _group_by_name(parameters),
        "headers": _group_by_name(headers.items()),
        "subprotocols": list(subprotocols),
        "clientCertificates": [],
    }
    return Event("connect", json.dumps(content).encode())


def connected_event() -> Event:
    """Make the event of a client that has connected."""
    return Event("connected", b"{}")


def disconnected_event(reason: str) -> Event:
    """Make the event of a client that has disconnected."""
    return Event("disconnected", json.dumps({"reason": reason}).encode())


def user_event(name: str, data: bytes, data_type: DataType, metadata: Mapping[str, str]) -> Event:
    """Make the event that a client has sent."""
    return Event(name, data, _CONTENT_TYPES[data_type], metadata, is_system=False)


def validation_headers(origin: str) -> dict[str, str]:
    """Return the headers of a validation, which events have as well.

    The official libraries for event handlers ignore requests without the version.
    """
    return {"WebHook-Request-Origin": origin, "ce-awpsversion": "1.0"}


def sign(connection_id: str, key: str) -> str:
    """Return the signature by which a handler recognizes the service."""
    return f"sha256={hmac.digest(key.encode(), connection_id.encode(), 'sha256').hex()}"


def event_headers(
    event: Event, source: EventSource, event_id: int, key: str, now: float
) -> dict[str, str]:
    """Return the headers of an event's request; `now` is in seconds since the epoch.

    Characters of a user ID that no header can carry are replaced by U+FFFD.
    """
    kind = "sys" if event.is_system else "user"
    headers = {
        "Content-Type": event.content_type,
        "ce-specversion": "1.0",
        "ce-type": f"azure.webpubsub.{kind}.{event.name}",
        "ce-source": f"/hubs/{source.hub}/client/{source.connection_id}",
        "ce-id": str(event_id),
        "ce-time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ce-signature": sign(source.connection_id, key),
        "ce-connectionId": source.connection_id,
        "ce-hub": source.hub,
        "ce-eventName": event.name,
    }
    if source.user_id:
        headers["ce-userId"] = _UNFIT.sub("\ufffd", source.user_id)
    if source.subprotocol:
        headers["ce-subprotocol"] = source.subprotocol
    if source.state is not None:
        headers["ce-connectionState"] = source.state
    for name, value in event.metadata.items():
        headers[_METADATA_PREFIX + name.lower()] = value
    return headers


def _group_by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, tuple[str, list[str]]] = {}
    for name, value in pairs:
        if not _PRIVATE.fullmatch(name):
            groups.setdefault(name.lower(), (name, []))[1].append(value)
    return dict(groups.values())


def _claim_values(claim: object) -> list[str]:
    values = claim if isinstance(claim, list) else [claim]
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


# Answers.


def allows_origin(headers: MultiMapping[str], origins: Iterable[str]) -> bool:
    """Whether the answer to a validation allows events from one of these origins."""
    accepted = {"*", *(origin.lower() for origin in origins)}
    return any(
        value.strip().lower() in accepted for value in headers.getall("WebHook-Allowed-Origin", ())
    )


def connection_states(answer: HandlerResponse) -> list[str]:
    """Return the connection states in the headers of an answer; there should be at most one."""
    states = answer.headers.getall("ce-connectionState", ())
    return [state.encode(errors="replace").decode() for state in states]


def parse_connect_answer(answer: HandlerResponse) -> ConnectAnswer:
    """Parse a successful answer to `connect`; keys may have any case.

    Raises:
        AnswerError: It is not JSON, or a value in it is invalid.
    """
    if not answer.body:
        return ConnectAnswer()
    try:
        text = answer.body.decode("utf-8-sig")
        parse_json(text)
        content = json.loads(text)
    except (JsonTextError, UnicodeDecodeError, ValueError, RecursionError):
        raise AnswerError("the response is not JSON") from None
    if content is None:
        return ConnectAnswer()
    if not isinstance(content, dict):
        raise AnswerError("the response is not a JSON object")
    values = {name.lower(): value for name, value in content.items()}
    user_id = _text(values, "userId")
    if user_id and (not is_id(user_id) or _UNFIT.search(user_id)):
        raise AnswerError("`userId` is blank or has a control character")
    groups = _texts(values, "groups") or ()
    if not all(map(is_group_name, groups)):
        raise AnswerError("`groups` has an invalid group name")
    subprotocol = _text(values, "subprotocol") or ""
    return ConnectAnswer(user_id, groups, _texts(values, "roles"), subprotocol)


def parse_user_event_answer(answer: HandlerResponse) -> Message | None:
    """Return the message to the client in a successful answer; None if there is none.

    Raises:
        AnswerError: Its content type, its data or its metadata are invalid.
    """
    metadata = _metadata(answer.headers)
    if not answer.body:  # whatever the content type
        return Message(b"", DataType.TEXT, metadata=metadata) if metadata else None
    header = HeaderParser()
    header["Content-Type"] = answer.headers.get("Content-Type", "application/octet-stream")
    data_type = _DATA_TYPES.get(header.get_content_type())
    if data_type is None:
        raise AnswerError(f"the content type is none of {', '.join(_DATA_TYPES)}")
    data = answer.body
    if data_type in {DataType.TEXT, DataType.JSON}:
        data = _convert_to_utf8(data, header.get_content_charset("utf-8"))
    _check_data(data, data_type)
    return Message(data, data_type, metadata=metadata)


def _check_data(data: bytes, data_type: DataType) -> None:
    """Check that clients can parse the data. Raises AnswerError."""
    try:
        if data_type is DataType.JSON:
            parse_json(data.decode())
        elif data_type is DataType.PROTOBUF:
            ANY.check(data)
    except (JsonTextError, WireError):
        raise AnswerError(f"the body is not {data_type}, as its content type says") from None


def _convert_to_utf8(data: bytes, charset: str) -> bytes:
    try:
        return data.decode(charset, "replace").encode("utf-8", "replace")
    except (LookupError, ValueError):
        raise AnswerError("the charset is unknown") from None


def _metadata(headers: MultiMapping[str]) -> dict[str, str]:
    """Return the metadata in headers: the last value of each, after its last comma."""
    metadata = {
        name.lower().removeprefix(_METADATA_PREFIX): value.rpartition(",")[2].strip()
        for name, value in headers.items()
        if name.lower().startswith(_METADATA_PREFIX)
    }
    metadata.pop("", None)
    try:
        return read_metadata(metadata.items())
    except MetadataError as error:
        raise AnswerError(str(error)) from None


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name.lower())
    if value is None:
        return None
    if not isinstance(value, str) or not _is_unicode(value):
        raise AnswerError(f"`{name}` is not a string")
    return value


def _texts(values: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    value = values.get(name.lower())
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        isinstance(item, str) and _is_unicode(item) for item in value
    ):
        raise AnswerError(f"`{name}` is not a list of strings")
    return tuple(value)


def _is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogate, which JSON escapes can produce."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
