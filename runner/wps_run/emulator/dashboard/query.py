"""What a dashboard page asks to see, as JSON over its WebSocket."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class Listing(StrEnum):
    """What the list of clients shows."""

    CONNECTIONS = "connections"
    USERS = "users"
    GROUPS = "groups"
    HUBS = "hubs"


class TrafficFilter(StrEnum):
    """Which entries of the request log the traffic list shows."""

    ALL = "all"
    REQUESTS = "requests"
    MESSAGES = "messages"
    CLIENTS = "clients"
    TROUBLE = "trouble"


class QueryError(ValueError):
    """A text is not a dashboard query."""


@dataclass(frozen=True, slots=True)
class DashboardQuery:
    """What one page shows.

    Attributes:
        hub: The only hub, by lower-case name; "" for all.
        listing: What is listed of it.
        search: A substring of the names in the list, in any case; "" for all.
        user: The only user whose connections are listed; "" for all.
        group: The only group whose connections are listed; "" for all.
        page: Which page of the list, from 0.
        traffic: Which entries of the request log are shown.
        text: A substring of the entries that are shown, in any case; "" for all.
    """

    hub: str = ""
    listing: Listing = Listing.CONNECTIONS
    search: str = ""
    user: str = ""
    group: str = ""
    page: int = 0
    traffic: TrafficFilter = TrafficFilter.ALL
    text: str = ""


_TEXT_LIMIT = 1024
_PAGE_LIMIT = 2**31
_TYPES: Mapping[str, Any] = {field.name: field.type for field in fields(DashboardQuery)}


def parse_query(text: str | bytes) -> DashboardQuery:
    """Parse a JSON object with the attributes of `DashboardQuery`, all optional.

    Raises:
        QueryError: It is not that.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise QueryError from None
    if not isinstance(values, dict) or not values.keys() <= _TYPES.keys():
        raise QueryError
    return DashboardQuery(**{name: _parse(_TYPES[name], value) for name, value in values.items()})


def _parse(kind: Any, value: object) -> Any:  # noqa: ANN401 -- of the type `kind`
    if kind is int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _PAGE_LIMIT:
            raise QueryError
        return value
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT:
        raise QueryError
    try:
        return kind(value)
    except ValueError:
        raise QueryError from None
