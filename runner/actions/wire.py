"""From an action and its values to the REST call that carries it out, and what comes back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from runner.actions.fields import Field, Place, Shape
from runner.actions.payload import CONTENT_TYPES
from runner.actions.table import Action

API_VERSION = "2024-12-01"
"""The newest published version of the data-plane API."""

Value = str | int | bytes | tuple[str, ...]
"""What a property holds once it is checked: `data` is bytes, a list is a tuple."""

Values = Mapping[str, Value]
"""Property name to checked value. `dataType` is there whenever `data` is."""


@dataclass(frozen=True, slots=True)
class Request:
    """A REST call, but for the endpoint, the api-version and the token.

    Attributes:
        method: The HTTP method.
        path: The path, percent-encoded; it is signed and sent as these very bytes.
        query: The query, percent-encoded, without `?` and without api-version; may be "".
        body: The body; b"" for none.
        content_type: The body's media type, or None when there is no body.
    """

    method: str
    path: str
    query: str = ""
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = None

    def target(self, api_version: str = API_VERSION) -> str:
        """Path and query as they go out."""
        own = f"{self.query}&" if self.query else ""
        return f"{self.path}?{own}api-version={quote(api_version, safe=SAFE)}"


SAFE = "-._~"
"""What stays as it is in a path segment or a query value, as in the official Python SDK."""


def build_request(action: Action, values: Values, hub: str) -> Request:
    """Turn one action into the REST call that carries it out.

    Args:
        action: The row of the action table.
        values: The checked values; every required property of the action has one.
        hub: The hub's name.

    Returns:
        The request. Each value stays one path segment: `a?b` becomes `a%3Fb`.

    Raises:
        KeyError: A required property has no value; `steps` rules that out.

    Source: REST operation `action.operation`, api-version 2024-12-01.
    """
    segments = {"hub": quote(hub, safe=SAFE)}
    for one in action.placed(Place.PATH):
        segments[one.name] = quote(str(values[one.name]), safe=SAFE)
    body, content_type = _body(action, values)
    return Request(
        action.method,
        action.path.format_map(segments),
        "&".join(_query(action, values)),
        body,
        content_type,
    )


def _query(action: Action, values: Values) -> list[str]:
    pairs = []
    for one in action.placed(Place.QUERY):
        if one.name in values:
            value = values[one.name]
            items = value if isinstance(value, tuple) else (str(value),)
            pairs += [f"{one.name}={quote(item, safe=SAFE)}" for item in items]
    return pairs


def _body(action: Action, values: Values) -> tuple[bytes, str | None]:
    fields = action.placed(Place.BODY)
    if not fields:
        return b"", None
    if fields[0].shape is Shape.DATA:
        data = values[fields[0].name]
        if not isinstance(data, bytes):
            raise TypeError("`data` is bytes by now; `payload` makes them")
        return data, CONTENT_TYPES[str(values["dataType"])]
    return _json(fields, values), CONTENT_TYPES["json"]


def _json(fields: tuple[Field, ...], values: Values) -> bytes:
    body = {one.name: values[one.name] for one in fields if one.name in values}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Reply:
    """The service's answer to one request.

    Attributes:
        status: The HTTP status.
        code: The service's error code (`x-ms-error-code` or the body's `code`), or None.
        message: The service's words, cut to a few hundred characters, or None.
        retry_after: Seconds to wait before asking again, as the answer says, or None.
    """

    status: int
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class NoReply:
    """No answer came.

    Attributes:
        sent: Whether bytes of the request may have reached the service; False only when it is
            certain that nothing left (refused connection, DNS or TLS failure).
        code: A stable word: `connect`, `dns`, `tls`, `timeout`, `disconnected`.
        message: What happened, in words. Never holds a token.
    """

    sent: bool
    code: str
    message: str


Outcome = Reply | NoReply
"""What one attempt ends in."""
