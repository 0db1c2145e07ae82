"""The options that name event handlers, and which one receives an event."""

import click
import pytest
from click.testing import CliRunner

from wps_run.cli.commands.serve import command
from wps_run.emulator.events.configuration import (
    EventHandlerError,
    find_handler,
    parse_event_handlers,
)
from wps_run.problems import UsageError


def parse(
    *texts: str, system: str = "connect", user: str = "*", hosts: tuple[str, ...] = ()
) -> None:
    """Parse event handlers."""
    parse_event_handlers(texts, system, user, hosts)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1/",
        "https://localhost:8443/a?code=x%3D&b=c",
        "http://[::1]:7071/{HUB}/{Event}",
        "My_Hub=http://127.8.9.1/?a=b",
    ],
)
def test_a_handler_on_this_machine_is_valid(text: str) -> None:
    """With and without a hub, whatever its query holds."""
    parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not the URL of an event handler"),
        ("127.0.0.1:80", "is not the URL of an event handler"),
        ("ftp://127.0.0.1/", "is not the URL of an event handler"),
        ("http:///path", "is not the URL of an event handler"),
        ("http://127.0.0.1:99999/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("1hub=http://127.0.0.1/", "`1hub` is not a valid hub name"),
        ("http://127.0.0.1/{hubs}", "braces that are neither {hub} nor {event}"),
        ("http://{hub}.localhost/", "no `{hub}` or `{event}` in its host"),
        ("http://ada:pass@localhost/", "has no user name"),
        ("http://127.0.0.1/#a", "no fragment"),
        ("http://127.0.0.1/a b", "has blanks"),
        ("http://127.0.0.1/\r\nx", "has blanks"),
        ("http://127.0.0.1/é", "not ASCII"),
        ("http://192.0.2.1/?code=secret", "--event-handler-host 192.0.2.1"),
        ("http://localhost.example.com/", "--event-handler-host localhost.example.com"),
        ("http://0x7f.1/", "--event-handler-host 0x7f.1"),
    ],
)
def test_another_handler_is_an_error_that_says_what_to_write(text: str, message: str) -> None:
    """It never shows a query or a password, which may be secret."""
    with pytest.raises(EventHandlerError) as error:
        parse(text)

    assert message in str(error.value)
    assert "secret" not in str(error.value)
    assert "pass" not in str(error.value)


def test_a_host_beyond_this_machine_can_be_allowed() -> None:
    """By its name, in any case."""
    parse("http://Host.Docker.Internal:80/", hosts=("host.docker.internal",))


@pytest.mark.parametrize(
    ("system", "user", "message"),
    [
        ("conect", "*", "disconnected, or `none` for none; did you mean `connect`?"),
        ("", "*", "is not a system event"),
        ("connect,none", "*", "is not a system event"),
        ("connect", "a b", "is not the name of a user event"),
        ("connect", "room.*", "is not the name of a user event"),
        ("connect", "", "is not the name of a user event"),
    ],
)
def test_unknown_events_are_an_error(system: str, user: str, message: str) -> None:
    """Patterns are not supported."""
    with pytest.raises(EventHandlerError) as error:
        parse("http://127.0.0.1/", system=system, user=user)

    assert message in str(error.value)


def test_the_first_handler_of_the_hub_that_takes_an_event_receives_it() -> None:
    """Those for all hubs only if the hub has none of its own."""
    handlers = (
        *parse_event_handlers(["http://127.0.0.1/all"], "connect", "*"),
        *parse_event_handlers(["chat=http://127.0.0.1/1"], "connected", "none"),
        *parse_event_handlers(["chat=http://127.0.0.1/2/{hub}/{event}"], "connect", "A, b"),
    )

    def url(hub: str, event: str, *, is_system: bool) -> str | None:
        handler = find_handler(handlers, hub, event, is_system=is_system)
        return handler.url(hub, event) if handler else None

    assert url("chat", "connected", is_system=True) == "http://127.0.0.1/1"
    assert url("chat", "connect", is_system=True) == "http://127.0.0.1/2/chat/connect"
    assert url("chat", "a", is_system=False) == "http://127.0.0.1/2/chat/a"
    assert url("chat", "other", is_system=False) is None
    assert url("a[1]`", "connect", is_system=True) == "http://127.0.0.1/all"


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["--event-handler", "http://192.0.2.1/"], {}, "is not on this machine"),
        ([], {"WPS_RUN_EVENT_HANDLER": "http://127.0.0.1/ x=y"}, "is not the URL"),
        (["--system-events", "joined"], {}, "is not a system event"),
        ([], {"WPS_RUN_USER_EVENTS": "?"}, "is not the name of a user event"),
        (["--event-handler-timeout", "0"], {}, "it must be more than 0"),
        (["--event-handler-timeout", "soon"], {}, "a duration is written"),
    ],
)
def test_serve_refuses_invalid_handlers(
    arguments: list[str], variables: dict[str, str], message: str
) -> None:
    """Before it listens, from options as from variables."""
    args = ["--port", "0", *arguments]
    result = CliRunner().invoke(command, args, env=variables, standalone_mode=False)

    assert isinstance(result.exception, UsageError | click.UsageError)
    assert message in str(result.exception)
