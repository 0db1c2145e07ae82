"""Records kept aside come back in the order of the playbook."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.cli.spool import Spool
from wps_run.execution.record import Record
from wps_run.execution.result import Status


def record(index: int, name: str = "n") -> Record:
    """The record of an action with this number."""
    return Record(
        index, 0, None, "sendToAll", name, {"excluded": ("a", "b")}, "p.yaml:1", Status.OK, 202, 1,
        3.1, "id", None, 0.5,
    )  # fmt: skip


@given(order=st.permutations(range(9)), name=st.text(max_size=3))
def test_records_come_back_by_number_as_often_as_they_are_asked_for(
    order: list[int], name: str
) -> None:
    """As a journal gives them."""
    spool = Spool(None)
    for index in order:
        spool.add(record(index, name))

    for _ in range(2):
        assert [one.line for one in spool] == [record(index, name).line for index in range(9)]
    spool.close()


def test_actions_without_a_record_are_left_out() -> None:
    """As in a run that lost its rows."""
    spool = Spool(None)
    spool.add(record(5))

    assert [one.index for one in spool] == [5]
    spool.close()


def test_a_folder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    """Not at the end of a long run."""
    with pytest.raises(OSError, match="No such file"):
        Spool(tmp_path / "none")


def test_what_cannot_be_kept_is_told_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk must not end the run that is to be told."""
    opened: Callable[..., object] = lambda **_: Path("/dev/full").open("w+b", buffering=0)  # noqa: E731, SIM115
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has /dev/full")
    monkeypatch.setattr("tempfile.TemporaryFile", opened)
    spool = Spool(tmp_path)
    spool.add(record(0))

    with pytest.raises(OSError, match="No space left"):
        list(spool)
    spool.close()
