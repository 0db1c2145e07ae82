"""Lines become rows: valid files come back equal, and anything else is reported."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.playbook.rows import LINE_LIMIT, VALUE_COLUMN, Row, Rows, read_csv, read_ndjson
from wps_run.problems import Position, Problem, format_problem

CELL = st.text(',"\n\r\t; aé\u2028\x85', max_size=5) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=5
)


def cells(rows: Rows) -> list[dict[str, str]]:
    """The cells of rows that are all right."""
    result = list(rows)
    assert not [row for row in result if isinstance(row, Problem)]
    return [dict(row.cells) for row in result if isinstance(row, Row)]


def lines(raw: bytes) -> list[bytes]:
    """A file's lines as a file gives them."""
    return list(io.BytesIO(raw))


@given(
    rows=st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=4),
    dialect=st.sampled_from(["excel", "unix"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
)
def test_what_pythons_csv_module_writes_comes_back_equal(
    rows: list[list[str]], dialect: str, quoting: Any, end: str, *, bom: bool
) -> None:
    """In every dialect with commas, with line breaks and quotes in cells."""
    if quoting == csv.QUOTE_MINIMAL and end == "\n":
        # The module then leaves a lone carriage return unquoted, and the file is ambiguous: its
        # own reader does not get the cell back either.
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    text = io.StringIO(newline="")
    writer = csv.writer(text, dialect=dialect, quoting=quoting, lineterminator=end)
    writer.writerows([["a", "b"], *rows])
    raw = text.getvalue().encode("utf-8-sig" if bom else "utf-8")

    result = cells(read_csv(lines(raw), "f.csv"))

    assert result == [dict(zip("ab", row, strict=True)) for row in rows]


@given(raw=st.binary(max_size=60) | st.text('a,"\n\r{}:[]1é', max_size=30).map(str.encode))
@pytest.mark.parametrize("read", [read_csv, read_ndjson])
def test_any_bytes_give_rows_or_problems(read: Any, raw: bytes) -> None:
    """Never a traceback; each is placed at a line of the file."""
    for row in read(lines(b"a,b\n" + raw), "f"):
        assert row.position is not None
        assert 1 <= row.position.line <= 1 + raw.count(b"\n") + 1
        if isinstance(row, Row):
            assert all(type(cell) is str for cell in row.cells.values())


def test_a_record_is_named_by_the_line_that_it_begins_in() -> None:
    """Line breaks in cells and empty lines count."""
    result = list(read_csv(lines(b'a,b\r\n"x\ny",1\r\n\r\nz,2\r\n'), "f.csv"))

    assert result == [
        Row({"a": "x\ny", "b": "1"}, Position("f.csv", 2)),
        Row({"a": "z", "b": "2"}, Position("f.csv", 5)),
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "f:1: error: the file is empty"),
        (
            b"a\rb\rc",
            "f:1: error: a lone carriage return; save the file with line breaks of LF or CRLF",
        ),
        (
            b'"a"\r"b"',
            "f:1: error: a lone carriage return; save the file with line breaks of LF or CRLF",
        ),
        (b"\xff\xfea\x00", "f:1: error: the file is UTF-16; save it as UTF-8"),
        (b"a\x00b\x00", "f:1: error: the file is UTF-16; save it as UTF-8"),
        (b'a\n"x\n\xe9"\n', "f:3: error: the byte 0xE9 is not UTF-8; save the file as UTF-8"),
        (b'a\n"x\n', "f:2: error: a quote opens in this row and is never closed"),
        (b"a\n" + b"x" * LINE_LIMIT, "f:2: error: the line is longer than 8 MiB"),
    ],
    ids=["empty", "cr", "cr-quoted", "utf-16", "utf-16-bare", "latin-1", "open", "long"],
)
def test_a_csv_file_that_cannot_be_read_says_where(raw: bytes, expected: str) -> None:
    """And what to do about it."""
    result = [row for row in read_csv(lines(raw), "f") if isinstance(row, Problem)]

    assert [format_problem(problem) for problem in result] == [expected]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'"x" y,1', "text follows a closing quote"),
        (b'5" x,1', "a cell that contains a quote must be in quotes"),
        (b'5"" x,"y"', "a cell that contains a quote must be in quotes"),
        (b'x,5"" y,"",""', "a cell that contains a quote must be in quotes"),
        (b'"' + b"x" * csv.field_size_limit() + b'x",1', "a cell is longer than"),
        (b"x" * csv.field_size_limit() + b"x,1", "put long messages into files"),
        (b'"x\n' + b"y,1\n" * csv.field_size_limit(), "is not closed within 131,072 characters"),
    ],
    ids=["after-quote", "one", "two", "even", "long-quoted", "long", "open"],
)
def test_a_malformed_record_is_refused_where_it_begins(row: bytes, message: str) -> None:
    """The `csv` module alone would accept quotes in the middle of a cell."""
    first, problem, *_ = read_csv(lines(b"a,b\nok,1\n" + row + b"\n"), "f")

    assert isinstance(first, Row)
    assert isinstance(problem, Problem)
    assert problem.position == Position("f", 3)
    assert message in problem.message


def test_quotes_within_quotes_are_no_stray_quotes() -> None:
    """Whatever stands around them."""
    raw = b'a,b\n"""x"", ""y""","5"" z"\n"",""""\n",""",","\n'

    assert [(row["a"], row["b"]) for row in cells(read_csv(lines(raw), "f"))] == [
        ('"x", "y"', '5" z'),
        ("", '"'),
        (',"', ","),
    ]


def test_a_record_that_never_ends_is_read_up_to_the_limit() -> None:
    """Each of its cells is short, but memory stays bounded."""
    count = 0

    def endless() -> Iterator[bytes]:
        nonlocal count
        yield b"a\n"
        yield b'"\n'
        while True:
            count += 1
            yield b'","' + b"x" * 1000 + b"\n"

    (problem,) = read_csv(endless(), "f")

    assert isinstance(problem, Problem)
    assert problem.position == Position("f", 2)
    assert problem.message == "a quote opens in this row and is never closed"
    assert count * 1000 < LINE_LIMIT + 2000


def test_one_broken_row_does_not_hide_those_after_it() -> None:
    """All problems of a file are reported at once."""
    result = list(read_csv(lines(b'a,b\n5" x,1\ny,2\n"q" r,3\nz,4\n'), "f"))

    assert [isinstance(row, Problem) for row in result] == [True, False, True, False]


@given(
    value=st.dictionaries(
        st.text("ab", min_size=1, max_size=2),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    )
)
def test_objects_of_strings_come_back_equal_from_ndjson(value: dict[str, str]) -> None:
    """Escaped or not."""
    for plain in (True, False):
        raw = json.dumps(value, ensure_ascii=plain).encode()
        assert cells(read_ndjson(lines(raw), "f")) == [value]


def test_what_is_no_string_in_ndjson_is_taken_as_it_is_written() -> None:
    """Numbers keep their digits, null is empty, a single value is the whole row."""
    raw = b'{"a": 1.50, "b": 12345678901234567890, "c": true, "d": null}\n\n007e0\n7\n"x"\n'

    result = list(read_ndjson(lines(raw), "f"))

    assert [row.cells for row in result if isinstance(row, Row)] == [
        {"a": "1.50", "b": "12345678901234567890", "c": "true", "d": ""},
        {VALUE_COLUMN: "7"},
        {VALUE_COLUMN: "x"},
    ]
    assert [format_problem(row) for row in result if isinstance(row, Problem)] == [
        "f:3: error: this is not JSON: Extra data at character 2"
    ]


def test_half_of_a_surrogate_pair_is_no_cell() -> None:
    """It could be neither sent nor shown."""
    (problem,) = read_ndjson([b'{"a": "\\ud800"}'], "f")

    assert isinstance(problem, Problem)
    assert "surrogate" in problem.message


def test_ndjson_that_is_nested_too_deeply_is_reported() -> None:
    """And not a traceback."""
    (problem,) = read_ndjson([b"[" * 200_000], "f")

    assert isinstance(problem, Problem)
