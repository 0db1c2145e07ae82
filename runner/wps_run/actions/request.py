"""Build the REST request of an action, or of a read, from its values."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

from wps_run.actions.fields import FieldLocation, FieldType
from wps_run.actions.payload import CONTENT_TYPES
from wps_run.actions.table import RestOperation

API_VERSION = "2024-12-01"
"""The newest published version of the data-plane API."""

Value = str | int | bytes | tuple[str, ...]
"""A checked value of a property: `data` is bytes, a list is a tuple."""

Values = Mapping[str, Value]
"""Checked values by property name. `dataType` is present whenever `data` is."""


@dataclass(slots=True)
class Request:
    """A REST request without the endpoint, the api-version and the token.

    Do not change it. It is not frozen for the same reason as `Step`.

    Attributes:
        method: The HTTP method.
        path: The path, percent-encoded; signed and sent exactly like this.
        query: The query, percent-encoded, without `?` and without api-version; may be "".
        body: The body; b"" for none.
        content_type: The body's media type, or None when there is no body.
        cells: The cells of the row that it was made from, or None.
    """

    method: str
    path: str
    query: str = ""
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = None
    cells: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def full_query(self) -> str:
        """The query as sent, with api-version."""
        return f"{self.query}&{_VERSION}" if self.query else _VERSION

    def target(self) -> str:
        return f"{self.path}?{self.full_query}"

    def echoes(self, variables: Iterable[str] = ()) -> list[str]:
        """Return the texts that must not be shown when a server repeats them.

        These are the body, the strings in it if it is JSON, the query, the cells of the row and
        `variables`, but not what is part of the path, which is shown anyway.
        """
        path = unquote(self.path)
        texts = [
            *variables,
            *(self.cells or {}).values(),
            *(value for _, value in parse_qsl(self.query)),
        ]
        texts += _strings_in_json(self.body)
        texts = [text for text in texts if text not in path]
        bodies = {self.body.decode(errors="replace"), self.body.decode("latin-1")}
        return [*texts, *bodies]


def _strings_in_json(body: bytes) -> list[str]:
    """Return the strings and numbers in a JSON text, without its keys; [] for other texts."""
    if body[:1] not in {b"{", b"["}:
        return []
    strings: list[str] = []
    try:
        values = [json.loads(body)]
    except (ValueError, RecursionError):
        return []
    while values:
        value = values.pop()
        if isinstance(value, dict | list):
            values += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            strings.append(str(value))
    return strings


_SAFE = "-._~"
"""The characters that are not percent-encoded, as in the official Python SDK."""

_needs_no_encoding = re.compile(r"[A-Za-z0-9._~-]*").fullmatch


def percent_encode(value: str) -> str:
    """Percent-encode a path segment or a query value."""
    return value if _needs_no_encoding(value) else quote(value, safe=_SAFE)


_VERSION = f"api-version={percent_encode(API_VERSION)}"

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class RequestTemplate:
    """The REST request of an action or a read in a hub, without its values.

    Source: REST operation `row.operation`, api-version 2024-12-01.
    """

    def __init__(self, row: RestOperation, hub: str) -> None:
        self._method = row.method
        before, _, after = row.path.partition("{hub}")
        first, *others = _PLACEHOLDER.split(after)
        self._path = [before + percent_encode(hub) + first, *others]
        """Alternately a literal text and the name of a property."""
        self._names = self._path[1::2]
        self._query = row.fields_in(FieldLocation.QUERY)
        self._body = row.fields_in(FieldLocation.BODY)

    def fill(self, values: Values) -> Request:
        """Return the request for some values.

        Args:
            values: The checked values, with all required properties of the action.

        Returns:
            The request. Each value remains one path segment: `a?b` becomes `a%3Fb`.

        Raises:
            KeyError: A required property has no value.
        """
        path = self._path.copy()
        path[1::2] = [percent_encode(str(values[name])) for name in self._names]
        query = "&".join(self._query_pairs(values)) if self._query else ""
        body, content_type = self._encode_body(values) if self._body else (b"", None)
        return Request(self._method, "".join(path), query, body, content_type)

    def _query_pairs(self, values: Values) -> Iterator[str]:
        for query_field in self._query:
            name = query_field.name
            if name in values:
                value = values[name]
                items = value if isinstance(value, tuple) else (str(value),)
                yield from (f"{name}={percent_encode(item)}" for item in items)

    def _encode_body(self, values: Values) -> tuple[bytes, str]:
        first = self._body[0]
        if first.type is FieldType.DATA:
            data = values[first.name]
            if not isinstance(data, bytes):
                raise TypeError("`data` must be bytes, as `encode_message` returns")
            return data, CONTENT_TYPES[str(values["dataType"])]
        names = [body_field.name for body_field in self._body]
        body = {name: values[name] for name in names if name in values}
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return text.encode(), CONTENT_TYPES["json"]


def build_request(row: RestOperation, values: Values, hub: str) -> Request:
    """Build the REST request of one action or read; see `RequestTemplate`."""
    return RequestTemplate(row, hub).fill(values)
