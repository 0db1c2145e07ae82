"""What a page asks to see, as it says it over its WebSocket."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class Listing(StrEnum):
    """What is listed of those who are there."""

    CONNECTIONS = "connections"
    USERS = "users"
    GROUPS = "groups"
    HUBS = "hubs"


class Traffic(StrEnum):
    """What is shown of what happens."""

    ALL = "all"
    REQUESTS = "requests"
    MESSAGES = "messages"
    CLIENTS = "clients"
    TROUBLE = "trouble"


class ViewError(ValueError):
    """A text asks for nothing that can be seen."""


@dataclass(frozen=True, slots=True)
class DashboardView:
    """What one page shows.

    Attributes:
        hub: The only hub, by lower-case name; "" for all.
        listing: What is listed of it.
        search: What the names in the list hold, in any case; "" for all.
        user: The only user whose connections are listed; "" for all.
        group: The only group whose connections are listed; "" for all.
        page: Which page of the list, from 0.
        traffic: What is shown of what happens.
        text: What is shown of it holds this, in any case; "" for all.
    """

    hub: str = ""
    listing: Listing = Listing.CONNECTIONS
    search: str = ""
    user: str = ""
    group: str = ""
    page: int = 0
    traffic: Traffic = Traffic.ALL
    text: str = ""


_LONGEST = 1024


def read_view(text: str | bytes) -> DashboardView:
    """Read a view from JSON: an object of the attributes of `DashboardView`, all optional.

    Raises:
        ViewError: It is not that.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ViewError from None
    if not isinstance(found, dict) or not found.keys() <= _KINDS.keys():
        raise ViewError
    return DashboardView(**{name: _value(_KINDS[name], value) for name, value in found.items()})


_KINDS: Mapping[str, Any] = {one.name: one.type for one in fields(DashboardView)}


def _value(kind: Any, value: object) -> Any:  # noqa: ANN401 -- of the kind that is asked for
    if kind is int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
            raise ViewError
        return value
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ViewError
    try:
        return kind(value)
    except ValueError:
        raise ViewError from None
