"""Read the rows of `forEach`, one at a time, from a CSV, NDJSON, JSON or YAML file or the playbook.

A row that cannot be read is a `Problem` in its place, so that one bad row does not hide the others.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, product
from types import MappingProxyType
from typing import Any, NamedTuple, Never, Protocol

from wps_run import input_limits
from wps_run.document.document import Document, Path
from wps_run.document.loader import BOM, UTF_16, UTF_16_ERROR, utf8_error
from wps_run.playbook.messages import describe_type
from wps_run.problems import Position, Problem, shorten
from wps_run.text import has_surrogate

VALUE_COLUMN = ""
"""The only column of rows that are single values. No column of a file has this name."""

LINE_LIMIT = input_limits.LINE.value
"""The longest line in bytes, and the longest CSV record in characters, that is read."""


class Row(NamedTuple):
    """One row. A tuple is made in half the time of a dataclass, and there may be millions.

    Attributes:
        cells: Column to cell; a single value is in the column `VALUE_COLUMN`.
        position: Where it begins; the line only for a row of a file.
        paths: Column to the path of its cell in the playbook; None for a row of a file.
    """

    cells: Mapping[str, str]
    position: Position
    paths: Mapping[str, Path] | None = None


Rows = Iterator[Row | Problem]
"""Rows, and a problem in place of each row that cannot be read."""


class InputError(Exception):
    """A file that a playbook names cannot be read. The message says why."""


class Inputs(Protocol):
    """The files that a playbook names; implemented by `files.Files`."""

    def rows(self, name: str) -> Rows:
        """Return the rows of a file, from its beginning.

        Raises:
            InputError: The file cannot be read; raised when a row is requested.
        """

    def data(self, name: str) -> bytes:
        """Return the content of a message file.

        Raises:
            InputError: The file cannot be read, is too long, or is outside the playbook's folder.
        """


class _NoInputs:
    def rows(self, name: str) -> Rows:
        raise InputError(f"`{name}` cannot be read here")

    def data(self, name: str) -> bytes:
        raise InputError(f"`{name}` cannot be read here")


NO_INPUTS: Inputs = _NoInputs()
"""Inputs without a file system: every file is refused."""


def _decode_lines(lines: Iterable[bytes], file: str, problems: list[Problem]) -> Iterator[str]:
    """Decode lines of UTF-8, with their line breaks and without a byte order mark.

    Appends a problem to `problems` before it yields a line that is not UTF-8, with replacement
    characters. Ends, after a problem, at a line that is too long or when the file is UTF-16.
    """
    source = iter(lines)
    first = next(source, b"").removeprefix(BOM)
    if first.startswith(UTF_16) or b"\0" in first[:2]:
        problems.append(_problem(file, 1, UTF_16_ERROR, "encoding"))
        return
    for number, line in enumerate(chain((first,), source), start=1):
        if len(line) >= LINE_LIMIT:
            message = f"the line is longer than {LINE_LIMIT // 1024 // 1024} MiB"
            problems.append(_problem(file, number, message))
            return
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            problems.append(_problem(file, number, utf8_error(line[error.start]), "encoding"))
            text = line.decode(errors="replace")
        yield text


def read_csv(lines: Iterable[bytes], file: str) -> Rows:
    """Read a CSV file: RFC 4180 with LF or CRLF; the first record is the header.

    Empty lines are skipped. The position of a record is the line that it begins in.
    """
    records = _csv_records(lines, file)
    number, header = next(records, (1, _problem(file, 1, "the file is empty")))
    if isinstance(header, Problem):
        yield header
        return
    problems = list(_check_header(header, file, number))
    if problems:
        yield from problems
        return
    width = len(header)
    for number, cells in records:
        if isinstance(cells, Problem):
            yield cells
        elif len(cells) == width:
            yield Row(dict(zip(header, cells, strict=True)), Position(file, number))
        else:
            message = f"the header has {_count_cells(width)}, this row has {len(cells)}"
            hint = "; a cell that holds a comma needs quotes" if len(cells) > width else ""
            yield _problem(file, number, message + hint)


def _count_cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _check_header(header: Sequence[str], file: str, number: int) -> Iterator[Problem]:
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


def _csv_records(lines: Iterable[bytes], file: str) -> Iterator[tuple[int, list[str] | Problem]]:
    """Yield the cells of each record, with the number of the line that it begins in."""
    problems: list[Problem] = []
    quoted: list[str] = []
    texts = _collect_quoted(_decode_lines(lines, file, problems), quoted)
    reader = csv.reader(texts, strict=True)
    number = 1
    while True:
        try:
            for cells in reader:
                if quoted or problems:
                    problem = problems[0] if problems else _stray_quote(cells, quoted, file, number)
                    quoted.clear()
                    problems.clear()
                    yield number, problem or cells
                elif cells:
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


_QUOTED_CELL = re.compile(r'(?<![^,])"[^"]*+(?:""[^"]*+)*+"')
_STRAY_QUOTE = (
    'a cell that contains a quote must be in quotes, with the quote doubled: "5"" screen"'
)


def _stray_quote(
    cells: Iterable[str], lines: Iterable[str], file: str, number: int
) -> Problem | None:
    """Find a quote in an unquoted cell, which `csv` accepts even in strict mode."""
    if '"' in "".join(cells) and '"' in _QUOTED_CELL.sub("", "".join(lines)):
        return _problem(file, number, _STRAY_QUOTE)
    return None


def _csv_message(error: str, *, is_multiline: bool) -> str:
    if "unexpected end" in error:
        return "a quote opens in this row and is never closed"
    if "field limit" in error:
        limit = f"{csv.field_size_limit():,} characters"
        if is_multiline:
            return f"a quote opens in this row and is not closed within {limit}"
        return f"a cell is longer than {limit}; put long messages into files and use `dataFile`"
    if "new-line" in error:
        return "a lone carriage return; save the file with line breaks of LF or CRLF"
    return f"text follows a closing quote; {_STRAY_QUOTE}"


def read_ndjson(lines: Iterable[bytes], file: str) -> Rows:
    """Read a file with one JSON value in each line: objects, or single values."""
    problems: list[Problem] = []
    for number, line in enumerate(_decode_lines(lines, file, problems), start=1):
        if problems:
            yield problems.pop()
        elif line.strip():
            try:
                yield Row(_json_cells(_parse_json(line)), Position(file, number))
            except ValueError as error:
                yield _problem(file, number, str(error))
    yield from problems


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
            raise ValueError("it has half of a surrogate pair, which is no character")
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


def inline_rows(document: Document, path: Path, fill: FillFunction) -> Iterator[Row]:
    """Read the rows of the `forEach` at a path, a list or a matrix in the playbook itself."""
    value = document.value_at(path)
    if isinstance(value, list):
        for index, row in enumerate(value):
            row_path = (*path, index)
            paths = _cell_paths(row, row_path)
            yield Row(_source_cells(document, paths, fill), document.position(row_path), paths)
        return
    matrix: dict[str, list[Any]] = value["matrix"]
    axes = [
        [(column, (*path, "matrix", column, index)) for index in range(len(values))]
        for column, values in matrix.items()
    ]
    for combination in product(*axes):
        paths = dict(combination)
        position = document.position(combination[0][1])
        yield Row(_source_cells(document, paths, fill), position, paths)


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
