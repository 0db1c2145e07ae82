"""What the lines of a journal say a run has done, and whether it may be gone on with. Pure.

A journal is ndjson, appended to and never changed: a header `{"type":"run",…}`, then for each
action that must not be sent twice a `{"type":"sending","index":…}` before its request leaves, an
`{"type":"unsent","index":…}` when the service refused it and it waits for another attempt, a
`{"type":"result",…}` for each action that ended, and a `{"type":"summary",…}` when the run did.
A `{"type":"resumed",…}` stands where the run was gone on with.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.problems import JournalError

VERSION = 1
"""The form of the lines. A journal of another version is refused."""


@dataclass(slots=True)
class History:
    """What is known of a run.

    Attributes:
        header: The first record.
        results: The last result record of each action, by index.
        sending: Actions that may have left, and had no result since, by index.
        summary: The record that ended the run, or None when it did not end.
        length: Bytes of whole lines; a torn last line lies beyond.
    """

    header: Mapping[str, Any]
    results: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    sending: set[int] = field(default_factory=set)
    summary: Mapping[str, Any] | None = None
    length: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next record. Kinds that are not known are left alone."""
        match record.get("type"):
            case "sending":
                self.sending.add(record["index"])
            case "result":
                self.results[record["index"]] = record
                self.sending.discard(record["index"])
            case "unsent":
                self.sending.discard(record["index"])
            case "summary":
                self.summary = record
            case "resumed":
                self.summary = None
            case _:
                pass

    def result(self, index: int) -> Mapping[str, Any] | None:
        """How an action ended, or None when it did not, or may have left again since."""
        return None if index in self.sending else self.results.get(index)

    def ended(self) -> list[Mapping[str, Any]]:
        """The results of the actions that ended, in the order of the playbook."""
        return [self.results[index] for index in sorted(self.results.keys() - self.sending)]


def read_history(lines: Iterable[bytes], name: str) -> History:
    """Read a journal from its beginning.

    Args:
        lines: Its lines, each with its line break but perhaps the last.
        name: What messages call it.

    Raises:
        JournalError: It is none, is of another version, or is damaged before its last line.
    """
    history: History | None = None
    torn = False
    for number, line in enumerate(lines, start=1):
        if torn:
            raise JournalError(f"{name}:{number - 1}: the journal is damaged here")
        record = _record(line)
        if record is None:
            torn = True
        elif history is None:
            history = History(_header(record, name), length=len(line))
        else:
            history.add(record)
            history.length += len(line)
    if history is None:
        raise JournalError(f"`{name}` is not a journal of wps-run, or its first line is torn")
    return history


def _record(line: bytes) -> Mapping[str, Any] | None:
    """The record of a line, or None when the line is torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _header(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if record.get("type") != "run":
        raise JournalError(f"`{name}` is not a journal of wps-run")
    if record.get("version") != VERSION:
        raise JournalError(f"`{name}` was written by another version of wps-run")
    return record


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two fingerprints: `the playbook p.yaml`, `the variable room`, …."""
    names = dict.fromkeys([*before, *now])
    return [name for name in names if before.get(name) != now.get(name)]


def require_same(history: History, fingerprint: Mapping[str, str], name: str) -> None:
    """Refuse to go on with a run of something else.

    Raises:
        JournalError: Something changed since; says what.
    """
    changed = changes(history.header["fingerprint"], fingerprint)
    if changed:
        raise JournalError(
            f"`{name}` cannot be gone on with, since this changed: {', '.join(changed)}; "
            "put it back, or start a new run"
        )
