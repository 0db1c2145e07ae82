"""Lines become rows: valid files come back equal, and anything else is reported."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.playbook.rows import (
    ENCODINGS,
    LINE_LIMIT,
    VALUE_COLUMN,
    CellBlock,
    Cells,
    InputError,
    Row,
    RowFormat,
    Rows,
    find_encoding,
    read_csv,
    read_csv_column,
    read_ndjson,
    single_values,
)
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
    row_format=st.builds(
        RowFormat,
        st.sampled_from([",", ";", "\t", "|"]),
        st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be", "gb18030"]),
    ),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_pythons_csv_module_writes_comes_back_equal(
    rows: list[list[str]], dialect: str, row_format: RowFormat, quoting: Any, end: str
) -> None:
    """In every dialect, with line breaks and quotes in cells; but for rows of empty cells."""
    if quoting == csv.QUOTE_MINIMAL and end == "\n":
        # The module then leaves a lone carriage return unquoted, and the file is ambiguous: its
        # own reader does not get the cell back either.
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    text = io.StringIO(newline="")
    delimiter, encoding = row_format
    options = {"delimiter": delimiter, "quoting": quoting, "lineterminator": end}
    writer = csv.writer(text, dialect=dialect, **options)
    writer.writerows([["a", "b"], *rows])
    for start in ("", "\ufeff") if encoding.startswith("utf") and encoding != "utf-16" else ("",):
        raw = (start + text.getvalue()).encode(encoding)

        result = cells(read_csv(lines(raw), "f.csv", row_format))

        assert result == [dict(zip("ab", row, strict=True)) for row in rows if any(row)]


@given(raw=st.binary(max_size=60) | st.text('a,"\n\r{}:[]1é', max_size=30).map(str.encode))
@pytest.mark.parametrize("read", [read_csv, read_ndjson])
def test_any_bytes_give_rows_or_problems(read: Any, raw: bytes) -> None:
    """Never a traceback; each is placed at a line of the file."""
    for row in read(lines(b"a,b\n" + raw), "f"):
        assert row.position is not None
        assert 1 <= row.position.line <= 1 + raw.count(b"\n") + 1
        if isinstance(row, Row):
            assert all(type(cell) is str for cell in row.cells.values())


SIMPLE_LINES = st.lists(st.text("ab1.@ ü", min_size=1, max_size=3), min_size=1, max_size=4)


@given(
    simple=SIMPLE_LINES,
    count=st.sampled_from([0, 998, 999, 1000, 1001, 2000]),
    rest=st.binary(max_size=20) | st.text('a,;"\n\r\0é \u2028\x85', max_size=20).map(str.encode),
    header=st.sampled_from(
        [b"a\n", b"a,b\n", b"a;b\r\n", b"\xef\xbb\xbfa\r\n", b'"a"\n', b"", b"\n"]
    ),
    row_format=st.builds(RowFormat, st.sampled_from([",", ";"]), st.just("utf-8")),
    column=st.sampled_from([None, "a", "b", "c"]),
)
def test_blocks_of_cells_are_the_rows_one_by_one(  # noqa: PLR0913 -- what a file consists of
    *,
    simple: list[str],
    count: int,
    rest: bytes,
    header: bytes,
    row_format: RowFormat,
    column: str | None,
) -> None:
    """The same cells, lines and errors, wherever the first line is that is not simple."""
    end = b"\r\n" if header.endswith(b"\r\n") else b"\n"
    other = row_format.delimiter.encode() * header.count(row_format.delimiter.encode())
    body = [f"{simple[index % len(simple)]}".encode() + other for index in range(count)]
    raw = lines(header + b"".join(line + end for line in body) + rest)

    assert values_of(read_csv_column(iter(raw), "f.csv", row_format, column), column) == values_of(
        read_csv(raw, "f.csv", row_format), column
    )


def values_of(rows: Cells, column: str | None) -> list[Row | Problem | str]:
    """The rows of a column, those of blocks one by one, and the error that ends them."""
    result: list[Row | Problem | str] = []
    try:
        for row in single_values(rows, column, "f.csv"):
            result += row.rows() if isinstance(row, CellBlock) else [row]
    except InputError as error:
        result.append(str(error))
    return result


def test_simple_lines_are_read_in_blocks() -> None:
    """A column of a file without quotes is not parsed line by line, up to the first quote."""
    raw = lines(b"n,userId\n" + b"1,ada\n" * 1500 + b'2,"x"\n')

    blocks = [
        row
        for row in read_csv_column(raw, "f", RowFormat(), "userId")
        if isinstance(row, CellBlock)
    ]

    assert [(block.line, block.cells) for block in blocks] == [(2, ["ada"] * 1000)]


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
        (b"\xff\xfea\x00", "f:1: error: this file looks like UTF-16; add `encoding: utf-16`"),
        (b"a\x00b\x00", "f:1: error: this file looks like UTF-16; add `encoding: utf-16`"),
        (
            b'a\n"x\n\xe9"\n',
            "f:3: error: the byte 0xE9 is not UTF-8; add the encoding of the file to `forEach`, \
such as `encoding: windows-1252`, or save the file as UTF-8",
        ),
        (b'a\n"x\n', "f:2: error: a quote opens in this row and is never closed"),
        (
            b"SEP=;\na;b\n1;2\n",
            "f:1: error: `sep=` is an instruction for Excel, not a header; remove this line",
        ),
        (b"a\n" + b"x" * LINE_LIMIT, "f:2: error: the line is longer than 8 MiB"),
    ],
    ids=["empty", "cr", "cr-quoted", "utf-16", "utf-16-bare", "latin-1", "open", "excel", "long"],
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


def test_rows_of_empty_cells_are_skipped() -> None:
    """As a spreadsheet leaves them, whatever their number; their lines count."""
    raw = b',\n"",""\na,b\n,\n"",""\n,,,\nx,1\n,\n'

    assert list(read_csv(lines(raw), "f.csv")) == [
        Row({"a": "x", "b": "1"}, Position("f.csv", 7)),
    ]


@pytest.mark.parametrize(
    ("header", "row_format", "remedy"),
    [
        (b"userId;team", RowFormat(), 'add `delimiter: ";"`'),
        (b"userId\tteam", RowFormat(), "add `delimiter: tab`"),
        (b"userId|team", RowFormat(), 'add `delimiter: "|"`'),
        (b"userId|team", RowFormat(";"), 'write `delimiter: "|"`'),
        (b"userId,team", RowFormat(";"), "leave out `delimiter`"),
    ],
)
def test_a_header_with_another_delimiter_says_which(
    header: bytes, row_format: RowFormat, remedy: str
) -> None:
    """It is not guessed, since that could change what is read."""
    (problem,) = read_csv([header + b"\n", b"secret;x\n"], "f.csv", row_format)

    assert isinstance(problem, Problem)
    assert problem.message.endswith(f"; {remedy}")
    assert "secret" not in problem.message


@pytest.mark.parametrize(
    ("raw", "encoding", "expected"),
    [
        (
            "é\n".encode(),
            "utf-16",
            "f:1: error: this file does not look like UTF-16: it has no byte order",
        ),
        (
            "a\n".encode("utf-8-sig"),
            "windows-1252",
            "f:1: error: the file begins with the byte order mark",
        ),
        (
            "a\n".encode("utf-16"),
            "windows-1252",
            "f:1: error: this file looks like UTF-16; write `encoding",
        ),
        (
            b"\xff\xfea\0",
            "utf-16-be",
            "f:1: error: this file looks like UTF-16; write `encoding: utf-16`",
        ),
        (
            "a\nb\n".encode("utf-16-be"),
            "utf-16-le",
            "f:1: error: this file looks like UTF-16; write `encoding: utf-16`",
        ),
        (b"a\nx\x81\n", "windows-1252", "f:2: error: the byte 0x81 is not WINDOWS-1252; correct"),
        (b"a\0\n\0b\0\n\0\0\xd8\n\0", "utf-16", "f:3: error: this line is not UTF-16-LE; correct"),
        (b"a\0\n\0b", "utf-16", "f:2: error: this line is not UTF-16-LE; correct"),
    ],
)
def test_a_wrong_encoding_is_reported_with_its_line(
    raw: bytes, encoding: str, expected: str
) -> None:
    """Also when the file ends within a character."""
    problems = list(read_csv(lines(raw), "f", RowFormat(",", encoding)))

    assert isinstance(problems[-1], Problem)
    assert format_problem(problems[-1]).startswith(expected)


def test_a_line_of_utf_16_is_bounded_in_time_and_memory() -> None:
    """Each of these characters contains the byte of a line break, and none is one."""
    piece = "\u0a0a".encode("utf-16-le")
    endless = (piece * 4096 for _ in range(10_000))

    (problem,) = read_csv(endless, "f", RowFormat(",", "utf-16-le"))

    assert isinstance(problem, Problem)
    assert problem.message == "the line is longer than 8 MiB"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UTF8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("UTF-16LE", "utf-16-le"),
        ("utf_16_be", "utf-16-be"),
        ("CP1252", "windows-1252"),
        ("Windows-1252", "windows-1252"),
        ("latin1", "iso-8859-1"),
        ("ISO_8859-15", "iso-8859-15"),
        ("Shift_JIS", "cp932"),
        ("utf-7", None),
        ("", None),
    ],
)
def test_an_encoding_has_the_names_that_operators_know(name: str, expected: str | None) -> None:
    """In any case."""
    assert find_encoding(name) == expected


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_line_feed_is_the_same_byte_in_every_encoding(encoding: str) -> None:
    """So that files can be read line by line; those of UTF-16 are decoded first."""
    rows = cells(read_csv(lines("a,b\nx,1\n".encode(encoding)), "f", RowFormat(",", encoding)))

    assert rows == [{"a": "x", "b": "1"}]


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
