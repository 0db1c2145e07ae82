"""A journal is on disk when it says so, and this process's alone."""

import asyncio
import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wps_run.journal import writer as module
from wps_run.journal.format import encode_line
from wps_run.journal.writer import Journal, read_journal
from wps_run.problems import JournalError

HEADER = {
    "type": "run",
    "version": 1,
    "started": "2026-11-24T12:00:00.000+00:00",
    "paths": ["p.yaml"],
    "folder": "/srv",
    "destination": "SERVICE",
    "endpoints": ["127.0.0.1:80"],
    "hubs": ["chat"],
    "playbooks": ["p.yaml"],
    "total": 9,
    "pace": "sequential",
    "salt": "salt",
    "fingerprint": {"the playbook p.yaml": "1", "the hub": "c"},
}
HEADER_LINE = encode_line(HEADER)
RESUMED = encode_line({"type": "resumed", "resumed": "2026-11-24T12:00:00+00:00"})
RESULT = {
    "type": "result",
    "index": 0,
    "action": 0,
    "item": None,
    "actionName": "sendToAll",
    "name": None,
    "target": {},
    "source": "p.yaml:1",
    "status": "ok",
    "httpStatus": 202,
    "attempts": 1,
    "durationMs": 2.5,
    "requestId": "id",
    "error": None,
    "startedMs": None,
    "waitedFor": None,
    "tries": [],
}


async def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Header, announcement, result: the history of the run."""
    journal = Journal.create(tmp_path / "j", HEADER_LINE)
    assert await journal.sync_sending(0)
    journal.add(encode_line(RESULT))
    await journal.sync_sending(1)
    await journal.close()

    again, history = Journal.reopen(tmp_path / "j")
    await again.close()

    assert history.header.line(history.run) == HEADER_LINE
    assert [result.as_json() for result in history.results()] == [RESULT]
    assert history.sending == {1}


async def test_an_announcement_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    """And with it each result before it, so no more can be in doubt than was in flight."""
    journal = Journal.create(tmp_path / "j", HEADER_LINE)
    journal.add(encode_line(RESULT))
    await journal.sync_sending(7)

    on_disk = (tmp_path / "j").read_bytes()

    assert on_disk.splitlines()[1:] == [
        encode_line(RESULT).strip(),
        b'{"type":"sending","index":7}',
    ]
    await journal.close()


async def test_those_who_wait_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred announcements at once cost a few syncs, not a hundred."""
    synced: list[int] = []

    def counted(descriptor: int) -> None:
        synced.append(descriptor)
        os.fsync(descriptor)

    monkeypatch.setattr(module, "_sync_data", counted)
    journal = Journal.create(tmp_path / "j", HEADER_LINE)

    assert all(await asyncio.gather(*(journal.sync_sending(number) for number in range(100))))

    assert len(synced) <= 4
    await journal.close()


async def test_a_result_is_written_before_the_next_turn_ends(tmp_path: Path) -> None:
    """A kill -9 loses only what ended in the running turn."""
    journal = Journal.create(tmp_path / "j", HEADER_LINE)
    journal.add(encode_line(RESULT))
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(done.set_result, None)
    await done

    assert (tmp_path / "j").read_bytes().endswith(encode_line(RESULT))
    await journal.close()


async def test_a_journal_is_the_owners_alone(tmp_path: Path) -> None:
    """Names of users and groups are nobody else's business."""
    journal = Journal.create(tmp_path / "j", HEADER_LINE)
    await journal.close()

    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


async def test_a_journal_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """The message says how to go on with it."""
    (tmp_path / "j").write_text("precious")

    with pytest.raises(JournalError, match="--resume"):
        Journal.create(tmp_path / "j", HEADER_LINE)

    assert (tmp_path / "j").read_text() == "precious"


async def test_two_runs_cannot_use_one_journal(tmp_path: Path) -> None:
    """The lock is the operating system's."""
    journal = Journal.create(tmp_path / "j", HEADER_LINE)

    with pytest.raises(JournalError, match="another run is using"):
        Journal.reopen(tmp_path / "j")

    await journal.close()
    again, _ = Journal.reopen(tmp_path / "j")
    await again.close()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    """Nobody has to delete a lock file after kill -9."""
    code = (
        "import pathlib, sys, os, signal; from wps_run.journal.writer import Journal\n"
        f"journal = Journal.create(pathlib.Path({str(tmp_path / 'j')!r}), {HEADER_LINE!r})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", code], check=False)
    assert died.returncode < 0

    async def take_over() -> None:
        journal, history = Journal.reopen(tmp_path / "j")
        assert history.header.line(history.run) == HEADER_LINE
        await journal.close()

    asyncio.run(take_over())


async def test_a_torn_last_line_is_cut_off_before_more_is_written(tmp_path: Path) -> None:
    """Otherwise the next record would be glued to it."""
    (tmp_path / "j").write_bytes(HEADER_LINE + b'{"type":"resu')

    journal, history = Journal.reopen(tmp_path / "j")
    journal.resume(history.length, RESUMED)
    journal.add(encode_line(RESULT))
    await journal.close()

    written = HEADER_LINE + RESUMED + encode_line(RESULT)
    assert (tmp_path / "j").read_bytes() == written


async def test_a_line_torn_at_any_byte_is_gone_on_from(tmp_path: Path) -> None:
    """What was written before it stays, and what is written after it is whole."""
    whole, last = HEADER_LINE + encode_line(RESULT), encode_line({**RESULT, "index": 1})
    for cut in range(len(last)):
        path = tmp_path / str(cut)
        path.write_bytes(whole + last[:cut])

        journal, history = Journal.reopen(path)
        journal.resume(history.length, RESUMED)
        journal.add(last)
        await journal.close()

        assert path.read_bytes() == whole + RESUMED + last
        assert [one.index for one in read_journal(path).results()] == [0, 1]


@pytest.mark.parametrize("name", ["no/such/folder", "a-folder"])
async def test_where_nothing_can_be_written_it_says_so(tmp_path: Path, name: str) -> None:
    """Before anything is sent."""
    (tmp_path / "a-folder").mkdir()

    with pytest.raises(JournalError, match=r"cannot write the journal|exists already"):
        Journal.create(tmp_path / name, HEADER_LINE)
    with pytest.raises(JournalError, match="cannot open the journal"):
        Journal.reopen(tmp_path / name)


async def test_a_full_disk_is_told_once_and_nothing_leaves_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be announced is not sent."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = Journal.create(tmp_path / "j", HEADER_LINE)
    told: list[str] = []
    journal.on_error(lambda: told.append("full"))
    monkeypatch.setattr(module, "_sync_data", full)

    assert not await journal.sync_sending(0)
    assert not await journal.sync_sending(1)
    await journal.close()

    assert told == ["full"]
    assert journal.error is not None


async def test_a_note_is_written_when_it_returns(tmp_path: Path) -> None:
    """With each result before it; a kill that comes now finds both."""
    journal = Journal.create(tmp_path / "j", HEADER_LINE)
    journal.add(encode_line(RESULT))

    assert journal.mark_sending(7)

    on_disk = (tmp_path / "j").read_bytes()
    assert on_disk.splitlines()[1:] == [
        encode_line(RESULT).strip(),
        b'{"type":"sending","index":7}',
    ]
    await journal.close()
    assert read_journal(tmp_path / "j").sending == {7}


async def test_what_cannot_be_noted_must_not_leave(tmp_path: Path) -> None:
    """A full disk, a limit, a folder that was taken away."""
    journal = Journal.create(tmp_path / "j", HEADER_LINE)
    journal._file.close()  # noqa: SLF001 -- from now on every write fails
    journal._file = (tmp_path / "j").open("rb", buffering=0)  # noqa: SLF001

    assert not journal.mark_sending(0)
    assert not await journal.sync_sending(1)
    await journal.close()


async def test_closing_waits_for_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves nothing behind that would still use the file."""
    slow = threading.Event()

    def sync(descriptor: int) -> None:
        assert slow.wait(5)
        os.fsync(descriptor)

    journal = Journal.create(tmp_path / "j", HEADER_LINE)
    monkeypatch.setattr(module, "SYNC_SECONDS", 0.0)
    monkeypatch.setattr(module, "_sync_data", sync)
    journal.add(encode_line(RESULT))
    asyncio.get_running_loop().call_later(0.05, slow.set)

    await journal.close()

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (tmp_path / "j").read_bytes() == HEADER_LINE + encode_line(RESULT)


async def test_a_name_may_hold_half_a_character(tmp_path: Path) -> None:
    """Labels come from JSON, which can write half a surrogate pair."""
    journal = Journal.create(tmp_path / "j", encode_line({**HEADER, "folder": "\ud800"}))
    await journal.close()

    assert read_journal(tmp_path / "j").header.folder == "\ud800"
