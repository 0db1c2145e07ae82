"""Read the rows of `forEach`, one at a time, from a CSV, NDJSON, JSON or YAML file or the playbook.

A row that cannot be read is a `Problem` in its place, so that one bad row does not hide the others.
"""

import codecs
import json
import re
from array import array
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice, product
from types import MappingProxyType
from typing import Any, NamedTuple, Never, Protocol, TypeAlias, TypeVar

from wps_run import input_limits
from wps_run.document.document import Document, Path
from wps_run.document.loader import BOM, UTF_16, is_utf_32
from wps_run.playbook.messages import describe_type, join_names
from wps_run.problems import Position, Problem, shorten
from wps_run.text import has_surrogate

VALUE_COLUMN = ""
"""The only column of rows that are single values. No column of a file has this name."""

LINE_LIMIT = input_limits.LINE.value
"""The longest line in bytes, and the longest CSV record in characters, that is read."""


Place: TypeAlias = Position | Path
"""Where a cell is: a position, or a path in the playbook."""


class Row(NamedTuple):
    """One row. A tuple is made in half the time of a dataclass, and there may be millions.

    Attributes:
        cells: Column to cell; a single value is in the column `VALUE_COLUMN`.
        position: Where it begins; the line only for a row of a file.
        places: Column to the place of its cell; None if all are at the position of the row.
    """

    cells: Mapping[str, str]
    position: Position
    places: Mapping[str, Place] | None = None


class CellBlock(NamedTuple):
    """The cells of one column in consecutive lines of a file: one a line, and none is empty.

    Attributes:
        cells: The cells.
        file: The file.
        line: The line of the first of them.
    """

    cells: Sequence[str]
    file: str
    line: int

    def rows(self) -> Iterator[Row]:
        """Yield a row of a single value for each cell."""
        for line, cell in enumerate(self.cells, start=self.line):
            yield Row({VALUE_COLUMN: cell}, Position(self.file, line))


Rows = Iterator[Row | Problem]
"""Rows, and a problem in place of each row that cannot be read."""

Cells = Iterator[CellBlock | Row | Problem]
"""The same, with one column of some rows in blocks."""

Item = TypeVar("Item", Row | Problem, CellBlock | Row | Problem)
"""One of what is read: without blocks, or with them."""

ReadRows = Generator[Row | Problem, None, Collection[str]]
"""The same, and at the end the columns that the file has even without a row."""


class RowFormat(NamedTuple):
    """How a CSV or NDJSON file is read.

    Attributes:
        delimiter: The character between two cells of a CSV file.
        encoding: A name in `ENCODINGS`.
    """

    delimiter: str = ","
    encoding: str = "utf-8"


DEFAULT_FORMAT = RowFormat()

ENCODINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "utf-8": ("utf-8-sig", "utf-8-bom", "ascii", "us-ascii"),
        "utf-16": ("unicode",),
        "utf-16-le": (),
        "utf-16-be": (),
        **{f"windows-{number}": (f"cp-{number}",) for number in range(1250, 1259)},
        "iso-8859-1": ("latin-1",),
        "iso-8859-2": ("latin-2",),
        "iso-8859-15": ("latin-9",),
        "macintosh": ("mac-roman",),
        "ibm437": ("cp-437",),
        "ibm850": ("cp-850",),
        "koi8-r": (),
        "cp932": ("shift-jis", "sjis", "windows-31j"),
        "gb18030": ("gbk", "gb-2312", "cp-936"),
        "big5": ("cp-950",),
        "euc-kr": ("cp-949",),
    }
)
"""The encodings of files of rows, each with its other names. All but those of UTF-16 are the names
of Python codecs in which the byte 0x0A is always a line feed."""


def encoding_pattern(name: str) -> str:
    """Return a pattern of the names of an encoding: in any case, a hyphen also `_` or left out."""
    parts = {"-": "[-_ ]?"}
    names = (
        "".join(parts.get(c, f"[{c}{c.upper()}]" if c.isalpha() else c) for c in spelling)
        for spelling in (name, *ENCODINGS[name])
    )
    return f"(?:{'|'.join(names)})"


def find_encoding(name: str) -> str | None:
    """Return the name in `ENCODINGS` of an encoding, or None if it is not known."""
    matching = (key for key in ENCODINGS if re.fullmatch(encoding_pattern(key), name))
    return next(matching, None)


class InputError(Exception):
    """A file that a playbook names cannot be read. The message says why."""


class Inputs(Protocol):
    """The files that a playbook names; implemented by `files.Files`.

    Attributes:
        columns: The columns of the CSV files whose rows were read to the end, by file.
    """

    @property
    def columns(self) -> Mapping[str, Collection[str]]: ...

    def rows(self, name: str, row_format: RowFormat = DEFAULT_FORMAT) -> Rows:
        """Return the rows of a file, from its beginning.

        Raises:
            InputError: The file cannot be read; raised when a row is requested.
        """

    def column(
        self, name: str, column: str | None, row_format: RowFormat = DEFAULT_FORMAT
    ) -> Cells:
        """Return the same rows; of CSV, one column in blocks as far as the file is simple.

        Args:
            name: The file.
            column: The column, or None for the only one.
            row_format: How it is read.

        Raises:
            InputError: The file cannot be read; raised when a row is requested.
        """

    def data(self, name: str) -> bytes:
        """Return the content of a message file.

        Raises:
            InputError: The file cannot be read, is too long, or is outside the playbook's folder.
        """


class _NoInputs:
    columns: Mapping[str, Collection[str]] = MappingProxyType({})

    def rows(self, name: str, row_format: RowFormat = DEFAULT_FORMAT) -> Rows:  # noqa: ARG002
        raise InputError(f"`{name}` cannot be read here")

    def column(
        self,
        name: str,
        column: str | None,  # noqa: ARG002
        row_format: RowFormat = DEFAULT_FORMAT,
    ) -> Rows:
        return self.rows(name, row_format)

    def data(self, name: str) -> bytes:
        raise InputError(f"`{name}` cannot be read here")


NO_INPUTS: Inputs = _NoInputs()
"""Inputs without a file system: every file is refused."""


def _decode_lines(
    lines: Iterable[bytes], file: str, problems: list[Problem], encoding: str
) -> Iterator[str]:
    """Decode lines, with their line breaks and without a byte order mark.

    Appends a problem to `problems` before it yields a line that cannot be decoded, with replacement
    characters. Ends, after a problem, at a line that is too long or when the file is obviously in
    another encoding.
    """
    source = iter(lines)
    first = next(source, b"")
    if message := _encoding_error(first, encoding):
        problems.append(_problem(file, 1, message, "encoding"))
        return
    if encoding.startswith("utf-16"):
        yield from _decode_utf16(chain((first,), source), file, problems, encoding)
        return
    for number, line in enumerate(chain((first.removeprefix(BOM),), source), start=1):
        if len(line) >= LINE_LIMIT:
            problems.append(_problem(file, number, _LINE_TOO_LONG))
            return
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError as error:
            message = f"the byte 0x{line[error.start]:02X} is not {encoding.upper()}; "
            message += _UTF_8_REMEDY if encoding == "utf-8" else "correct `encoding`"
            problems.append(_problem(file, number, message, "encoding"))
            text = line.decode(encoding, errors="replace")
        yield text


_LINE_TOO_LONG = f"the line is longer than {LINE_LIMIT // 1024 // 1024} MiB"
_UTF_8_REMEDY = (
    "add the encoding of the file to `forEach`, such as `encoding: windows-1252`, or save the file "
    "as UTF-8"
)


def _encoding_error(start: bytes, encoding: str) -> str | None:
    """Return what is wrong if the beginning of a file shows that it has another encoding."""
    if is_utf_32(start):
        return "the file is UTF-32; save it as UTF-8"
    mark = {UTF_16[0]: "utf-16-le", UTF_16[1]: "utf-16-be"}.get(start[:2])
    if mark is None and start[:2].count(0) == 1:  # a header begins with a character of ASCII
        mark = "utf-16-be" if start[0] == 0 else "utf-16-le"
    is_utf_16 = mark is not None or b"\0" in start[:2]
    if encoding != "utf-8" and start.startswith(BOM):
        return "the file begins with the byte order mark of UTF-8; leave out `encoding`"
    if encoding == "utf-16" and start and not is_utf_16:
        return (
            "this file does not look like UTF-16: it has no byte order mark; leave out `encoding` "
            "if it is UTF-8, or write `encoding: utf-16-le` or `utf-16-be`"
        )
    is_right = encoding in {"utf-16", mark} or (mark is None and encoding.startswith("utf-16"))
    if is_utf_16 and not is_right:
        verb = "add" if encoding == "utf-8" else "write"
        return f"this file looks like UTF-16; {verb} `encoding: utf-16`"
    return None


def _decode_utf16(
    chunks: Iterable[bytes], file: str, problems: list[Problem], encoding: str
) -> Iterator[str]:
    """Decode lines of UTF-16. The chunks may end within a line, or within a character."""
    source = iter(chunks)
    start = next(source)
    if encoding == "utf-16":
        is_big = start.startswith((UTF_16[1], b"\0"))
        encoding = "utf-16-be" if is_big else "utf-16-le"
    start = start[2:] if start.startswith(UTF_16) else start
    decoder = codecs.getincrementaldecoder(encoding)()
    number, parts, size = 1, [""], 0
    try:
        for chunk in chain((start,), source):
            text = decoder.decode(chunk)
            parts.append(text)
            size += len(text)
            if "\n" in text:
                *whole, rest = "".join(parts).split("\n")
                parts, size = [rest], len(rest)
                for line in whole:
                    yield f"{line}\n"
                    number += 1
            if size >= LINE_LIMIT:
                problems.append(_problem(file, number, _LINE_TOO_LONG))
                return
        parts.append(decoder.decode(b"", final=True))
    except UnicodeDecodeError as error:
        number += error.object[: error.start].decode(encoding).count("\n")
        message = f"this line is not {encoding.upper()}; correct `encoding`"
        problems.append(_problem(file, number, message, "encoding"))
        return
    if last := "".join(parts):
        yield last


def read_csv(lines: Iterable[bytes], file: str, row_format: RowFormat = DEFAULT_FORMAT) -> ReadRows:
    """Read a CSV file: RFC 4180 with LF or CRLF; the first record is the header.

    Empty lines, and records of empty cells only, are skipped. The position of a record is the line
    that it begins in. The columns are returned if the header is valid.
    """
    delimiter = row_format.delimiter
    records = _csv_records(lines, file, row_format)
    number, header = next(records, (1, _problem(file, 1, "the file is empty")))
    if isinstance(header, Problem):
        yield header
        return ()
    problems = list(_check_header(header, file, number, delimiter))
    if problems:
        yield from problems
        return ()
    width = len(header)
    for number, cells in records:
        if isinstance(cells, Problem):
            yield cells
        elif len(cells) == width:
            yield Row(dict(zip(header, cells, strict=True)), Position(file, number))
        else:
            message = f"the header has {_count_cells(width)}, this row has {len(cells)}"
            name = _DELIMITER_NAMES.get(delimiter, f"`{delimiter}`")
            hint = f"; a cell that holds {name} needs quotes" if len(cells) > width else ""
            yield _problem(file, number, message + hint)
    return header


def read_csv_column(
    lines: Iterable[bytes], file: str, row_format: RowFormat, column: str | None
) -> Generator[CellBlock | Row | Problem, None, Collection[str]]:
    """Read one column of a CSV file, in blocks as far as its lines are simple.

    Simple lines are UTF-8 without quotes, with a cell in the column. They need not be parsed one by
    one, which takes a tenth of the time. From the first block on that has another line, the rows
    are those of `read_csv`.

    Args:
        lines: The lines of the file.
        file: Its name in positions.
        row_format: How it is read.
        column: The column, or None for the only one.
    """
    source = iter(lines)
    first = next(source, b"")
    delimiter, encoding = row_format
    text = first.removeprefix(BOM).decode(errors="replace").removesuffix("\n").removesuffix("\r")
    header = text.split(delimiter)
    column = header[0] if column is None and len(header) == 1 else column
    is_simple = (
        encoding == "utf-8"
        and column in header
        and _UNUSUAL.isdisjoint(text)
        and not any(_check_header(header, file, 1, delimiter))
    )
    line = 2
    while is_simple and (block := list(islice(source, _BLOCK))):
        cells = _simple_cells(block, delimiter, len(header), header.index(str(column)))
        if cells is None:
            rest = read_csv(chain((first,), block, source), file, row_format)
            yield from _moved_down(rest, line - 2)
            return header
        yield CellBlock(cells, file, line)
        line += len(block)
    if is_simple:
        return header
    return (yield from read_csv(chain((first,), source), file, row_format))


_BLOCK = 1000
"""The lines of a block."""

_LONGEST_CELL = 131_072
"""Characters; the `csv` module accepts no longer cells by default."""

_UNUSUAL = frozenset('"\r\0\ufffd')
"""What a simple header does not have."""


def _simple_cells(
    lines: Sequence[bytes], delimiter: str, width: int, index: int
) -> Sequence[str] | None:
    """Return the cells of a column of simple lines; None if one of the lines is not simple."""
    if max(map(len, lines)) > _LONGEST_CELL:
        return None
    try:
        text = b"".join(lines).decode()
    except UnicodeDecodeError:
        return None
    if '"' in text or "\0" in text or text.count("\r") != text.count("\r\n"):
        return None
    cells = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if width > 1:
        records = [line.split(delimiter) for line in cells]
        if any(len(record) != width for record in records):
            return None
        cells = [record[index] for record in records]
    elif delimiter in text:
        return None
    return cells if all(cells) else None


def _moved_down(rows: Rows, lines: int) -> Rows:
    """Return rows with their positions as they are in a file with so many more lines before."""
    for row in rows:
        if place := row.position:
            yield row._replace(position=place._replace(line=place.line + lines))


_DELIMITER_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


def _count_cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _check_header(
    header: Sequence[str], file: str, number: int, delimiter: str
) -> Iterator[Problem]:
    if header[0].lower().startswith("sep="):
        message = "`sep=` is an instruction for Excel, not a header; remove this line"
        yield _problem(file, number, message, "header")
        return
    other = next((mark for mark in ",;\t|" if mark != delimiter and mark in header[0]), "")
    if len(header) == 1 and other:
        verb = "add" if delimiter == "," else "write"
        written = "tab" if other == "\t" else f'"{other}"'
        remedy = "leave out `delimiter`" if other == "," else f"{verb} `delimiter: {written}`"
        name = _DELIMITER_NAMES.get(other, f"`{other}`")
        message = f"the header is a single column with {name} in it; {remedy}"
        yield _problem(file, number, message, "header")
        return
    if len(header) > input_limits.COLUMNS.value:
        yield _problem(file, number, f"the header {input_limits.COLUMNS.error}", "header")
        return
    seen: set[str] = set()
    for index, name in enumerate(header):
        if not name:
            message = f"column {index + 1} has no name in the header"
        elif name != name.strip():
            # With a space behind each comma, the cells begin with a space too.
            column = quote_column(name, index)
            message = f"{column} has spaces around its name; remove them, in cells too"
        elif name in seen:
            message = f"{quote_column(name, index)} is in the header twice"
        else:
            seen.add(name)
            continue
        yield _problem(file, number, message, "header")


_COLUMN_NAME = re.compile(r"[\w .-]{1,60}")


def quote_column(name: str, index: int) -> str:
    """Name a column in a message. What is not like a name may be other content of the file."""
    return f"the column `{name}`" if _COLUMN_NAME.fullmatch(name) else f"column {index + 1}"


def column_names(columns: Iterable[str]) -> list[str]:
    """Return the first names of columns for a message, without those that are not like a name."""
    return [name for name in islice(columns, _SHOWN_COLUMNS) if _COLUMN_NAME.fullmatch(name)]


_SHOWN_COLUMNS = 20
"""The most columns that a message names."""


def _csv_records(
    lines: Iterable[bytes], file: str, row_format: RowFormat
) -> Iterator[tuple[int, list[str] | Problem]]:
    """Yield the cells of each record, with the number of the line that it begins in."""
    import csv  # noqa: PLC0415 -- few playbooks need it, and the start counts

    problems: list[Problem] = []
    quoted: list[str] = []
    delimiter, encoding = row_format
    texts = _collect_quoted(_decode_lines(lines, file, problems, encoding), quoted)
    reader = csv.reader(texts, strict=True, delimiter=delimiter)
    number = 1
    while True:
        try:
            for cells in reader:
                if quoted or problems:
                    is_stray = not problems and _has_stray_quote(cells, quoted, delimiter)
                    problem = _problem(file, number, _STRAY_QUOTE) if is_stray else None
                    problem = problems[0] if problems else problem
                    quoted.clear()
                    problems.clear()
                    if problem or any(cells):
                        yield number, problem or cells
                elif cells and (cells[0] or any(cells)):  # `any` alone takes longer
                    yield number, cells
                number = reader.line_num + 1
        except csv.Error as error:
            message = _csv_message(str(error), is_multiline=len(quoted) > 1)
            yield number, problems[0] if problems else _problem(file, number, message)
            quoted.clear()
            problems.clear()
            number = reader.line_num + 1
        else:
            yield from ((number, problem) for problem in problems)
            return


def _collect_quoted(lines: Iterator[str], quoted: list[str]) -> Iterator[str]:
    """Copy the lines of a record to `quoted`, from its first quote on.

    The consumer clears the list after each record. Ends when a record exceeds `LINE_LIMIT`, which
    bounds the memory for a quote that is never closed.
    """
    size = 0
    for line in lines:
        if quoted or '"' in line:
            size = size + len(line) if quoted else len(line)
            if size > LINE_LIMIT:
                return
            quoted.append(line)
        yield line


_STRAY_QUOTE = (
    'a cell that contains a quote must be in quotes, with the quote doubled: "5"" screen"'
)


@cache
def _quoted_cell(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf'(?<![^{re.escape(delimiter)}])"[^"]*+(?:""[^"]*+)*+"')


def _has_stray_quote(cells: Iterable[str], lines: Iterable[str], delimiter: str) -> bool:
    """Find a quote in an unquoted cell, which `csv` accepts even in strict mode."""
    is_quote_in_cell = '"' in "".join(cells)
    return is_quote_in_cell and '"' in _quoted_cell(delimiter).sub("", "".join(lines))


def _csv_message(error: str, *, is_multiline: bool) -> str:
    if "unexpected end" in error:
        return "a quote opens in this row and is never closed"
    if "field limit" in error:
        limit = f"{_LONGEST_CELL:,} characters"
        if is_multiline:
            return f"a quote opens in this row and is not closed within {limit}"
        return f"a cell is longer than {limit}; put long messages into files and use `dataFile`"
    if "new-line" in error:
        return "a lone carriage return; save the file with line breaks of LF or CRLF"
    return f"text follows a closing quote; {_STRAY_QUOTE}"


def read_ndjson(
    lines: Iterable[bytes], file: str, row_format: RowFormat = DEFAULT_FORMAT
) -> ReadRows:
    """Read a file with one JSON value in each line: objects, or single values."""
    problems: list[Problem] = []
    texts = _decode_lines(lines, file, problems, row_format.encoding)
    for number, line in enumerate(texts, start=1):
        if problems:
            yield problems.pop()
        elif line.strip():
            try:
                yield Row(_json_cells(_parse_json(line)), Position(file, number))
            except ValueError as error:
                yield _problem(file, number, str(error))
    yield from problems
    return ()


def _parse_json(line: str) -> Any:  # noqa: ANN401 -- any JSON value; numbers as in the source
    try:
        return _DECODER.decode(line.strip())
    except json.JSONDecodeError as error:
        message = f"this is not JSON: {error.msg} at character {error.pos + 1}"
        raise ValueError(message) from None
    except RecursionError:
        raise ValueError("this is nested too deeply") from None


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for index, (key, _) in enumerate(pairs):
            if key in seen:
                raise ValueError(f"{quote_column(key, index)} is here twice")
            seen.add(key)
    return made


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"this is not JSON: it has no {name}")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_make_object, parse_int=str, parse_float=str, parse_constant=_refuse_constant
)
_LITERALS: Mapping[Any, str] = MappingProxyType({True: "true", False: "false", None: ""})


def _json_cells(value: object) -> dict[str, str]:
    cells: dict[str, Any] = value if isinstance(value, dict) else {VALUE_COLUMN: value}
    for index, (key, cell) in enumerate(cells.items()):
        if type(cell) is not str:
            if isinstance(cell, list | dict):
                name = quote_column(key, index) if key else "a row"
                raise ValueError(f"{name} is a single value, not {describe_type(cell)}")
            cells[key] = _LITERALS[cell]
        elif has_surrogate(cell):
            raise ValueError("it has half of a surrogate pair, which is not a character")
    return cells


def read_document(document: Document) -> Rows:
    """Read the rows of a JSON or YAML document: a list of mappings or of single values."""
    if not isinstance(document.data, list):
        message = f"a file of rows is a list, not {describe_type(document.data)}"
        yield document.problem(message, "row", ())
        return
    for index, row in enumerate(document.data):
        file, line, _ = document.position((index,))
        if nesting := _nesting_error(row):
            yield _problem(file, line, nesting)
        else:
            paths = _cell_paths(row, (index,))
            yield Row(_source_cells(document, paths), Position(file, line))


def _nesting_error(row: object) -> str | None:
    if isinstance(row, list):
        return "a row is a mapping or a single value, not a list"
    for key, cell in row.items() if isinstance(row, dict) else ():
        if isinstance(cell, list | dict):
            return f"`{key}` is a single value, not {describe_type(cell)}"
    return None


FillFunction = Callable[[str, Path], str]
"""Fills in the variables of the text at a path of the playbook."""


def inline_rows(document: Document, path: Path, fill: FillFunction | None) -> Iterator[Row]:
    """Read the rows of the list at a path; `fill` applies to strings."""
    for index, row in enumerate(document.value_at(path)):
        row_path = (*path, index)
        paths = _cell_paths(row, row_path)
        cells = _source_cells(document, paths, fill)
        yield Row(cells, document.position(row_path), paths)


class Axis(NamedTuple):
    """The values of one column of a matrix.

    Attributes:
        values: The values.
        place_of: Returns the place of a value by its index.
    """

    values: Sequence[str]
    place_of: Callable[[int], Place]


def single_values(rows: Iterator[Item], column: str | None, name: str) -> Iterator[Item]:
    """Make rows of single values from one column of rows; a problem of each row without it.

    Blocks, which are of one column, are returned as they are.

    Args:
        rows: The rows of one source.
        column: The column, or None for the only one.
        name: The source in messages.

    Raises:
        InputError: The first row has no such column; raised when a row is requested.
    """
    is_first = True
    for row in rows:
        if isinstance(row, Problem | CellBlock):
            yield row
            continue
        cells, position, places = row
        if column is None:
            column = _only_column(cells, name)
        if column in cells:
            place = {VALUE_COLUMN: places[column]} if places else None
            yield Row({VALUE_COLUMN: cells[column]}, position, place)
        elif is_first:
            known = column_names(cells)
            there = f"; there is {join_names(known, 'and')}" if any(known) else ""
            raise InputError(f"{name} has no column `{column}`{there}")
        else:
            yield Problem(missing_column_error(column, cells), "row", position)
        is_first = False


def missing_column_error(column: str, cells: Collection[str]) -> str:
    """Return what is wrong with a row that lacks a column of the rows before it."""
    if column == VALUE_COLUMN or VALUE_COLUMN in cells:
        return MIXED_ROWS
    return f"the row has no `{column}`"


def read_axis(rows: Iterable[Row], name: str) -> Axis:
    """Take the values out of rows of single values, in little more memory than their text.

    Args:
        rows: The rows of one source.
        name: The source in messages.

    Raises:
        InputError: There are too many values.
    """
    values: list[str] = []
    lines, columns = array("L"), array("L")
    file, size = "", 0
    for row in rows:
        value = row.cells[VALUE_COLUMN]
        values.append(value)
        size += len(value)
        for limit, count in ((input_limits.MATRIX, len(values)), (input_limits.MATRIX_TEXT, size)):
            if count > limit.value:
                raise InputError(f"{name} {limit.error}")
        file = row.position.file
        lines.append(row.position.line)
        columns.append(row.position.column)
    return Axis(values, lambda index: Position(file, lines[index], columns[index]))


def _only_column(cells: Mapping[str, str], name: str) -> str:
    if len(cells) == 1:
        return next(iter(cells))
    known = column_names(cells)
    example = known[0] if known else "NAME"
    raise InputError(f"{name} has several columns; name one of them: `column: {example}`")


def matrix_size(sizes: Sequence[int]) -> int:
    """Return the number of rows of a matrix, or some number above the limit."""
    product_size = 0 if 0 in sizes else 1
    for size in sizes:
        product_size *= size
        if product_size > input_limits.MATRIX.value:
            break
    return product_size


def matrix_size_error(sizes: Sequence[int]) -> str | None:
    """Return what is wrong with a matrix whose columns have so many values, or None."""
    limit = input_limits.MATRIX
    if matrix_size(sizes) <= limit.value:
        return None
    factors = " x ".join(f"{size:,}" for size in sizes[:_SHOWN_COLUMNS])
    message = f"the matrix has {factors} rows; at most {limit.value:,} are allowed"
    return f"{message}; {limit.remedy}"


def matrix_rows(document: Document, axes: Mapping[str, Axis]) -> Iterator[Row]:
    """Yield all combinations of the values of axes."""
    for indexes in product(*(range(len(axis.values)) for axis in axes.values())):
        pairs = tuple(zip(axes.items(), indexes, strict=True))
        places = {column: axis.place_of(index) for (column, axis), index in pairs}
        place = next(iter(places.values()))
        yield Row(
            {column: axis.values[index] for (column, axis), index in pairs},
            place if isinstance(place, Position) else document.position(place),
            places,
        )


MIXED_ROWS = "rows are all single values or all mappings; this one is unlike the first"


def list_errors(rows: Sequence[Any]) -> Iterator[tuple[Path, str]]:
    """Yield the place and the error of each item of a list that is no row."""
    for index, row in enumerate(rows):
        if isinstance(row, list):
            yield (index,), "a row is a single value, or a mapping of column to value, not a list"
        elif isinstance(row, dict) is not isinstance(rows[0], dict):
            yield (index,), MIXED_ROWS
        for key, cell in row.items() if isinstance(row, dict) else ():
            if isinstance(cell, list | dict):
                yield (index, key), f"a cell is a single value, not {describe_type(cell)}"


def _cell_paths(row: object, path: Path) -> dict[str, Path]:
    if isinstance(row, dict):
        return {column: (*path, column) for column in row}
    return {VALUE_COLUMN: path}


def _source_cells(
    document: Document, paths: Mapping[str, Path], fill: FillFunction | None = None
) -> dict[str, str]:
    """Return cells as in the source, null as an empty text; `fill` applies to strings."""
    cells = {}
    for column, path in paths.items():
        value = document.value_at(path)
        cells[column] = "" if value is None else document.source_text(path)
        if fill is not None and isinstance(value, str):
            cells[column] = fill(cells[column], path)
    return cells


def _problem(file: str, line: int, message: str, rule: str = "row") -> Problem:
    return Problem(shorten(message), rule, Position(file, line))
