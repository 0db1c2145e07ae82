"""`wps-run listen`: answer the events of the service from `groups`, so that membership lasts."""

import asyncio
import logging
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from wps_run import planning
from wps_run.actions.payload import compact_json
from wps_run.checking import STDIN
from wps_run.cli.commands.serve import LOOPBACK, host_in_url, listen_error
from wps_run.cli.configuration import (
    FILE,
    configuration_of,
    configuration_options,
    configured,
    override_option,
)
from wps_run.cli.errors import report_error, show_warnings
from wps_run.cli.inputs import read_inputs, variable_options
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.options import overrides_from, port_option, settings_options
from wps_run.cli.terminal import interrupting_signals, show_message
from wps_run.connect.endpoint import Endpoint
from wps_run.input_limits import EVENT
from wps_run.listening import (
    SIGNED,
    EventAnswer,
    Membership,
    Outcome,
    Unknown,
    membership_of,
    plan_lists,
    service_endpoints,
    with_secondary,
)
from wps_run.playbook.options import CONNECTION, HUB
from wps_run.problems import UsageError
from wps_run.report.plan import count_text
from wps_run.report.values import value_text
from wps_run.text import Label

if TYPE_CHECKING:
    from aiohttp import web

DEFAULT_PORT = 8080
HEALTH_PATH = "/healthz"

_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
"""Paths that are the same in a URL and decoded."""

_LOG = logging.getLogger("wps_run.listen")

_REQUEST_SECONDS = 10.0
"""How long the service may take to send one request."""

_LOOK_SECONDS = 0.5
"""How often files are looked at. A changed file is read when it was the same twice."""

_CLOCK_NANOSECONDS = 50_000_000
"""How much the times of files may be behind the clock."""

_SERVER_SETTINGS = {"access_log": None, "auto_decompress": False, "max_field_size": 64 * 1024}
"""A header may hold a connection's state. Bodies are not read, so they stay as they are."""


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
    help="Let this host send events, too, such as a gateway; `*` for any. Events need a signature "
    "all the same. Repeatable.  [default: the service of the connection]",
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
    are wrong, the errors are shown, and the answers stay as they were.

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

    handler = MembershipHandler(load, values["path"])
    local_port = values["local_port"] if values["local"] else None
    asyncio.run(_listen(handler, values["host"], values["port"], local_port))


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


FileStates: TypeAlias = Mapping[Path, tuple[int, ...]]
"""What tells whether each file is the same; () for one that is not there."""


class MembershipHandler:
    """Answers HTTP requests from the membership that was loaded last.

    Args:
        load: Reads the membership, for the service or for an emulator.
        path: The path of the web hook.

    Attributes:
        path: As given.
        emulator: What sends the events in place of the service, or None.
    """

    def __init__(self, load: Callable[[Endpoint | None], Membership], path: str) -> None:
        self._load = load
        self.path = path
        self.emulator: Endpoint | None = None
        self._members: Membership | None = None
        self._answers: Counter[Outcome] = Counter()
        self._reloads = self._failed_reloads = 0
        self._is_stale = False
        self._load_time = 0

    async def load(self) -> Membership:
        """Read the membership in a thread, so that requests are answered meanwhile.

        The thread does not keep the process from ending.

        Raises:
            Exception: Something is wrong with what is read.
        """
        self._load_time = time.time_ns()
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[Membership] = loop.create_future()

        def finish(result: Membership | Exception) -> None:
            if loaded.done():  # canceled
                return
            if isinstance(result, Exception):
                loaded.set_exception(result)
            else:
                loaded.set_result(result)

        def run() -> None:
            result: Membership | Exception
            try:
                result = self._load(self.emulator)
            except Exception as error:  # noqa: BLE001 -- raised where it is awaited
                result = error
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(finish, result)

        Thread(target=run, daemon=True).start()
        self._members = await loaded
        return self._members

    async def watch(self, hangup: asyncio.Event) -> None:
        """Load again when a file has changed, or on the event. What is wrong is shown."""
        read = seen = self._states_when_read({})
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await hangup.wait()
            states = self._file_states()
            if hangup.is_set() or states == seen != read:
                hangup.clear()
                await self._reload()
                read = self._states_when_read(states)
            seen = states

    async def _reload(self) -> None:
        try:
            members = await self.load()
        except Exception as error:  # noqa: BLE001 -- whatever it is, what was loaded is right
            report_error(error)
            show_message(Label.WARNING, "nothing was reloaded; the answers stay as they were")
            self._failed_reloads, self._is_stale = self._failed_reloads + 1, True
            return
        self._reloads, self._is_stale = self._reloads + 1, False
        show_message(Label.NOTE, f"reloaded: {_counts(members)}")

    def _watched(self) -> set[Path]:
        """Return the files, and after a failure their folders: a new file may be missing."""
        files = set(self._members.files) if self._members else set()
        return files | ({file.parent for file in files} if self._is_stale else set())

    def _file_states(self) -> FileStates:
        return {file: _state_of(file) for file in self._watched()}

    def _states_when_read(self, before: FileStates) -> FileStates:
        """Return the states of the files that were read; () where a change may have come after.

        Args:
            before: The states that are known from before they were read.
        """
        limit = self._load_time - _CLOCK_NANOSECONDS
        return {
            file: before.get(file, () if state[:1] >= (limit,) else state)
            for file, state in self._file_states().items()
        }

    async def answer(self, request: "web.BaseRequest") -> "web.Response":
        """Answer one request."""
        from aiohttp import web  # noqa: PLC0415 -- it is imported late

        members = self._members
        if members is None:
            return web.Response(status=503)
        if request.path == HEALTH_PATH and request.method in {"GET", "HEAD"}:
            return web.Response(text=self._health(members), content_type="application/json")
        if request.path != self.path:
            return web.Response(status=404)
        if request.method not in {"OPTIONS", "POST"}:
            return web.Response(status=405, headers={"Allow": "OPTIONS, POST"})
        body = await _read_body(request)
        answer = members.answer(request.headers, body, request.method)
        self._answers[answer.outcome] += 1
        if _LOG.isEnabledFor(logging.INFO):
            _LOG.info("%s", _decision(request, answer))
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    def _health(self, members: Membership) -> str:
        return compact_json(
            {
                "status": "stale" if self._is_stale else "ok",
                "hubs": len(members.hubs),
                "groups": members.group_count,
                "users": members.user_count,
                "answers": {outcome: self._answers[outcome] for outcome in Outcome},
                "reloads": self._reloads,
                "failedReloads": self._failed_reloads,
            }
        )


def _decision(request: "web.BaseRequest", answer: EventAnswer) -> str:
    """Describe what was decided. Of a request that is not signed, nothing is repeated."""
    what = request.method
    if answer.outcome in SIGNED:
        user = request.headers.get("ce-userId")
        who = f"user {value_text(user)}" if user else "an anonymous client"
        what = f"{value_text(request.headers['ce-eventName'])} of {who}"
    groups = f", {count_text(answer.groups, 'group')}" if answer.groups else ""
    return f"{what}: {answer.outcome} ({answer.status}){groups}"


async def _read_body(request: "web.BaseRequest") -> bytes:
    """Read the body of a request, as far as the limit."""
    body = b""
    if (request.content_length or 0) > EVENT.value:
        return bytes(EVENT.value + 1)
    if request.content.is_eof():  # as a rule, a short body is there already
        return request.content.read_nowait()
    async for chunk in request.content.iter_any():
        body = body + chunk if body else chunk
        if len(body) > EVENT.value:
            break
    return body


def _state_of(file: Path) -> tuple[int, ...]:
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev


def _counts(members: Membership) -> str:
    return (
        f"{count_text(members.user_count, 'user')} in "
        f"{count_text(members.group_count, 'group')} of {count_text(len(members.hubs), 'hub')}"
    )


async def _listen(handler: MembershipHandler, host: str, port: int, local_port: int | None) -> None:
    """Answer requests until a signal ends it.

    Args:
        handler: Answers them.
        host: The address to listen on.
        port: The port.
        local_port: The port of an emulator that sends its events here, or None for the service.

    Raises:
        UsageError: The address is not available.
        WpsRunError: What is loaded first is wrong.
    """
    # aiohttp is imported late.
    from wps_run.emulator.connections import Listener, TurnBudget  # noqa: PLC0415
    from wps_run.emulator.server import Emulator  # noqa: PLC0415

    stopped, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in interrupting_signals():
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends asyncio.run instead
            loop.add_signal_handler(number, stopped.set)
    with suppress(NotImplementedError, AttributeError):
        loop.add_signal_handler(signal.SIGHUP, hangup.set)
    stopping = asyncio.create_task(stopped.wait())
    listener = Listener(handler.answer, TurnBudget(), _REQUEST_SECONDS, **_SERVER_SETTINGS)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(listener.close)
        await _start(listener.start(host, port, None), host, port)
        url = f"http://{host_in_url(host)}:{listener.port}{handler.path}"
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
            handler.emulator = emulator.endpoint
            click.echo(emulator.connection_string)
        work = asyncio.create_task(_serve(handler, hangup, host, url))
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


async def _serve(handler: MembershipHandler, hangup: asyncio.Event, host: str, url: str) -> None:
    """Load what is answered, announce the web hook, and load it again when it changes."""
    members = await handler.load()
    click.echo(url)
    if host not in LOOPBACK:
        show_message(Label.WARNING, f"other machines can connect, on {host}")
    show_message(Label.NOTE, f"loaded {_counts(members)}; Ctrl-C stops it")
    await handler.watch(hangup)
