"""A journal is on disk when the writer says so, and is used by one process only."""

import asyncio
import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import result_record

from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.format import Chain, Header, Sending
from wps_run.journal.reader import RecordedStatus
from wps_run.journal.writer import (
    Journal,
    is_in_use,
    main_journal,
    process_path,
    read_journal,
    remove_incomplete,
    remove_unbegun,
    remove_unused,
)
from wps_run.problems import JournalError

HEADER = Header("2026-11-24T12:00:00.000+00:00", ("p.yaml",), "salt", {"the hub": "c"}).record(
    RunInfo(Destination.SERVICE, ("127.0.0.1:80",), ("chat",), ("p.yaml",), 9, "sequential")
)
RESUMED = {"type": "resumed", "version": 2, "resumed": "2026-11-24T12:00:00+00:00"}
RESULT = result_record(0, "ok")


def lines_of(*records: object) -> list[bytes]:
    """Return the lines of a journal with these records after its header."""
    return [*map(Chain().seal, (HEADER, *records))]


def journal_of(*records: object) -> bytes:
    """Return the bytes of a journal with these records after its header."""
    return b"".join(lines_of(*records))


HEADER_LINE = journal_of()


async def test_records_are_read_back(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j", HEADER)
    assert await journal.sync_sending(0)
    journal.add(RESULT)
    await journal.sync_sending(1)
    await journal.close()

    reopened, history = Journal.reopen(tmp_path / "j")
    await reopened.close()

    assert history.header.record(history.run) == HEADER
    assert [result.as_json() for result in history.results()] == [RESULT]
    assert history.sending == {1}


async def test_sending_record_is_on_disk_after_sync_sending(tmp_path: Path) -> None:
    """With all results before it."""
    journal = Journal.create(tmp_path / "j", HEADER)
    journal.add(RESULT)
    await journal.sync_sending(7)

    assert (tmp_path / "j").read_bytes() == journal_of(RESULT, Sending(7))
    await journal.close()


async def test_concurrent_callers_share_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def count_sync(descriptor: int) -> None:
        synced.append(descriptor)
        os.fsync(descriptor)

    monkeypatch.setattr(os, "fdatasync", count_sync, raising=False)
    journal = Journal.create(tmp_path / "j", HEADER)

    assert all(await asyncio.gather(*(journal.sync_sending(number) for number in range(100))))

    assert len(synced) <= 4
    await journal.close()


async def test_result_is_written_in_the_next_loop_turn(tmp_path: Path) -> None:
    """SIGKILL loses only the results of the current turn."""
    journal = Journal.create(tmp_path / "j", HEADER)
    results = [{**RESULT, "index": index} for index in range(3)]
    for number, result in enumerate(results, start=1):
        journal.add(result)
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(done.set_result, None)
        await done

        assert (tmp_path / "j").read_bytes() == journal_of(*results[:number])
    await journal.close()


async def test_every_result_is_synced_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut loses only the results of the last moment."""
    loop, on_disk = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def sync(descriptor: int) -> None:
        content = (tmp_path / "j").read_bytes()
        os.fsync(descriptor)
        loop.call_soon_threadsafe(on_disk.put_nowait, content)

    journal = Journal.create(tmp_path / "j", HEADER)
    monkeypatch.setattr(os, "fdatasync", sync, raising=False)
    results = [{**RESULT, "index": index} for index in range(3)]
    for number, result in enumerate(results, start=1):
        journal.add(result)
        assert await asyncio.wait_for(on_disk.get(), 5) == journal_of(*results[:number])
    await journal.close()


async def test_only_the_owner_can_read_a_journal(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j", HEADER)
    await journal.close()

    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


async def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("precious")

    with pytest.raises(JournalError, match="--resume"):
        Journal.create(tmp_path / "j", HEADER)

    assert (tmp_path / "j").read_text() == "precious"


async def test_two_runs_cannot_use_one_journal(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j", HEADER)

    with pytest.raises(JournalError, match="another run is using"):
        Journal.reopen(tmp_path / "j")

    await journal.close()
    reopened, _ = Journal.reopen(tmp_path / "j")
    await reopened.close()


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, os, signal; from wps_run.journal.writer import Journal\n"
        f"journal = Journal.create(pathlib.Path({str(tmp_path / 'j')!r}), {HEADER!r})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run([sys.executable, "-c", code], check=False)
    assert process.returncode < 0

    async def reopen() -> None:
        journal, history = Journal.reopen(tmp_path / "j")
        assert history.header.record(history.run) == HEADER
        await journal.close()

    asyncio.run(reopen())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_journal_needs_no_further_open_files(tmp_path: Path) -> None:
    """Connections may take all that the process may open; that is no broken journal."""
    code = (
        "import asyncio, pathlib, resource; from wps_run.journal.writer import Journal\n"
        "async def main():\n"
        f"    journal = Journal.create(pathlib.Path({str(tmp_path / 'j')!r}), {HEADER!r})\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\n"
        "    assert await journal.sync_sending(1)\n"
        "    await journal.close()\n"
        "    assert journal.error is None\n"
        "asyncio.run(main())"
    )

    subprocess.run([sys.executable, "-c", code], check=True)

    assert read_journal(tmp_path / "j").sending == {1}


async def test_incomplete_last_line_is_removed_on_resume(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(HEADER_LINE + b'{"type":"resu')

    journal, history = Journal.reopen(tmp_path / "j")
    journal.resume(history.length, RESUMED)
    journal.add(RESULT)
    await journal.close()

    assert (tmp_path / "j").read_bytes() == journal_of(RESUMED, RESULT)


async def test_journal_truncated_at_any_byte_is_resumed(tmp_path: Path) -> None:
    last = {**RESULT, "index": 1}
    complete, torn = journal_of(RESULT), lines_of(RESULT, last)[-1]
    for cut in range(len(torn)):
        path = tmp_path / str(cut)
        path.write_bytes(complete + torn[:cut])

        journal, history = Journal.reopen(path)
        journal.resume(history.length, RESUMED)
        journal.add(last)
        await journal.close()

        assert path.read_bytes() == journal_of(RESULT, RESUMED, last)
        assert [result.index for result in read_journal(path).results()] == [0, 1]


async def test_run_that_is_killed_while_it_resumes_is_resumed_again(tmp_path: Path) -> None:
    """Before, while and after the line of the resumed part is written."""
    complete = journal_of(RESULT)
    resumed = lines_of(RESULT, RESUMED)[-1]
    for cut in range(len(resumed) + 1):
        path = tmp_path / str(cut)
        path.write_bytes(complete + resumed[:cut])

        journal, history = Journal.reopen(path)
        journal.resume(history.length, RESUMED)
        await journal.close()

        parts = [RESUMED, RESUMED] if cut == len(resumed) else [RESUMED]
        assert path.read_bytes() == journal_of(RESULT, *parts)


@pytest.mark.parametrize("name", ["no/such/folder", "a-folder"])
async def test_path_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a-folder").mkdir()

    with pytest.raises(JournalError, match=r"cannot write the journal|exists already"):
        Journal.create(tmp_path / name, HEADER)
    with pytest.raises(JournalError, match="cannot open the journal"):
        Journal.reopen(tmp_path / name)


async def test_full_disk_is_reported_once_and_nothing_is_sent_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = Journal.create(tmp_path / "j", HEADER)
    reported: list[str] = []
    journal.begin(lambda: reported.append("full"))
    monkeypatch.setattr(os, "fdatasync", full, raising=False)

    assert not await journal.sync_sending(0)
    assert not await journal.sync_sending(1)
    await journal.close()

    assert reported == ["full"]
    assert journal.error is not None


async def test_sending_record_is_written_after_mark_sending(tmp_path: Path) -> None:
    """With all results before it, so they survive SIGKILL."""
    journal = Journal.create(tmp_path / "j", HEADER)
    journal.add(RESULT)

    assert journal.mark_sending(7)

    assert (tmp_path / "j").read_bytes() == journal_of(RESULT, Sending(7))
    await journal.close()
    assert read_journal(tmp_path / "j").sending == {7}


async def test_nothing_is_sent_if_its_record_cannot_be_written(tmp_path: Path) -> None:
    """Nothing is written after an incomplete line either, which would damage the journal."""
    journal = Journal.create(tmp_path / "j", HEADER)
    resource: Any = pytest.importorskip("resource", reason="Windows has no such limit")
    _, hard_limit = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(HEADER_LINE) + 5, hard_limit))
    try:
        assert not journal.mark_sending(0)
        assert not await journal.sync_sending(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.add(RESULT)
    assert not journal.mark_sending(2)
    await journal.close()

    assert (tmp_path / "j").read_bytes() == HEADER_LINE + b'{"typ'
    assert read_journal(tmp_path / "j").sending == set()


@pytest.mark.parametrize(
    ("create", "error"),
    [
        (lambda path: Journal.create(path, HEADER), JournalError),
        (lambda path: Journal.create_temporary(path.parent, HEADER), OSError),
    ],
    ids=["lasting", "temporary"],
)
def test_journal_whose_header_cannot_be_written_is_removed(
    tmp_path: Path, create: Callable[[Path], object], error: type[Exception]
) -> None:
    resource: Any = pytest.importorskip("resource", reason="Windows has no such limit")
    _, hard_limit = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, hard_limit))
    try:
        with pytest.raises(error, match="File too large"):
            create(tmp_path / "j")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(tmp_path.iterdir()) == []


async def test_temporary_journal_is_made_in_its_folder_and_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves to write reports, and ends with the run."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append, raising=False)
    journal = Journal.create_temporary(tmp_path, HEADER)
    journal.add(RESULT)
    assert await journal.sync_sending(1)

    assert journal.path.parent == tmp_path
    assert read_journal(journal.path).sending == {1}
    journal.add(RESULT)
    await journal.close()
    assert synced == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("read", [read_journal, Journal.reopen, remove_incomplete])
def test_pipe_is_no_journal(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """Reading it would wait for a writer."""
    os.mkfifo(tmp_path / "j")

    with pytest.raises(JournalError, match="it is not a file"):
        read(tmp_path / "j")


@pytest.mark.parametrize(
    ("content", "is_incomplete"),
    [
        (b"", True),
        (b'{"ty', True),
        (HEADER_LINE[:-1], True),
        (HEADER_LINE, False),
        (journal_of(RESULT).replace(b"\n", b"\r"), False),
        (b"precious", False),
        (b'{"type":"summary"', False),
    ],
)
def test_only_a_journal_with_an_incomplete_header_is_removed(
    tmp_path: Path, content: bytes, *, is_incomplete: bool
) -> None:
    """Its run sent nothing. Another file is none of ours."""
    (tmp_path / "j").write_bytes(content)

    assert remove_incomplete(tmp_path / "j") is is_incomplete
    assert (tmp_path / "j").exists() is not is_incomplete


async def test_journal_in_use_is_not_removed(tmp_path: Path) -> None:
    """Not even while its run writes the header."""
    journal = Journal.create(tmp_path / "j", {"type": "run"})
    os.truncate(tmp_path / "j", 10)
    assert is_in_use(tmp_path / "j")
    assert not remove_unused(tmp_path / "j")
    with pytest.raises(JournalError, match="another run is using"):
        remove_incomplete(tmp_path / "j")
    await journal.close()

    assert not is_in_use(tmp_path / "j")
    assert remove_unused(tmp_path / "j")
    assert not (tmp_path / "j").exists()


async def test_close_waits_for_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, finish = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        started.set()
        assert finish.wait(5)
        os.fsync(descriptor)

    journal = Journal.create(tmp_path / "j", HEADER)
    monkeypatch.setattr(os, "fdatasync", sync, raising=False)
    journal.add(RESULT)
    assert await asyncio.to_thread(started.wait, 5)
    asyncio.get_running_loop().call_later(0.05, finish.set)

    await journal.close()

    assert finish.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (tmp_path / "j").read_bytes() == journal_of(RESULT)


async def test_lone_surrogates_are_recorded(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j", {**HEADER, "folder": "\ud800"})
    await journal.close()

    assert read_journal(tmp_path / "j").header.folder == "\ud800"


def write_run(path: Path, make: Callable[..., bytes], *records: Sequence[object]) -> None:
    """Write the journals of a run in processes; those of each process have these records."""
    count = len(records)
    path.write_bytes(make(process={"number": 0, "count": count}))
    for number, of_process in enumerate(records, start=1):
        content = make(*of_process, process={"number": number, "count": count})
        process_path(path, number, count).write_bytes(content)


@pytest.mark.parametrize("name", ["run.journal", "run", "run.log", ".x.part", "a.1-of-2.journal"])
def test_journals_of_processes_are_read_as_one(
    tmp_path: Path, journal_of: Callable[..., bytes], name: str
) -> None:
    """Results are in the order of the plan, whichever process has them."""
    path = tmp_path / name
    first = [result_record(0, "ok"), result_record(3, "failed"), {"type": "sending", "index": 4}]
    write_run(path, journal_of, first, [result_record(1, "ok"), {"type": "sending", "index": 2}])

    history = read_journal(path)

    assert [result.index for result in history.results()] == [0, 1, 3]
    assert [result.index for result in history.results(RecordedStatus.FAILED)] == [3]
    assert history.sending == {2, 4}
    assert [history.process_of(index) for index in range(6)] == [1, 2, 2, 1, 1, 0]
    assert {main_journal(process_path(path, number, 2)) for number in (1, 2)} == {path}


def test_two_processes_cannot_have_a_result_of_one_action(
    tmp_path: Path, journal_of: Callable[..., bytes]
) -> None:
    """Whatever the results are."""
    write_run(
        tmp_path / "j", journal_of, [result_record(1, "ok")], [result_record(1, "failed", "x")]
    )

    with pytest.raises(JournalError, match="same action"):
        read_journal(tmp_path / "j")


def test_run_that_never_began_leaves_no_journals_in_the_way(
    tmp_path: Path, journal_of: Callable[..., bytes]
) -> None:
    """Only those that no main journal belongs to, and in which nothing is recorded."""
    for name, records in (("empty", []), ("used", [result_record(1, "ok")]), ("whole", [])):
        write_run(tmp_path / name, journal_of, records, records)
    for name in ("empty", "used"):
        (tmp_path / name).unlink()

    for name in ("empty", "used", "whole"):
        remove_unbegun(tmp_path / name)

    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"whole", *(f"{name}.{n}-of-2" for name in ("used", "whole") for n in (1, 2))}
