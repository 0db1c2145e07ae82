"""`wps-run serve`: run the emulator until it is stopped."""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from wps_run import input_limits
from wps_run.checking import load_seed, read_text
from wps_run.cli.configuration import FILE, Decorated
from wps_run.cli.options import fault_options, port_option
from wps_run.cli.terminal import interrupting_signals, show_message
from wps_run.emulator.events.configuration import SYSTEM_EVENTS
from wps_run.playbook.options import parse_duration, variable_of
from wps_run.problems import UsageError
from wps_run.text import Label

if TYPE_CHECKING:
    from wps_run.emulator.server import Emulator

DEFAULT_PORT = 8080
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _Diagnostics(logging.Handler):
    """Shows what is logged as diagnostics."""

    def emit(self, record: logging.LogRecord) -> None:
        label = Label.ERROR if record.levelno >= logging.ERROR else Label.WARNING
        show_message(label, self.format(record))


def _parse_timeout(_: click.Context, __: click.Parameter, value: str) -> float:
    try:
        seconds = parse_duration(float(value) if value.isdecimal() else value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not seconds:
        raise click.BadParameter("it must be more than 0")
    return seconds


def _event_option(flag: str, *names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Make an option of event handlers, which has an environment variable."""
    return click.option(flag, *names, envvar=variable_of(flag), show_envvar=True, **attributes)


@click.command("serve")
@port_option(DEFAULT_PORT)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Listen on this address. Beyond loopback, anybody who has the key can use the emulator.",
)
@click.option(
    "--access-key",
    envvar="WPS_LOCAL_ACCESS_KEY",
    metavar="KEY",
    help="Use this access key, at least 32 bytes. Prefer WPS_LOCAL_ACCESS_KEY, since others can "
    "read a command line.  [default: a new one]",
)
@click.option(
    "--tls-cert", type=FILE, metavar="FILE", help="Listen on https with this certificate (PEM)."
)
@click.option(
    "--tls-key", type=FILE, metavar="FILE", help="Use this private key for the certificate (PEM)."
)
@click.option(
    "--allow-unvalidated-entra-tokens",
    is_flag=True,
    help="Accept any token in the form of an Entra ID token. For tests only.",
)
@click.option(
    "--strict-api-version",
    is_flag=True,
    help="Reject a newer api-version with 400, as the service does, instead of a warning.",
)
@click.option(
    "--seed",
    type=FILE,
    metavar="FILE",
    help="Connect the simulated clients of this YAML or JSON file at the start: `clients:` with "
    "userId, connectionId, groups, permissions, count.",
)
@_event_option(
    "--event-handler",
    "event_handlers",
    multiple=True,
    metavar="URL|HUB=URL",
    help="Send the events of clients to this web hook, for all hubs or for one; `{hub}` and "
    "`{event}` in the URL are replaced. Repeatable; the first that takes an event receives it.",
)
@_event_option(
    "--system-events",
    default=",".join(SYSTEM_EVENTS),
    show_default=True,
    metavar="NAMES",
    help="Send only these system events to event handlers, or `none`.",
)
@_event_option(
    "--user-events",
    default="*",
    show_default=True,
    metavar="*|none|NAMES",
    help="Send only these user events to event handlers; `*` for all.",
)
@_event_option(
    "--event-handler-host",
    "event_handler_hosts",
    multiple=True,
    metavar="HOST",
    help="Allow event handlers on this host, in addition to this machine. Repeatable.",
)
@_event_option(
    "--event-handler-timeout",
    default="30s",
    show_default=True,
    callback=_parse_timeout,
    metavar="TIME",
    help="Wait this long for the response of an event handler, more than 0 s.",
)
@fault_options
def command(
    port: int,
    host: str,
    access_key: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    *,
    seed: str | None,
    faults: tuple[str, ...],
    fault_seed: int | None,
    allow_unvalidated_entra_tokens: bool,
    strict_api_version: bool,
    event_handlers: tuple[str, ...],
    system_events: str,
    user_events: str,
    event_handler_hosts: tuple[str, ...],
    event_handler_timeout: float,
) -> None:
    """Run the emulator until it is stopped.

    The emulator is a Web PubSub compatible service on this machine. Ctrl-C, SIGTERM or SIGHUP stops
    it. The connection string is the first line on stdout; HEAD /api/health returns 200 when ready.
    Nothing is stored on disk. GET /_local/ledger, /_local/state and /_local/faults show the
    requests, the state and the faults; POST /_local/reset resets them. They need the access key as
    bearer token. A link on stderr opens a live dashboard, once.

    \b
    Example, in two terminals:
      wps-run serve --port 8080
      WebPubSubConnectionString='<its first line>' wps-run playbook.yaml

    \b
    A fault is a kind, followed by options after commas:
      429 503 ...     respond with this status (408, 429, 500 to 599)
      delay=250ms     respond late
      stall           do not respond until the client gives up
      reset           reset the connection
      half            send half of the response and close the connection
      before after    before or after the effect  [default: before; half: after]
      retry-after=2   with a status: ask the client to wait 2 s; retry-after-date=2
                      as a date, retry-after-ms=250 in milliseconds
      share=10%       affect this share of the requests, selected by --fault-seed
      count=3         affect at most 3 requests
      every=5         affect each fifth request
      nth=2  nth=2+4  affect only these requests
      on=SendToAll+sendToGroup   affect only these operations of the REST API;
                      the name of an action is accepted as well
      on=connect+userEvent       affect only these calls of event handlers: connect,
                      connected, disconnected, userEvent; any status from 400
      hub=chat        affect only this hub
    Each fault counts the requests that its options match, in order of arrival. Delays add up;
    of other faults, the first applies. Health and /_local/ are never affected, and event handlers
    only by faults that name events.

    \b
    Examples of faults:
      --fault 429,retry-after=2,count=3
      --fault 503,after,share=10%,on=SendToGroup --fault delay=250ms,share=50%
      --fault stall,on=AddUserToGroup,nth=3
      --fault 401,on=connect,count=1

    \b
    Example of an event handler:
      wps-run serve --event-handler http://127.0.0.1:8000/eventhandler
    """
    from wps_run.emulator.server import Emulator  # noqa: PLC0415 -- aiohttp is imported late

    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Diagnostics()])
    for file in filter(None, (tls_cert, tls_key)):
        read_text(file, input_limits.CERTIFICATES)  # TLS reads the file itself, without a limit
    try:
        emulator = Emulator(
            host=host,
            port=port,
            access_key=access_key,
            tls_cert=tls_cert,
            tls_key=tls_key,
            allow_unvalidated_entra_tokens=allow_unvalidated_entra_tokens,
            strict_api_version=strict_api_version,
            faults=faults,
            fault_seed=fault_seed,
            event_handlers=event_handlers,
            system_events=system_events,
            user_events=user_events,
            event_handler_hosts=event_handler_hosts,
            event_seconds=event_handler_timeout,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    if seed is not None:
        emulator.connect(load_seed(seed))
    asyncio.run(_serve(emulator, host, port))


async def _serve(emulator: "Emulator", host: str, port: int) -> None:
    """Serve until a signal ends it.

    Raises:
        UsageError: The emulator cannot listen, or the certificate cannot be used.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in interrupting_signals():
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends asyncio.run instead
            loop.add_signal_handler(number, stopped.set)
    try:
        await emulator.start()
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise listen_error(host, port, error) from None
    try:
        _announce(emulator, host)
        await stopped.wait()
    finally:
        await emulator.stop()


def listen_error(host: str, port: int, error: OSError) -> UsageError:
    """Say why an address is not available. asyncio's own text repeats the address."""
    number = error.errno or 0
    reason = os.strerror(number) if number > 0 else error.strerror or error  # of the resolver
    remedy = "; select another port, or 0 for a free one" if number == errno.EADDRINUSE else ""
    return UsageError(f"cannot listen on {host_in_url(host)}:{port}: {reason}{remedy}")


def host_in_url(host: str) -> str:
    """Return a host as it is in front of a port."""
    return f"[{host}]" if ":" in host else host


def _announce(emulator: "Emulator", host: str) -> None:
    """Print the connection string to stdout, and everything else to stderr."""
    click.echo(emulator.connection_string)
    if host not in LOOPBACK:
        show_message(Label.WARNING, f"other machines can connect, on {host}")
    if emulator.faults.counters:
        seed = emulator.faults.seed
        show_message(Label.NOTE, f"faults are injected; repeat them with --fault-seed {seed}")
    show_message(Label.NOTE, f"dashboard at {emulator.dashboard_link()} (opens once)")
    show_message(Label.NOTE, f"ready at {emulator.endpoint.origin}; Ctrl-C stops it")
