"""From an action and its values to the REST call that carries it out."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from wps_run.actions.fields import Field, FieldLocation, FieldType
from wps_run.actions.payload import CONTENT_TYPES
from wps_run.actions.table import Action

API_VERSION = "2024-12-01"
"""The newest published version of the data-plane API."""

Value = str | int | bytes | tuple[str, ...]
"""What a property holds once it is checked: `data` is bytes, a list is a tuple."""

Values = Mapping[str, Value]
"""Property name to checked value. `dataType` is there whenever `data` is."""


@dataclass(slots=True)
class Request:
    """A REST call, but for the endpoint, the api-version and the token.

    It is not changed once it is made. It is not frozen, since to make it would take three times as
    long, and each action makes one.

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

    @property
    def full_query(self) -> str:
        """The query as it goes out, with api-version."""
        return f"{self.query}&{_VERSION}" if self.query else _VERSION

    def target(self) -> str:
        """Path and query as they go out."""
        return f"{self.path}?{self.full_query}"


SAFE = "-._~"
"""What stays as it is in a path segment or a query value, as in the official Python SDK."""

_is_plain = re.compile(r"[A-Za-z0-9._~-]*").fullmatch


def _quoted(value: str) -> str:
    """Percent-encoded but for `SAFE`; most names have nothing to encode."""
    return value if _is_plain(value) else quote(value, safe=SAFE)


_VERSION = f"api-version={_quoted(API_VERSION)}"


class RequestTemplate:
    """The REST call of an action in a hub, for values to be filled in.

    What no value changes is worked out once.

    Args:
        action: The row of the action table.
        hub: The hub's name.

    Source: REST operation `action.operation`, api-version 2024-12-01.
    """

    def __init__(self, action: Action, hub: str) -> None:
        self._method = action.method
        # By turns a literal text and the name of a property.
        before, _, after = action.path.partition("{hub}")
        first, *others = _NAME.split(after)
        self._path = [before + _quoted(hub) + first, *others]
        self._names = self._path[1::2]
        self._query = action.fields_in(FieldLocation.QUERY)
        self._body = action.fields_in(FieldLocation.BODY)

    def fill(self, values: Values) -> Request:
        """The request for some values.

        Args:
            values: The checked values; every required property of the action has one.

        Returns:
            The request. Each value stays one path segment: `a?b` becomes `a%3Fb`.

        Raises:
            KeyError: A required property has no value; `steps` rules that out.
        """
        path = self._path.copy()
        path[1::2] = [_quoted(str(values[name])) for name in self._names]
        query = "&".join(self._pairs(values)) if self._query else ""
        body, content_type = self._content(values) if self._body else (b"", None)
        return Request(self._method, "".join(path), query, body, content_type)

    def _pairs(self, values: Values) -> Iterator[str]:
        for one in self._query:
            if one.name in values:
                value = values[one.name]
                items = value if isinstance(value, tuple) else (str(value),)
                yield from (f"{one.name}={_quoted(item)}" for item in items)

    def _content(self, values: Values) -> tuple[bytes, str]:
        if self._body[0].type is FieldType.DATA:
            data = values[self._body[0].name]
            if not isinstance(data, bytes):
                raise TypeError("`data` is bytes by now; `payload` makes them")
            return data, CONTENT_TYPES[str(values["dataType"])]
        return _json(self._body, values), CONTENT_TYPES["json"]


_NAME = re.compile(r"\{(\w+)\}")


def build_request(action: Action, values: Values, hub: str) -> Request:
    """Turn one action into the REST call that carries it out; see `RequestTemplate`."""
    return RequestTemplate(action, hub).fill(values)


def _json(fields: tuple[Field, ...], values: Values) -> bytes:
    body = {one.name: values[one.name] for one in fields if one.name in values}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
