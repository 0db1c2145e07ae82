"""The rows file beside a journal: the connections that its run read of live groups.

They are what the rows of the run are made of, so a resumed run needs the same ones. The file is
ndjson: a `rows` line, then for each group a `group` line and a line for each connection, in the
order in which the playbooks name the groups. The fingerprint of the journal covers the connections.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from wps_run.input_limits import JOURNAL_LINE, LIVE_CONNECTIONS
from wps_run.journal.format import InvalidLineError, decode_object, encode
from wps_run.playbook.live import LiveConnection
from wps_run.problems import JournalError

_FIRST_LINE = b'{"type":"rows","version":1}\n'
_LONGEST_LINE = JOURNAL_LINE.value


class LiveGroup(NamedTuple):
    """The connections in a group.

    Attributes:
        hub: Its hub, for readers of the file.
        name: Its name, without secrets.
        connections: Its connections.
    """

    hub: str
    name: str
    connections: tuple[LiveConnection, ...]


def rows_path(journal: Path) -> Path:
    """Return the path of the rows file beside a journal."""
    return journal.with_name(f"{journal.name}.rows")


def write_rows(journal: Path, groups: Iterable[LiveGroup]) -> None:
    """Write the rows file of a journal that this process has just created and locked.

    One that an earlier run left, whose journal is gone, is replaced.

    Raises:
        JournalError: It cannot be written, or is another file.
    """
    path = rows_path(journal)
    try:
        _remove_old(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(_FIRST_LINE)
            file.writelines(group_lines(groups))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise JournalError(f"cannot write the rows file `{path}`: {error.strerror}") from None


def group_lines(groups: Iterable[LiveGroup]) -> Iterator[bytes]:
    """Yield the lines of groups and their connections, for `read_groups`."""
    for hub, name, connections in groups:
        head = {"type": "group", "hub": hub, "group": name, "connections": len(connections)}
        yield encode(head) + b"\n"
        for connection_id, user_id in connections:
            yield encode({"connectionId": connection_id, "userId": user_id}) + b"\n"


def _remove_old(path: Path) -> None:
    """Delete an earlier rows file, but no other file."""
    if not os.path.lexists(path):
        return
    if not _is_rows_file(path):
        raise JournalError(
            f"`{path}` exists and is no rows file of wps-run; move it away, or name another journal"
        )
    path.unlink()


def _is_rows_file(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _FIRST_LINE.startswith(file.readline(len(_FIRST_LINE)))


def remove_rows(journal: Path) -> None:
    """Delete the rows file of a journal that is deleted, if it has one."""
    path = rows_path(journal)
    with suppress(OSError):
        if _is_rows_file(path):
            path.unlink()


def read_rows(journal: Path) -> list[LiveGroup]:
    """Return the groups in the rows file of a journal.

    Raises:
        JournalError: It is missing, cannot be read, or is damaged.
    """
    path = rows_path(journal)
    try:
        if path.exists() and not path.is_file():
            raise JournalError(f"cannot read the rows file `{path}`: it is not a file")
        with path.open("rb") as file:
            return read_groups(_records(file))
    except FileNotFoundError:
        raise JournalError(
            f"cannot resume `{journal}`: the rows file `{path}` is missing, which has the "
            "connections that the run read; put it back, or start a new run"
        ) from None
    except OSError as error:
        raise JournalError(f"cannot read the rows file `{path}`: {error.strerror}") from None
    except InvalidLineError as error:
        raise JournalError(
            f"cannot resume `{journal}`: the rows file `{path}` is damaged ({error}); restore it, "
            "or start a new run"
        ) from None


def read_groups(records: Iterator[dict[str, Any]]) -> list[LiveGroup]:
    """Return the groups of the records of `group_lines`.

    Raises:
        InvalidLineError: A record is not one of these, or there are too many connections.
    """
    groups: list[LiveGroup] = []
    total = 0
    for head in records:
        count = head.get("connections")
        if head.get("type") != "group" or type(count) is not int or count < 0:
            raise InvalidLineError("a line is not that of a group")
        total += count
        if total > LIVE_CONNECTIONS.value:
            raise InvalidLineError(f"it {LIVE_CONNECTIONS.error}")
        connections = tuple(_connection(next(records, {})) for _ in range(count))
        groups.append(LiveGroup(str(head.get("hub")), str(head.get("group")), connections))
    return groups


def _records(file: BinaryIO) -> Iterator[dict[str, Any]]:
    if file.readline(_LONGEST_LINE) != _FIRST_LINE:
        raise InvalidLineError("it does not begin as one")
    while line := file.readline(_LONGEST_LINE):
        if not line.endswith(b"\n"):
            raise InvalidLineError("a line is incomplete")
        yield decode_object(line)


def _connection(record: dict[str, Any]) -> LiveConnection:
    connection_id, user_id = record.get("connectionId"), record.get("userId")
    if not isinstance(connection_id, str) or not isinstance(user_id, str | None):
        raise InvalidLineError("a line is not that of a connection")
    return LiveConnection(connection_id, user_id)
