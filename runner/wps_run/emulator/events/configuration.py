"""Which event handler receives which event, as options of the command line say it.

Source: the settings of a hub's event handlers in the service. A URL is a template with `{hub}` and
`{event}`. Among the handlers of a hub, the first that takes an event receives it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from wps_run.emulator.names import hub_key, is_event_name, is_hub_name
from wps_run.input_limits import EVENT_HANDLER_URL
from wps_run.problems import did_you_mean
from wps_run.text import replace_invisible

SYSTEM_EVENTS = ("connect", "connected", "disconnected")

_PLACEHOLDER = re.compile(r"\{(hub|event)\}", re.IGNORECASE)
_ALL, _NONE = "*", "none"


class EventHandlerError(ValueError):
    """The setting of an event handler is invalid; the message says how to correct it."""


@dataclass(frozen=True, slots=True)
class EventHandler:
    """A web hook and the events that it receives.

    Attributes:
        url_template: Its URL, with `{hub}` and `{event}` in any case.
        hub: The only hub, by lower-case name; None for all hubs without a handler of their own.
        system_events: The system events that it receives.
        user_events: The lower-case names of the user events that it receives; None for all.
    """

    url_template: str
    hub: str | None = None
    system_events: frozenset[str] = frozenset(SYSTEM_EVENTS)
    user_events: frozenset[str] | None = None

    def takes(self, event: str, *, is_system: bool) -> bool:
        """Whether it receives an event."""
        if is_system:
            return event in self.system_events
        return self.user_events is None or event.lower() in self.user_events

    def url(self, hub: str, event: str) -> str:
        """Return the URL for an event of a hub."""
        values = {"hub": quote(hub, safe=""), "event": quote(event, safe="")}
        return _PLACEHOLDER.sub(lambda match: values[match[1].lower()], self.url_template)


def find_handler(
    handlers: Iterable[EventHandler], hub: str, event: str, *, is_system: bool
) -> EventHandler | None:
    """Find the handler of an event: of the hub's own ones, or else of those for all hubs."""
    candidates = [handler for handler in handlers if handler.hub in {None, hub}]
    own = [handler for handler in candidates if handler.hub is not None]
    for handler in own or candidates:
        if handler.takes(event, is_system=is_system):
            return handler
    return None


def parse_event_handlers(
    texts: Iterable[str], system_events: str, user_events: str, hosts: Iterable[str] = ()
) -> tuple[EventHandler, ...]:
    """Parse event handlers.

    Args:
        texts: `URL`, or `HUB=URL` for one hub.
        system_events: The names of the system events that they receive, after commas, or `none`.
        user_events: The same for user events; `*` for all.
        hosts: Hosts beyond loopback to which events may be sent.

    Raises:
        EventHandlerError: A text is invalid.
    """
    system = _parse_system_events(system_events)
    user = _parse_user_events(user_events)
    allowed = frozenset(host.strip().strip("[]").lower() for host in hosts)
    return tuple(_parse_handler(text.strip(), system, user, allowed) for text in texts)


def display_url(url: str) -> str:
    """Return a URL or its template as it may be shown: its query may hold a secret."""
    return replace_invisible(url.partition("?")[0])[:200]


def _parse_system_events(text: str) -> frozenset[str]:
    names = [name.strip().lower() for name in text.split(",")]
    if names == [_NONE]:
        return frozenset()
    for name in names:
        if name not in SYSTEM_EVENTS:
            hint = did_you_mean(name, SYSTEM_EVENTS)
            raise EventHandlerError(
                f"`{replace_invisible(name)}` is not a system event: they are "
                f"{', '.join(SYSTEM_EVENTS)}, or `none` for none{hint}"
            )
    return frozenset(names)


def _parse_user_events(text: str) -> frozenset[str] | None:
    names = [name.strip().lower() for name in text.split(",")]
    if names == [_ALL]:
        return None
    if names == [_NONE]:
        return frozenset()
    for name in names:
        if not is_event_name(name):
            raise EventHandlerError(
                f"`{replace_invisible(name)}` is not the name of a user event; write `*` for all, "
                "`none`, or names after commas: a letter, and up to 127 letters, digits, _ . -"
            )
    return frozenset(names)


def _parse_handler(
    text: str, system: frozenset[str], user: frozenset[str] | None, hosts: frozenset[str]
) -> EventHandler:
    hub, equals, url = text.partition("=")
    if not equals or "://" in hub:
        hub, url = "", text
    elif not is_hub_name(hub):
        raise EventHandlerError(
            f"`{replace_invisible(hub)[:80]}` is not a valid hub name; write HUB=URL, or a URL"
        )
    _check_url(url, hosts)
    return EventHandler(url, hub_key(hub) if hub else None, system, user)


def _check_url(url: str, hosts: frozenset[str]) -> None:
    shown = display_url(url)
    if (
        len(url) > EVENT_HANDLER_URL.value
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise EventHandlerError(
            f"the URL `{shown}` is too long or has blanks or characters that are not ASCII; "
            "write these as percent escapes"
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise EventHandlerError(f"`{shown}` is not a URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise EventHandlerError(
            f"`{shown}` is not the URL of an event handler; write it as "
            "http://127.0.0.1:8000/eventhandler"
        )
    if "{" in parts.netloc or "@" in parts.netloc or parts.fragment:
        raise EventHandlerError(
            f"`{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…`: an event handler has no "
            "user name, no fragment, and no `{hub}` or `{event}` in its host"
        )
    if {"{", "}"} & set(_PLACEHOLDER.sub("", url)):
        raise EventHandlerError(
            f"`{shown}` has braces that are neither {{hub}} nor {{event}}; write these as %7B, %7D"
        )
    if not _is_loopback(host) and host not in hosts:
        raise EventHandlerError(
            f"the event handler `{shown}` is not on this machine; allow its host with "
            f"--event-handler-host {host}"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
