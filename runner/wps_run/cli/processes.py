"""`--processes N`: run the actions of a plan in several processes, as one run.

The main process reads and checks everything, and creates the journals. Then it forks the others,
so that they need not do it again: each runs one shard of the plans, with a journal of its own. They
send their results, and what they write to stderr, through a socket, in frames of JSON. When the
last one has ended, the main process continues with the expectations and `finally`.

A process ends when its socket ends, so no process outlives the main one.
"""

import asyncio
import io
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NoReturn, TextIO

import click
import msgspec
from msgspec import Struct

from wps_run import planning, running
from wps_run.cli.errors import BUG, report_error, show_problems
from wps_run.cli.journals import show_journal_error
from wps_run.cli.service import show_wait
from wps_run.cli.terminal import interrupting_signals, show_message
from wps_run.execution.errors import skip_error
from wps_run.execution.limits import ConcurrencyLimiter
from wps_run.execution.result import Result, SkipReason, Status
from wps_run.execution.scheduler import BATCH
from wps_run.execution.stop import Stop
from wps_run.execution.summary import EXIT_UNKNOWN
from wps_run.journal.format import encode
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.resume import ResumeMode, Resumption
from wps_run.journal.writer import Journal
from wps_run.planning import Plan
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError, PlaybookError, Severity, UsageError
from wps_run.reading import OpenClient
from wps_run.text import Label

_REMEDY = (
    "The processes of a run do not wait for each other, so all actions run in this one; split the "
    "playbook where the order matters to use several"
)


def choose_count(
    requested: int | str, plans: Sequence[Plan], recorded: int | None, *, local: bool
) -> int:
    """Return in how many processes the actions of a run are carried out.

    Says on stderr why it is one although more were requested.

    Args:
        requested: The value of `--processes`.
        plans: The plans of the run.
        recorded: The number that the journal of a resumed run has, or None for a new run.
        local: Whether this is a rehearsal.

    Raises:
        UsageError: Only a shard of the plan runs, or this system cannot resume the run.
    """
    if recorded is not None:
        if recorded > 1 and not hasattr(os, "fork"):
            raise UsageError(f"this run has {recorded} processes; resume it where it was started")
        return recorded
    total = sum(plan.total for plan in plans if not plan.is_final)
    count = min(_core_count() if requested == "auto" else int(requested), max(1, total))
    if count == 1:
        return 1
    if any(plan.shard for plan in plans):
        raise UsageError("--processes runs all shards of a plan; leave out --shard and --shards")
    if reason := _obstacle(local=local):
        show_message(Label.NOTE, f"{reason}, so this run has one process")
        return 1
    if conflict := planning.find_shard_conflict(plans, count):
        problem = conflict.problem(_REMEDY)._replace(severity=Severity.WARNING)
        show_problems([problem])
        return 1
    return count


def _core_count() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _obstacle(*, local: bool) -> str:
    """Return why no run like this has several processes, or ""."""
    if local:
        return "a rehearsal has its emulator in the process that runs the actions"
    return "" if hasattr(os, "fork") else "this system cannot fork processes"


class _Frame(Struct, omit_defaults=True):
    """What a process reports.

    Attributes:
        results: Results, as they came; None if the frame is not about actions.
        failures: How many actions of its have failed or are unknown.
        in_flight: Its requests in flight.
        next_at: When its next request may start, on the monotonic clock.
        text: What it writes to stderr.
        stop: Why nothing new may start in any process.
        exit_code: What the error means that ended it, 0 without one; only in the last frame.
    """

    results: tuple[Result, ...] | None = None
    failures: int = 0
    in_flight: int = 0
    next_at: float = 0.0
    text: str = ""
    stop: SkipReason | None = None
    exit_code: int | None = None


class _Command(Struct, omit_defaults=True):
    """A command of the main process to one that it forked.

    Attributes:
        started: To begin; when this part of the run began, on the monotonic clock.
        stop: To start nothing new.
        is_abandoned: To stop at once.
    """

    started: float | None = None
    stop: SkipReason | None = None
    is_abandoned: bool = False


_frames: msgspec.json.Decoder[_Frame] = msgspec.json.Decoder(_Frame)
_commands: msgspec.json.Decoder[_Command] = msgspec.json.Decoder(_Command)
_LENGTH_BYTES = 4


def _packed(value: Struct) -> bytes:
    content = encode(value)
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


async def _unpacked(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame; b"" at the end."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def _decode_frame(content: bytes) -> _Frame:
    try:
        return _frames.decode(content)
    except msgspec.DecodeError:  # names of files that are not UTF-8
        return msgspec.convert(json.loads(content.decode(errors="surrogatepass")), _Frame)


class ProcessesFailedError(click.exceptions.Exit):
    """An error ended a process of the run, and was shown. The exit code says what it means."""


@dataclass(slots=True, eq=False)
class _Process:
    """A process that runs a shard.

    Attributes:
        shard: Its shard.
        id: The process ID.
        connection: This end of its socket.
        journal: The path of its journal.
        writer: Writes to the socket; None before the process begins.
        last: The last frame about actions.
        exit_code: That of the last frame of all; None before it, and of a process that was killed.
        is_reaped: Whether it has ended and its status was read.
    """

    shard: Shard
    id: int
    connection: socket.socket
    journal: Path
    writer: asyncio.StreamWriter | None = None
    last: _Frame = field(default_factory=_Frame)
    exit_code: int | None = None
    is_reaped: bool = False

    def send(self, command: _Command) -> None:
        """Send it a command, unless it has ended."""
        if self.writer and not self.writer.is_closing():
            self.writer.write(_packed(command))

    def close(self) -> None:
        """Close this end of its socket, so that it ends."""
        if self.writer:
            self.writer.close()

    async def reap(self) -> int:
        """Wait for its end; return its exit code, or the negative number of what killed it."""
        _, status = await asyncio.to_thread(os.waitpid, self.id, 0)
        self.is_reaped = True
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """Kill it if it has not ended."""
        if not self.is_reaped:
            with suppress(ProcessLookupError):
                os.kill(self.id, signal.SIGKILL)


_ABANDON_SECONDS = 5.0
"""How long a process that is to stop at once may take for its last results."""


class Processes:
    """The processes that run the actions of a run, forked but not begun.

    It has the attributes of a concurrency limit that a progress display shows.

    Args:
        plans: The plans of the run.
        open_client: Makes the client of a plan.
        recorder: The journals of the run, with one for each process.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        open_client: OpenClient,
        recorder: RunRecorder,
    ) -> None:
        self._plans = plans
        self._processes: list[_Process] = []
        self._reported = bytearray(max((plan.first + plan.plan_total for plan in plans), default=0))
        self._errors: set[str] = set()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, interrupting_signals())
        try:
            for number, journal in enumerate(recorder.others, start=1):
                shard = Shard(number, len(recorder.others))
                share = _Share(_plans_of(plans, shard), open_client, recorder)
                ours, theirs = socket.socketpair()
                earlier = [process.connection for process in self._processes]
                if not (process_id := os.fork()):
                    _run_forked(share, number, theirs, [*earlier, ours], blocked)
                theirs.close()
                self._processes.append(_Process(shard, process_id, ours, journal.path))
        except OSError as error:
            raise UsageError(
                f"nothing was sent; cannot start {len(recorder.others)} processes: {error.strerror}"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for journal in recorder.others:
            journal.release()

    @property
    def in_flight(self) -> int:
        """The requests in flight."""
        return sum(process.last.in_flight for process in self._processes)

    @property
    def next_at(self) -> float:
        """When the next request may start in all processes, on the monotonic clock."""
        return max(process.last.next_at for process in self._processes)

    async def run(self, stop: Stop, started: float) -> AsyncGenerator[Sequence[Result]]:
        """Let the processes begin, and yield the results of all of them in batches.

        Args:
            stop: Ends the run early. It is requested when a process stops the run.
            started: When this part of the run began, on the monotonic clock.

        Raises:
            ProcessesFailedError: An error ended a process. If there are results, there is one for
                each action.
        """
        readers: dict[_Process, asyncio.StreamReader] = {}
        for process in self._processes:
            connection = process.connection
            readers[process], process.writer = await asyncio.open_unix_connection(sock=connection)
        self._send(_Command(started=started))
        forwarding = asyncio.create_task(self._forward(stop))
        try:
            async with aclosing(self._frames(readers)) as frames:
                async for process, frame in frames:
                    if frame.results is None:
                        self._handle(process, frame, stop)
                    else:
                        self._count(process, frame, stop)
                        yield frame.results
            async with aclosing(self._rest()) as batches:
                async for batch in batches:
                    yield batch
        finally:
            forwarding.cancel()
            self._kill()
            await asyncio.gather(*(each.reap() for each in self._processes if not each.is_reaped))
            for process in self._processes:
                process.close()
        if code := max(process.exit_code or 0 for process in self._processes):
            raise ProcessesFailedError(code)

    async def _frames(
        self, readers: Mapping[_Process, asyncio.StreamReader]
    ) -> AsyncGenerator[tuple[_Process, _Frame]]:
        """Yield what the processes report, until all have ended."""
        waiting = {asyncio.create_task(_unpacked(readers[each])): each for each in self._processes}
        try:
            while waiting:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    process = waiting.pop(task)
                    if content := task.result():
                        yield process, _decode_frame(content)
                        reading = asyncio.create_task(_unpacked(readers[process]))
                        waiting[reading] = process
                    else:
                        await self._end(process)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _count(self, process: _Process, frame: _Frame, stop: Stop) -> None:
        """Note the results of a process; stop the run if a failure is one too many."""
        process.last = frame
        for result in frame.results or ():
            self._reported[result.index] = 1
            if result.status is Status.FAILED or result.status is Status.UNKNOWN:
                self._keep_to_budget(result, stop)

    def _handle(self, process: _Process, frame: _Frame, stop: Stop) -> None:
        """Handle a frame without results."""
        if frame.stop:
            stop.request(frame.stop)
        if frame.exit_code is not None:
            process.exit_code = frame.exit_code
        if frame.exit_code:
            stop.request(SkipReason.STOPPED)
            if frame.text in self._errors:  # the same error may end all processes
                return
            self._errors.add(frame.text)
        sys.stderr.write(frame.text)

    def _keep_to_budget(self, result: Result, stop: Stop) -> None:
        """Stop the run if this failure is one too many of those in all processes."""
        others = [plan for plan in self._plans if not plan.is_final]
        plan = next(plan for plan in reversed(others) if plan.first <= result.index)
        limit = plan.options.max_failures
        failures = sum(process.last.failures for process in self._processes)
        if limit and failures > limit.of(sum(plan.total for plan in others)):
            stop.request(SkipReason.BUDGET)

    async def _end(self, process: _Process) -> None:
        """Reap a process, and say so if it was killed."""
        process.last = _Frame(failures=process.last.failures)
        process.close()
        code = await process.reap()
        if process.exit_code is None:
            cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            show_message(
                Label.WARNING,
                f"process {process.shard.number} of {process.shard.count} was killed ({cause}); "
                "what it was sending is unknown, and the rest of its actions is skipped",
            )

    async def _rest(self) -> AsyncGenerator[Sequence[Result]]:
        """Yield and record results for what processes have left that ended early.

        If an error prevented all of them from sending anything, there is nothing to report.
        """
        was_killed = any(process.exit_code is None for process in self._processes)
        if was_killed or any(self._reported):
            for process in self._processes:
                if process.exit_code != 0:
                    async with aclosing(self._rest_of(process)) as batches:
                        async for batch in batches:
                            yield batch

    async def _rest_of(self, process: _Process) -> AsyncGenerator[Sequence[Result]]:
        """Yield and record results for what one of them has left."""
        try:
            journal, history = Journal.reopen(process.journal)
            journal.amend(history.length, ())
        except JournalError as error:
            show_message(Label.ERROR, str(error))
            process.exit_code = EXIT_UNKNOWN
            return
        resumption = Resumption(history, ResumeMode.UNDONE)
        plans = _plans_of(self._plans, process.shard)
        steps = (step for plan in plans if not plan.is_final for step in plan.steps())
        results = resumption.outcomes(steps, skip_error(SkipReason.PROCESS))
        try:
            while batch := _next_batch(results):
                for result in batch:
                    if resumption.is_new(result):
                        journal.add(result)
                yield [result for result in batch if not self._reported[result.index]]
                await asyncio.sleep(0)  # noqa: TID251 -- the journal writes once a loop turn
        finally:
            await journal.close()
            show_journal_error(journal)

    async def _forward(self, stop: Stop) -> None:
        """Send the processes what is requested of the run; kill those that do not stop at once."""
        await stop.requested.wait()
        self._send(_Command(stop=stop.reason))
        await stop.interrupted.wait()
        self._send(_Command(stop=SkipReason.INTERRUPTED))
        await stop.abandoned.wait()
        self._send(_Command(is_abandoned=True))
        asyncio.get_running_loop().call_later(_ABANDON_SECONDS, self._kill)

    def _send(self, command: _Command) -> None:
        for process in self._processes:
            process.send(command)

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()


def _next_batch(results: Iterator[Result]) -> Sequence[Result]:
    """Return the next results; () at the end, or where a file of rows has changed."""
    with suppress(PlaybookError):
        return tuple(islice(results, BATCH))
    return ()


def _plans_of(plans: Sequence[Plan], shard: Shard) -> list[Plan]:
    """Return the plans of a run as a process has them; it does not run what is in `finally`."""
    return [
        plan
        if plan.is_final
        else replace(plan, shard=shard, options=shard.limit_rate(plan.options))
        for plan in plans
    ]


class _Share:
    """What a forked process runs.

    Args:
        plans: The plans, with its shard.
        open_client: Makes the client of a plan.
        recorder: The journals of the run.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        open_client: OpenClient,
        recorder: RunRecorder,
    ) -> None:
        self._plans = plans
        self._open_client = open_client
        self._recorder = recorder
        self._limiter = ConcurrencyLimiter(1)
        self._stop = Stop()
        self._has_ended = False

    def begin(self, number: int) -> None:
        """Keep only the journal of the process that has this number, in that process."""
        self._recorder.release_all_but(number)
        self._recorder = self._recorder.of_process(number)

    async def run(self, connection: socket.socket) -> None:
        """Run it when the command comes, and report through the socket."""
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        content = await _unpacked(reader)
        if not content:
            return  # nothing has begun
        started = _commands.decode(content).started
        receiving = asyncio.create_task(self._receive_commands(reader))
        reporting = asyncio.create_task(self._report_stop(writer))
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, self._stop.request, SkipReason.INTERRUPTED
        )
        stderr = sys.stderr
        sys.stderr = _ForwardedStderr(lambda text: writer.write(_packed(_Frame(text=text))), stderr)
        error: Exception | None = None
        try:
            await self._run_actions(started, writer)
        except Exception as raised:  # noqa: BLE001 -- reported
            error = raised
        journal = self._recorder.journal
        if journal:
            await journal.close()
            show_journal_error(journal)
        texts: list[str] = []
        sys.stderr = _ForwardedStderr(texts.append, stderr)
        code = report_error(error) if error else 0
        writer.write(_packed(_Frame(text="".join(texts), exit_code=code)))
        writer.write_eof()
        reporting.cancel()
        self._has_ended = True
        # A socket that is closed with unread commands loses frames, so the main process closes it.
        await receiving

    async def _run_actions(self, started: float | None, writer: asyncio.StreamWriter) -> None:
        if self._recorder.journal:
            self._recorder.journal.begin(lambda: self._stop.request(SkipReason.JOURNAL))
        batches = running.run_batches(
            self._plans,
            self._open_client,
            self._stop,
            recorder=self._recorder,
            started=started,
            observer=running.Observer(on_plan=self._show, on_wait=show_wait),
        )
        async with aclosing(batches):
            async for batch in batches:
                limiter = self._limiter
                next_at = max(0.0, limiter.next_at)  # JSON has no infinity
                frame = _Frame(tuple(batch), self._stop.failures, limiter.in_flight, next_at)
                writer.write(_packed(frame))
                await writer.drain()

    def _show(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter

    async def _receive_commands(self, reader: asyncio.StreamReader) -> None:
        """Carry out the commands of the main process; end when it ends."""
        while content := await _unpacked(reader):
            command = _commands.decode(content)
            if command.is_abandoned:
                self._stop.abandon()
            elif command.stop:
                self._stop.request(command.stop)
        if not self._has_ended:
            os._exit(BUG)

    async def _report_stop(self, writer: asyncio.StreamWriter) -> None:
        """Report that the whole run is to stop. A signal to this process alone stops only it."""
        await self._stop.requested.wait()
        if self._stop.reason is not SkipReason.INTERRUPTED:
            writer.write(_packed(_Frame(stop=self._stop.reason)))


class _ForwardedStderr(io.StringIO):
    """The stderr of a forked process: passes on what is written, and stores nothing.

    Args:
        send: Takes what is written.
        stream: Where it is written in the end.
    """

    def __init__(self, send: Callable[[str], object], stream: TextIO) -> None:
        super().__init__()
        self._send = send
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        self._send(text + "")  # a TypeError for bytes, with which click tests what a stream takes
        return len(text)


def _run_forked(
    share: _Share,
    number: int,
    connection: socket.socket,
    others: Iterable[socket.socket],
    blocked: Iterable[int],
) -> NoReturn:
    """Run a share in a process that was just forked, and end the process.

    It has no interrupts of its own: those of a terminal, or of a group of processes, reach the
    main process as well, which sends commands.

    Args:
        share: What it runs.
        number: Its number.
        connection: Its end of its socket.
        others: The open sockets of the process that started it.
        blocked: The signals that were blocked before the interrupts were.
    """
    code = BUG
    try:
        _end_with_parent()
        for other in others:
            other.close()
        share.begin(number)
        for interrupt in interrupting_signals():
            signal.signal(interrupt, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        asyncio.run(share.run(connection))
        code = 0
    finally:
        os._exit(code)  # without flushing what the other process has still to write


_PR_SET_PDEATHSIG = 1
"""Of `prctl` in Linux: the signal that a process gets when its parent has ended."""


def _end_with_parent() -> None:
    """Let the system kill this process with its parent, even if it does not look at its socket."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 -- only such a process needs it

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
