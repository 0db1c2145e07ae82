"""Files that a playbook names are opened relative to it, and refused where that would go wrong."""

import os
from pathlib import Path

import pytest

from wps_run import input_limits
from wps_run.actions.fields import DATA_LIMIT
from wps_run.playbook.files import Files, open_input, read_input, read_limited, require_below
from wps_run.playbook.rows import InputError, Row


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.csv", "user\n007\nno\n"),
        ("R.CSV", "user\n007\nno\n"),
        ("r.ndjson", '{"user": "007"}\n{"user": "no"}\n'),
        ("r.jsonl", '{"user": "007"}\n{"user": "no"}\n'),
        ("r.json", '[{"user": "007"}, {"user": "no"}]'),
        ("r.yaml", "- user: 007\n- user: no\n"),
        ("r.yml", "[{user: 007}, {user: no}]"),
    ],
)
def test_the_suffix_says_how_a_file_is_read(tmp_path: Path, name: str, text: str) -> None:
    """Cells are strings, as in the source; a file can be read again."""
    (tmp_path / name).write_text(text)
    files = Files(tmp_path)

    for _ in range(2):
        cells = [row.cells for row in files.rows(name) if isinstance(row, Row)]
        assert cells == [{"user": "007"}, {"user": "no"}]


def test_rows_may_come_from_anywhere(tmp_path: Path) -> None:
    """They are read by who wrote the playbook, and checked."""
    (tmp_path / "r.csv").write_text("u\nada\n")
    (tmp_path / "below").mkdir()

    for name in ("../r.csv", str(tmp_path / "r.csv")):
        (row,) = Files(tmp_path / "below").rows(name)
        assert isinstance(row, Row)
        assert str(row.position) == f"{tmp_path / 'r.csv'}:2"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """It can be read only once, and opening it would hang."""
    os.mkfifo(tmp_path / "p.csv")

    with pytest.raises(InputError, match=r"can be read only once.*save it to a file"):
        next(Files(tmp_path).rows("p.csv"))
    with pytest.raises(InputError, match="not a regular file"):
        Files(tmp_path).data("p.csv")


def test_a_message_cannot_come_from_outside_of_the_folder(tmp_path: Path) -> None:
    """Not by its name, not by a link: a row could have any file sent to clients."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    (folder / "inside").write_text("hello")
    (folder / "near").symlink_to(folder / "inside")
    files = Files(folder)

    for name in ("../secret", str(secret), "link", "../f/../secret"):
        with pytest.raises(InputError, match="outside the playbook's folder"):
            files.data(name)
    assert files.data("inside") == files.data("near") == files.data(str(folder / "inside"))


def test_a_message_has_a_mebibyte_at_most(tmp_path: Path) -> None:
    """No more than that is read."""
    (tmp_path / "full").write_bytes(b"x" * DATA_LIMIT)
    (tmp_path / "more").write_bytes(b"x" * (DATA_LIMIT + 1))

    assert len(Files(tmp_path).data("full")) == DATA_LIMIT
    with pytest.raises(InputError, match="has more than 1 MiB"):
        Files(tmp_path).data("more")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none.csv", "there is no file"), ("d.csv", "is a folder"), ("a\0.csv", "cannot read"),
     ("x.txt", "must end in")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, reason: str) -> None:
    """The message contains no path of this machine."""
    (tmp_path / "d.csv").mkdir()
    (tmp_path / "x.txt").write_text("u\n")

    with pytest.raises(InputError, match=reason) as caught:
        next(Files(tmp_path).rows(name))
    assert str(tmp_path) not in str(caught.value)


def test_an_empty_file_of_rows_is_reported_as_such(tmp_path: Path) -> None:
    """Not in those of a playbook."""
    (tmp_path / "r.json").write_text("\n")

    (problem,) = Files(tmp_path).rows("r.json")
    assert not isinstance(problem, Row)
    assert problem.message == "the file is empty; an empty list is `[]`"


def test_a_link_to_itself_cannot_be_read(tmp_path: Path) -> None:
    """It is reported like any other file that cannot be read."""
    (tmp_path / "loop.csv").symlink_to("loop.csv")

    with pytest.raises(InputError, match=r"cannot read `loop\.csv`"):
        Files(tmp_path).data("loop.csv")
    with pytest.raises(InputError, match=r"cannot read `loop\.csv`"):
        next(Files(tmp_path).rows("loop.csv"))


@pytest.mark.parametrize("text", ["u\nada\nbob\n", "u\n", "v\nada\n"])
def test_rows_that_were_changed_after_the_check_are_refused(tmp_path: Path, text: str) -> None:
    """More of them, fewer, or another file by that name: they are not those that were checked."""
    (tmp_path / "r.csv").write_text("u\nada\n")
    files = Files(tmp_path)
    assert len(list(files.rows("r.csv"))) == 1
    (tmp_path / "new").write_text(text)
    (tmp_path / "new").replace(tmp_path / "r.csv")

    with pytest.raises(InputError, match="changed after its rows were checked"):
        next(files.rows("r.csv"))


def test_rows_that_change_while_they_are_read_are_refused(tmp_path: Path) -> None:
    """At the end at the latest, so that no rows go missing unseen."""
    (tmp_path / "r.csv").write_text("u\nada\n")
    rows = Files(tmp_path).rows("r.csv")
    next(rows)
    with (tmp_path / "r.csv").open("a") as file:
        file.write("bob\n")

    with pytest.raises(InputError, match="changed after its rows were checked"):
        list(rows)


def test_a_file_that_grows_or_hides_its_size_is_read_up_to_the_limit(tmp_path: Path) -> None:
    """Its size alone is not trusted: that of a file in /proc is 0."""
    limit = input_limits.PLAYBOOK._replace(value=100)
    growing = tmp_path / "growing"
    growing.write_bytes(b"x" * 100)
    with open_input(growing) as file:
        with growing.open("ab") as end:
            end.write(b"x" * 100)
        with pytest.raises(InputError, match="`growing` has more than 100 bytes"):
            read_limited(file, "growing", limit)
    if Path("/proc/self/status").exists():
        with pytest.raises(InputError, match="has more than 100 bytes"):
            read_input("/proc/self/status", limit)


def test_a_path_below_a_folder_is_resolved_before_it_is_opened(tmp_path: Path) -> None:
    """`..`, absolute names and links may stay below the folder, but not leave it."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("")
    (folder / "link").symlink_to("a")
    (folder / "out").symlink_to(tmp_path)

    for name in ("a", "sub/../a", "link", str(folder / "a")):
        assert require_below(folder / name, folder) == folder / "a"
    for name in ("..", "../in2", "out", "out/x", "/etc/passwd"):
        with pytest.raises(InputError, match=r"out of the folder|outside the folder"):
            require_below(folder / name, folder)
