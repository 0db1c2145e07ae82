"""The rows file beside a journal keeps what was read, whatever it contains."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.journal.rows_file import LiveGroup, read_rows, rows_path, write_rows
from wps_run.playbook.live import LiveConnection
from wps_run.problems import JournalError

NAMES = st.text(st.characters(), min_size=1)  # halves of surrogate pairs, too
CONNECTIONS = st.builds(LiveConnection, NAMES, st.none() | NAMES)
GROUPS = st.builds(LiveGroup, NAMES, NAMES, st.lists(CONNECTIONS, max_size=3).map(tuple))


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "run.journal"


@given(groups=st.lists(GROUPS, max_size=3))
def test_what_was_read_is_read_back(journal: Path, groups: list[LiveGroup]) -> None:
    write_rows(journal, groups)
    assert read_rows(journal) == groups


@given(place=st.integers(0, 200), content=st.binary(max_size=4), length=st.integers(0, 4))
def test_a_damaged_file_is_other_connections_or_an_error(
    journal: Path, place: int, content: bytes, length: int
) -> None:
    write_rows(journal, [LiveGroup("chat", "launch", (LiveConnection("a", "ada"),) * 3)])
    whole = rows_path(journal).read_bytes()
    rows_path(journal).write_bytes(whole[:place] + content + whole[place + length :])
    with suppress(JournalError):
        groups = read_rows(journal)
        assert all(isinstance(row, LiveConnection) for group in groups for row in group.connections)
    rows_path(journal).write_bytes(whole)


def test_a_rows_file_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    rows_path(journal).mkdir()
    for use in (read_rows, lambda path: write_rows(path, ())):
        with pytest.raises(JournalError, match=r"run\.journal\.rows"):
            use(journal)
