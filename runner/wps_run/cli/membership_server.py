"""Load whom playbooks list, again when a file has changed, and answer HTTP requests from it."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

from wps_run.actions.payload import compact_json
from wps_run.cli.errors import report_error
from wps_run.cli.terminal import show_message
from wps_run.connect.endpoint import Endpoint
from wps_run.input_limits import EVENT
from wps_run.listening import SIGNED, EventAnswer, Membership, Outcome
from wps_run.report.plan import count_text
from wps_run.report.values import value_text
from wps_run.text import Label

if TYPE_CHECKING:
    from aiohttp import web

    from wps_run.emulator.plain_http import PlainResponse

HEALTH_PATH = "/healthz"

_LOG = logging.getLogger("wps_run.listen")

_LOOK_SECONDS = 0.5
"""How often files are looked at. A changed file is read when it was the same twice."""

_CLOCK_NANOSECONDS = 50_000_000
"""How much the times of files may be behind the clock."""

FileStates: TypeAlias = Mapping[Path, tuple[int, ...]]
"""What shows whether each file is the same; () for one that is not there."""


class MembershipLoader:
    """Loads a membership, and loads it again when a file has changed.

    Args:
        load: Reads the membership, for the service or for an emulator.

    Attributes:
        emulator: What sends the events in place of the service, or None.
        members: What was loaded last; None before.
        reloads: How often it was loaded again.
        failed_reloads: How often that failed.
        is_stale: Whether the last attempt failed.
    """

    def __init__(self, load: Callable[[Endpoint | None], Membership]) -> None:
        self.emulator: Endpoint | None = None
        self.members: Membership | None = None
        self.reloads = self.failed_reloads = 0
        self.is_stale = False
        self._load = load
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
        self.members = await loaded
        return self.members

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
            show_message(Label.WARNING, "nothing was reloaded; the responses stay as they were")
            self.failed_reloads, self.is_stale = self.failed_reloads + 1, True
            return
        self.reloads, self.is_stale = self.reloads + 1, False
        show_message(Label.NOTE, f"reloaded: {counts_text(members)}")

    def _watched(self) -> set[Path]:
        """Return the files, and after a failure their folders: a new file may be missing."""
        files = set(self.members.files) if self.members else set()
        return files | ({file.parent for file in files} if self.is_stale else set())

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


class MembershipHandler:
    """Answers HTTP requests from the membership that was loaded last.

    Args:
        loader: Loads it.
        path: The path of the web hook.
    """

    def __init__(self, loader: MembershipLoader, path: str) -> None:
        self._loader = loader
        self._path = path
        self._answers: Counter[Outcome] = Counter()

    def answer_event(self, headers: Mapping[str, str]) -> "PlainResponse | None":
        """Answer a POST to the web hook by its headers, or return None before there is an answer.

        Args:
            headers: Its headers, which occur once each, with names in lower case.
        """
        members = self._loader.members
        if members is None:
            return None
        answer = members.answer_event(headers)
        self._record("POST", headers, answer)
        return answer.status, answer.headers, answer.body

    async def answer(self, request: "web.BaseRequest") -> "web.Response":
        """Answer one request."""
        from aiohttp import web  # noqa: PLC0415 -- it is imported late

        members = self._loader.members
        if members is None:
            return web.Response(status=503)
        if request.path == HEALTH_PATH and request.method in {"GET", "HEAD"}:
            return web.Response(text=self._health(members), content_type="application/json")
        if request.path != self._path:
            return web.Response(status=404)
        if request.method not in {"OPTIONS", "POST"}:
            return web.Response(status=405, headers={"Allow": "OPTIONS, POST"})
        body = await _read_body(request)
        answer = members.answer(request.headers, body, request.method)
        self._record(request.method, request.headers, answer)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    def _record(self, method: str, headers: Mapping[str, str], answer: EventAnswer) -> None:
        self._answers[answer.outcome] += 1
        if _LOG.isEnabledFor(logging.INFO):
            _LOG.info("%s", _decision(method, headers, answer))

    def _health(self, members: Membership) -> str:
        return compact_json(
            {
                "status": "stale" if self._loader.is_stale else "ok",
                "hubs": len(members.hubs),
                "groups": members.group_count,
                "users": members.user_count,
                "answers": {outcome: self._answers[outcome] for outcome in Outcome},
                "reloads": self._loader.reloads,
                "failedReloads": self._loader.failed_reloads,
            }
        )


def counts_text(members: Membership) -> str:
    """Return the numbers of users, groups and hubs."""
    return (
        f"{count_text(members.user_count, 'user')} in "
        f"{count_text(members.group_count, 'group')} of {count_text(len(members.hubs), 'hub')}"
    )


def _decision(method: str, headers: Mapping[str, str], answer: EventAnswer) -> str:
    """Describe what was decided. Of a request that is not signed, nothing is repeated."""
    what = method
    if answer.outcome in SIGNED:
        user = headers.get("ce-userid")
        who = f"user {value_text(user)}" if user else "an anonymous client"
        what = f"{value_text(headers['ce-eventname'])} of {who}"
    groups = f", {count_text(answer.groups, 'group')}" if answer.groups else ""
    return f"{what}: {answer.outcome} ({answer.status}){groups}"


async def _read_body(request: "web.BaseRequest") -> bytes:
    """Read the body of a request, as far as the limit."""
    if (request.content_length or 0) > EVENT.value:
        return bytes(EVENT.value + 1)
    body = b""
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
