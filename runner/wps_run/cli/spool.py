"""The records of a run kept aside until its report files are written, in constant memory."""

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path

from wps_run.execution.record import Record, record_from
from wps_run.journal.format import parsed


class Spool:
    """Records on disk, added as actions end, read in the order of the playbook.

    In memory is where each begins: eight bytes an action.

    Args:
        folder: Where the nameless file is kept; None for where the system keeps such files.

    Raises:
        OSError: No file can be made there.

    Attributes:
        error: Why no more could be written, or None.
    """

    def __init__(self, folder: Path | None) -> None:
        self.error: OSError | None = None
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- closed by `close`
        self._starts = array("Q")
        self._length = 0

    def add(self, record: Record) -> None:
        """Keep a record."""
        line = record.line.encode(errors="surrogatepass")
        try:
            self._file.write(line)
        except OSError as error:
            self.error = self.error or error
        missing = record.index + 1 - len(self._starts)
        if missing > 0:
            self._starts.frombytes(bytes(missing * self._starts.itemsize))
        self._length += len(line)
        self._starts[record.index] = self._length - len(line) + 1

    def __iter__(self) -> Iterator[Record]:
        """The records by index; may be asked for any number of times.

        Raises:
            OSError: They could not be written, or cannot be read.
        """
        if self.error:
            raise self.error
        for start in self._starts:
            if start:
                self._file.seek(start - 1)
                written = parsed(self._file.readline())
                if written is not None:
                    yield record_from(written)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
