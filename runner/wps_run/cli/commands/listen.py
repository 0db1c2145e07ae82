"""`wps-run listen`: answer the events of the service from `groups`, so that membership lasts."""

import asyncio
import re
import signal
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from wps_run import planning
from wps_run.checking import STDIN
from wps_run.cli.commands.serve import LOOPBACK, host_in_url, listen_error
from wps_run.cli.configuration import (
    FILE,
    configuration_of,
    configuration_options,
    configured,
    override_option,
)
from wps_run.cli.errors import show_warnings
from wps_run.cli.inputs import read_inputs, variable_options
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.membership_server import (
    HEALTH_PATH,
    MembershipHandler,
    MembershipLoader,
    counts_text,
)
from wps_run.cli.options import overrides_from, port_option, settings_options
from wps_run.cli.terminal import interrupting_signals, show_message
from wps_run.connect.endpoint import Endpoint
from wps_run.input_limits import EVENT_HEADER
from wps_run.listening import (
    Membership,
    Unknown,
    membership_of,
    plan_lists,
    service_endpoints,
    with_secondary,
)
from wps_run.playbook.options import CONNECTION, HUB
from wps_run.problems import UsageError
from wps_run.text import Label

DEFAULT_PORT = 8080

_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
"""Paths that are the same in a URL and decoded."""

_REQUEST_SECONDS = 10.0
"""How long the service may take to send one request."""


@click.command("listen")
@click.argument("playbooks", nargs=-1, type=FILE, metavar="PLAYBOOK…")
@port_option(DEFAULT_PORT)
@click.option(
    "--path",
    default="/eventhandler",
    show_default=True,
    metavar="PATH",
    help="Answer at this path, which the URL of the event handler has.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Listen on this address; 0.0.0.0 in a container.",
)
@click.option(
    "--unknown",
    type=click.Choice([each.value for each in Unknown]),
    default=Unknown.ALLOW.value,
    show_default=True,
    help="What becomes of clients whose user is in no list: admit them without groups, or refuse "
    "them.",
)
@click.option(
    "--allow-origin",
    "allowed_origins",
    multiple=True,
    metavar="HOST",
    help="Let this host send events, too, such as a gateway; `*` for any. Their events need a "
    "signature, too. Repeatable.  [default: the service of the connection]",
)
@click.option(
    "--secondary-connection",
    metavar="NAME",
    help="Name of the setting with the connection string of the service's other key, so that "
    "either key can be replaced while this runs.",
)
@click.option(
    "--local",
    is_flag=True,
    help="Start an emulator, too, which sends its events here. Needs no setting.",
)
@click.option(
    "--local-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    metavar="N",
    help="With --local: the port of the emulator; 0 selects a free one.",
)
@configuration_options
@override_option(HUB, [HUB.key])
@override_option(CONNECTION, [CONNECTION.key])
@settings_options
@variable_options
@log_options
def command(playbooks: tuple[str, ...], **values: Any) -> None:
    """Answer the events of the service from `groups`, so that membership lasts.

    This is an event handler of the service: a web hook that is asked before a client is admitted.
    Each client joins the groups that list its user, with the roles of their entries. Ctrl-C or
    SIGTERM stops it. Requests without a signature of an access key are refused.

    Playbooks and the files of their users are read again when they change, and on SIGHUP. If they
    are wrong, the errors are shown, and the responses stay as they were.

    GET /healthz returns what was loaded and counts of the answers, without names. -v logs each
    decision.

    \b
    Examples:
      wps-run listen --unknown refuse rooms.yaml
      wps-run listen --local rooms.yaml
      wps-run listen --host 0.0.0.0 --port 80 --env prod rooms.yaml
    """
    if STDIN in playbooks:
        raise UsageError("playbooks are read again when they change; name files in place of `-`")
    if not playbooks:
        raise UsageError("name a playbook")
    if not _PATH.fullmatch(values["path"]) or values["path"] == HEALTH_PATH:
        message = "--path must begin with `/` and have only letters, digits and `-._~/` after it"
        raise UsageError(f"{message}; it must not be {HEALTH_PATH}")
    context = click.get_current_context()
    context.with_resource(
        logging_to_stderr(
            values["log_level"],
            verbose=values["verbose"],
            secrets=overrides_from(configured(values)).secrets,
        )
    )

    def load(emulator: Endpoint | None) -> Membership:
        with context.scope(cleanup=False):  # in the thread that loads
            return _load(playbooks, values, emulator)

    local_port = values["local_port"] if values["local"] else None
    address = (values["host"], values["port"], values["path"])
    asyncio.run(_listen(MembershipLoader(load), *address, local_port))


def _load(
    playbooks: Iterable[str], values: Mapping[str, Any], emulator: Endpoint | None
) -> Membership:
    """Read playbooks with their variables, settings and users.

    Args:
        playbooks: The names of the playbooks.
        values: The parameters of the command.
        emulator: What sends the events in place of the service, or None.

    Raises:
        WpsRunError: Something is wrong with them.
    """
    values = configured(values)
    default_hub = planning.LOCAL_HUB if emulator else ""
    plans = plan_lists(read_inputs(playbooks), overrides_from(values), default_hub=default_hub)
    show_warnings(planning.find_warnings(plans))
    if emulator:
        members = membership_of(plans, [emulator] * len(plans))
    else:
        endpoints = service_endpoints(plans)
        secondary = with_secondary(endpoints, plans, values["secondary_connection"])
        members = membership_of(plans, endpoints, secondary)
    document = configuration_of(values).document
    configuration = document.file if document else None
    others = (*values["vars_files"], configuration, values["settings"])
    return replace(
        members,
        unknown=Unknown(values["unknown"]),
        allowed_origins=values["allowed_origins"],
        files=(*members.files, *map(Path, filter(None, others))),
    )


async def _listen(
    loader: MembershipLoader, host: str, port: int, path: str, local_port: int | None
) -> None:
    """Answer requests until a signal ends it.

    Args:
        loader: Loads what is answered.
        host: The address to listen on.
        port: The port.
        path: The path of the web hook.
        local_port: The port of an emulator that sends its events here, or None for the service.

    Raises:
        UsageError: The address is not available.
        WpsRunError: What is loaded first is wrong.
    """
    # aiohttp is imported late.
    from wps_run.emulator.connections import Listener, TurnBudget  # noqa: PLC0415
    from wps_run.emulator.plain_http import PlainRoute  # noqa: PLC0415
    from wps_run.emulator.server import Emulator  # noqa: PLC0415

    stopped, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in interrupting_signals():
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends asyncio.run instead
            loop.add_signal_handler(number, stopped.set)
    with suppress(NotImplementedError, AttributeError):
        loop.add_signal_handler(signal.SIGHUP, hangup.set)
    stopping = asyncio.create_task(stopped.wait())
    handler = MembershipHandler(loader, path)
    events = PlainRoute(f"POST {path} HTTP/1.1".encode(), handler.answer_event)
    listener = Listener(
        handler.answer, TurnBudget(), _REQUEST_SECONDS, events, max_field_size=EVENT_HEADER.value
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(listener.close)
        await _start(listener.start(host, port, None), host, port)
        url = f"http://{host_in_url(host)}:{listener.port}{path}"
        if local_port is not None:
            emulator = Emulator(
                port=local_port,
                event_handlers=[url],
                system_events="connect",
                user_events="none",
                event_handler_hosts=[host],
            )
            stack.push_async_callback(emulator.stop)
            await _start(emulator.start(), "127.0.0.1", local_port)
            loader.emulator = emulator.endpoint
            click.echo(emulator.connection_string)
        work = asyncio.create_task(_serve(loader, hangup, host, url))
        stack.callback(work.cancel)
        await asyncio.wait({stopping, work}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()


async def _start(start: Awaitable[None], host: str, port: int) -> None:
    """Start to listen.

    Raises:
        UsageError: The address is not available.
    """
    try:
        await start
    except OSError as error:
        raise listen_error(host, port, error) from None


async def _serve(loader: MembershipLoader, hangup: asyncio.Event, host: str, url: str) -> None:
    """Load what is answered, announce the web hook, and load it again when it changes."""
    members = await loader.load()
    click.echo(url)
    if host not in LOOPBACK:
        show_message(Label.WARNING, f"other machines can connect, on {host}")
    show_message(Label.NOTE, f"loaded {counts_text(members)}; Ctrl-C stops it")
    await loader.watch(hangup)
