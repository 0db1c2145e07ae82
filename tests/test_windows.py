"""What differs on Windows: paths by its rules, and its locks, on any system."""

import errno
import importlib.util
import ntpath
import os
import posixpath
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from wps_run.cli.terminal import shell_line
from wps_run.journal import file_lock
from wps_run.paths import name_below, path_from


@pytest.mark.parametrize(
    ("file", "folder", "expected"),
    [
        (r"C:\Work\playbooks\a.yaml", r"c:\work", "playbooks/a.yaml"),
        (r"C:\srv\rows.csv", r"C:\srv\playbooks", "../rows.csv"),
        (r"D:\rows\a.csv", r"C:\work", "D:/rows/a.csv"),
        (r"\\server\share\a.csv", r"C:\work", "//server/share/a.csv"),
    ],
)
def test_paths_on_windows_have_forward_slashes(file: str, folder: str, expected: str) -> None:
    """From one drive to another there is only the absolute path."""
    assert path_from(PureWindowsPath(file), PureWindowsPath(folder), ntpath) == expected


def test_backslash_is_a_character_elsewhere() -> None:
    assert path_from(r"/srv/a\b.yaml", "/srv", posixpath) == r"a\b.yaml"
    assert name_below(PurePosixPath(r"/srv/a\b.yaml"), PurePosixPath("/srv")) == r"a\b.yaml"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (r"C:\Work\playbooks\a b.yaml", "playbooks/a b.yaml"),
        (r"C:\other\a.yaml", "C:/other/a.yaml"),
        (r"playbooks\a.yaml", "playbooks/a.yaml"),
        (r"\srv\a.yaml", "/srv/a.yaml"),
    ],
)
def test_ci_services_get_names_from_the_working_folder(file: str, expected: str) -> None:
    assert name_below(PureWindowsPath(file), PureWindowsPath(r"c:\work")) == expected


@pytest.mark.parametrize(
    ("system", "expected"),
    [("win32", r'wps-run "my files\a.yaml"'), ("linux", r"wps-run 'my files\a.yaml'")],
)
def test_commands_to_paste_are_for_the_shell_of_the_system(
    monkeypatch: pytest.MonkeyPatch, system: str, expected: str
) -> None:
    """In `cmd`, single quotes are no quotes."""
    monkeypatch.setattr(sys, "platform", system)

    assert shell_line(["wps-run", r"my files\a.yaml"]) == expected


def locking_of_windows(descriptor: int, mode: int, count: int) -> None:
    """Lock bytes from the position of a file, as the C library of Windows does.

    The lock is of the open file, and excludes others of the same process too.
    """
    fcntl: Any = import_module("fcntl")
    struct = import_module("struct")
    assert (mode, count) == (2, 1)
    start = os.lseek(descriptor, 0, os.SEEK_CUR)
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, count, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
    except OSError as error:
        raise PermissionError(errno.EACCES, "Permission denied") from error


@pytest.fixture(params=["posix", "windows"])
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of locks, as a system loads it; that of Windows with the system call replaced."""
    if request.param == "posix":
        pytest.importorskip("fcntl", reason="Windows has other locks")
        yield file_lock
        return
    if sys.platform == "win32":
        yield file_lock
        return
    if sys.platform != "linux":
        pytest.skip("needs locks of open files")
    msvcrt = SimpleNamespace(locking=locking_of_windows, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("file_lock_of_windows", file_lock.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.undo()
    yield module


def test_lock_excludes_others_until_its_file_is_closed(locks: ModuleType, tmp_path: Path) -> None:
    """Others can read the file; the next record is appended at its end."""
    path = tmp_path / "j"
    path.write_bytes(b"header\n")
    with path.open("r+b", buffering=0) as held, path.open("r+b", buffering=0) as other:
        assert locks.try_lock(held.fileno())
        assert not locks.try_lock(other.fileno(), tries=2)
        assert path.read_bytes() == b"header\n"
        held.seek(0, os.SEEK_END)
        held.write(b"record\n")
    with path.open("r+b", buffering=0) as later:
        assert locks.try_lock(later.fileno())

    assert path.read_bytes() == b"header\nrecord\n"


def test_file_system_without_locks_is_an_error(locks: ModuleType) -> None:
    """It is no file that another process has locked."""
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)

    with pytest.raises(OSError, match="Bad file descriptor"):
        locks.try_lock(reading)
