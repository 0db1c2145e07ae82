"""A row of `forEach`, and what the core asks of the files that a playbook names.

Rows for `forEach`: from the lines of a file, or from the playbook itself, one at a time.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple, Never, Protocol

from wps_run.document.document import Document, Path
from wps_run.playbook.messages import describe_type
from wps_run.problems import Position, Problem

VALUE_COLUMN = ""
"""The one column of rows that are single values. No column of a file has this name."""


class Row(NamedTuple):
    """One row. A tuple, since there are many of them: it is made in half the time.

    Attributes:
        cells: Column to cell; a single value is in the column `VALUE_COLUMN`.
        position: Where it begins. Of a row in a file only the line.
        paths: Column to the path of its cell in the playbook; None for a row of a file.
    """

    cells: Mapping[str, str]
    position: Position
    paths: Mapping[str, Path] | None = None


Rows = Iterator[Row | Problem]
"""Rows, and in the place of each that cannot be read what is wrong with it."""


class InputError(Exception):
    """A file that a playbook names cannot be read. The message says why."""


class Inputs(Protocol):
    """Gives what is in the files that a playbook names; `inputs` has the real one."""

    def rows(self, name: str) -> Rows:
        """The rows of a file, from its beginning.

        Raises:
            InputError: It cannot be read; when the first row is asked for, or later.
        """

    def data(self, name: str) -> bytes:
        """The bytes of a message.

        Raises:
            InputError: It cannot be read, is too long, or lies outside of the playbook's folder.
        """


class NoInputs:
    """Stands where there is no file system."""

    def rows(self, name: str) -> Rows:
        """Refuse."""
        raise InputError(f"`{name}` cannot be read here")

    def data(self, name: str) -> bytes:
        """Refuse."""
        raise InputError(f"`{name}` cannot be read here")


LINE_LIMIT = 8 * 1024 * 1024
"""Bytes of the longest line, and characters of the longest CSV record, that are read."""

BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def decode_lines(lines: Iterable[bytes], file: str) -> Iterator[tuple[int, str | Problem]]:
    """Number and text of each line, its line break included, without a byte order mark."""
    for number, raw in enumerate(lines, start=1):
        line = raw.removeprefix(BOM) if number == 1 else raw
        if number == 1 and (line[:2] in _UTF_16 or b"\0" in line[:2]):
            yield number, _fault(file, number, "the file is UTF-16; save it as UTF-8", "encoding")
            return
        if len(line) >= LINE_LIMIT:
            message = f"the line is longer than {LINE_LIMIT // 1024 // 1024} MiB"
            yield number, _fault(file, number, message, "row")
            return
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            message = f"the byte 0x{line[error.start]:02X} is not UTF-8; save the file as UTF-8"
            yield number, _fault(file, number, message, "encoding")


_QUOTED = r'"[^"]*+(?:""[^"]*+)*+'
_CELL = re.compile(rf'(?:({_QUOTED}")|([^",\r\n]*))(,|\Z)')
_OPEN = re.compile(rf'(?:(?:{_QUOTED}"|[^",\r\n]*),)*{_QUOTED}\Z')
"""A line whose last cell is quoted and goes on in the next line."""


def read_csv(lines: Iterable[bytes], file: str) -> Rows:
    """The rows of a CSV file: RFC 4180 with LF or CRLF, the first record is the header.

    Lines without anything are skipped; a record is named by the line that it begins in.
    """
    records = _records(decode_lines(lines, file), file)
    number, header = next(records, (1, _fault(file, 1, "the file is empty", "row")))
    faults = [header] if isinstance(header, Problem) else list(_header_faults(header, file, number))
    if faults or isinstance(header, Problem):
        yield from faults
        return
    width = len(header)
    for number, cells in records:
        if isinstance(cells, Problem):
            yield cells
        elif len(cells) == width:
            yield Row(dict(zip(header, cells, strict=True)), Position(file, number))
        else:
            message = f"the header has {_cells_text(width)}, this row has {len(cells)}"
            hint = "; a cell that holds a comma needs quotes" if len(cells) > width else ""
            yield _fault(file, number, message + hint, "row")


def _cells_text(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _header_faults(header: Sequence[str], file: str, number: int) -> Iterator[Problem]:
    for place, name in enumerate(header):
        if not name:
            message = f"column {place + 1} has no name in the header"
        elif name != name.strip():
            # Whoever puts a blank behind each comma has it in the cells, too: part of every name.
            message = f"the column `{name}` has blanks around its name; take them out, of cells too"
        elif name in header[:place]:
            message = f"the column `{name}` is in the header twice"
        else:
            continue
        yield _fault(file, number, message, "header")


def _records(
    lines: Iterator[tuple[int, str | Problem]], file: str
) -> Iterator[tuple[int, list[str] | Problem]]:
    """The cells of each record, with the number of the line that it begins in."""
    for number, line in lines:
        if isinstance(line, Problem):
            yield number, line
            continue
        text = line.removesuffix("\n").removesuffix("\r")
        if not text:
            continue
        if '"' not in text and "\r" not in text:
            yield number, text.split(",")
            continue
        record: str | Problem = text
        if text.count('"') % 2 and _OPEN.match(line):
            record = _gathered(line, lines, file, number)
        if isinstance(record, Problem):
            yield number, record
        else:
            yield number, _cells(record) or _fault(file, number, _malformed(record), "row")


def _gathered(
    first: str, lines: Iterator[tuple[int, str | Problem]], file: str, number: int
) -> str | Problem:
    """A record that goes on over line breaks within quotes."""
    parts, size, fault = [first], len(first), None
    for _, line in lines:
        if isinstance(line, Problem):
            fault = fault or line
            continue
        parts.append(line)
        size += len(line)
        if line.count('"') % 2:
            return fault or "".join(parts).removesuffix("\n").removesuffix("\r")
        if size >= LINE_LIMIT:
            break
    return fault or _fault(file, number, "a quote opens in this row and is never closed", "row")


def _cells(record: str) -> list[str] | None:
    """The cells of a record with quotes, or None when it is malformed."""
    cells: list[str] = []
    end = 0
    while found := _CELL.match(record, end):
        quoted, plain, comma = found.groups()
        cells.append(plain if quoted is None else quoted[1:-1].replace('""', '"'))
        if not comma:
            return cells
        end = found.end()
    return None


def _malformed(record: str) -> str:
    if "\r" in re.sub(f'{_QUOTED}"', "", record).replace("\r\n", "\n"):
        return "a lone carriage return; save the file with line breaks of LF or CRLF"
    return (
        'a cell with a quote in it is wholly in quotes, and the quote is doubled: "5"" screen"; '
        "between a closing quote and the comma nothing may stand"
    )


def read_ndjson(lines: Iterable[bytes], file: str) -> Rows:
    """The rows of a file with one JSON value a line: objects, or single values."""
    for number, line in decode_lines(lines, file):
        if isinstance(line, Problem):
            yield line
        elif line.strip():
            try:
                yield Row(_json_cells(_json(line)), Position(file, number))
            except ValueError as error:
                yield _fault(file, number, str(error), "row")


def _json(line: str) -> Any:  # noqa: ANN401 -- what JSON holds; numbers as they are written
    try:
        return _DECODER.decode(line.strip())
    except json.JSONDecodeError as error:
        message = f"this is not JSON: {error.msg} at character {error.pos + 1}"
        raise ValueError(message) from None
    except RecursionError:
        raise ValueError("this is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key `{twice}` is here twice")
    return found


def _no_constant(name: str) -> Never:
    raise ValueError(f"this is not JSON: it has no {name}")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=_no_constant
)
_WORDS: Mapping[Any, str] = MappingProxyType({True: "true", False: "false", None: ""})
_SURROGATE = re.compile("[\ud800-\udfff]")


def _json_cells(value: object) -> dict[str, str]:
    cells: dict[str, Any] = value if isinstance(value, dict) else {VALUE_COLUMN: value}
    for key, cell in cells.items():
        if type(cell) is not str:
            if isinstance(cell, list | dict):
                what = f"`{key}`" if key else "a row"
                raise ValueError(f"{what} is a single value, not {describe_type(cell)}")
            cells[key] = _WORDS[cell]
        elif not cell.isascii() and _SURROGATE.search(cell):
            raise ValueError("it has half of a surrogate pair, which is no character")
    return cells


def read_document(document: Document) -> Rows:
    """The rows of a JSON or YAML file that was read whole: a list of mappings or of values."""
    if not isinstance(document.data, list):
        message = f"a file of rows is a list, not {describe_type(document.data)}"
        yield document.problem(message, "row", ())
        return
    for number, row in enumerate(document.data):
        place = document.position((number,))
        position = Position(place.file, place.line)
        nested = _nested(row)
        if nested:
            yield Problem(nested, "row", position)
        elif isinstance(row, dict):
            cells = {
                key: document.source_text((number, key)) for key in row if row[key] is not None
            }
            yield Row({key: cells.get(key, "") for key in row}, position)
        else:
            cell = "" if row is None else document.source_text((number,))
            yield Row({VALUE_COLUMN: cell}, position)


def _nested(row: object) -> str | None:
    if isinstance(row, list):
        return "a row is a mapping or a single value, not a list"
    for key, cell in row.items() if isinstance(row, dict) else ():
        if isinstance(cell, list | dict):
            return f"`{key}` is a single value, not {describe_type(cell)}"
    return None


Fill = Callable[[str, Path], str]
"""Fills the variables in a text that stands at a path of the playbook."""


def inline_rows(document: Document, path: Path, fill: Fill) -> Iterator[Row]:
    """The rows that stand in the playbook, as a list or as a matrix.

    Args:
        document: The playbook.
        path: Where its `forEach` is.
        fill: Fills in the variables of a cell.
    """
    value = document.value_at(path)
    if isinstance(value, list):
        for number, row in enumerate(value):
            own = (*path, number)
            paths = (
                {key: (*own, key) for key in row} if isinstance(row, dict) else {VALUE_COLUMN: own}
            )
            yield Row(_written(document, paths, fill), document.position(own), paths)
        return
    matrix: dict[str, list[Any]] = value["matrix"]
    axes = [
        [
            (key, place, next(iter(_written(document, {key: place}, fill).values())))
            for place in ((*path, "matrix", key, number) for number in range(len(values)))
        ]
        for key, values in matrix.items()
    ]
    for combined in product(*axes):
        yield Row(
            {key: cell for key, _, cell in combined},
            document.position(combined[0][1]),
            {key: place for key, place, _ in combined},
        )


def _written(document: Document, paths: Mapping[str, Path], fill: Fill) -> dict[str, str]:
    """Cells as they stand in the source; a null is empty, strings have their variables filled."""
    cells = {}
    for key, path in paths.items():
        value = document.value_at(path)
        cells[key] = "" if value is None else document.source_text(path)
        if isinstance(value, str):
            cells[key] = fill(cells[key], path)
    return cells


def _fault(file: str, line: int, message: str, rule: str) -> Problem:
    return Problem(message, rule, Position(file, line))
