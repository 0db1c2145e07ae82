"""The schemas of `forEach` and `dataFile`, and error messages for `forEach` and `${each}`."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from wps_run.document.document import Path
from wps_run.playbook.messages import describe_type, join_names
from wps_run.playbook.rows import VALUE_COLUMN, column_names
from wps_run.playbook.variables import row_references
from wps_run.problems import did_you_mean

SUFFIXES = (".csv", ".ndjson", ".jsonl", ".json", ".yaml", ".yml")
_SUFFIX_PATTERN = (
    r"\.(?:"
    + "|".join("".join(f"[{c}{c.upper()}]" for c in suffix[1:]) for suffix in SUFFIXES)
    + r")$(?!\n)"
)
_CELL: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]
}
FOR_EACH_SCHEMA: Mapping[str, Any] = {
    "description": "Run the action once for each row: a list of values (`${each}`), a list of "
    "mappings (`${each.column}`), `{file: rows.csv}`, or `{matrix: {user: […], room: […]}}`.",
    "anyOf": [
        {"type": "array", "items": _CELL},
        {"type": "array", "items": {"type": "object", "additionalProperties": _CELL}},
        {
            "type": "object",
            "required": ["file"],
            "additionalProperties": False,
            "properties": {
                "file": {
                    "type": "string",
                    "description": "A file of rows, relative to the playbook: .csv with a header, "
                    ".ndjson or .jsonl, .json, .yaml or .yml.",
                    "pattern": rf"\$\{{|{_SUFFIX_PATTERN}",
                }
            },
        },
        {
            "type": "object",
            "required": ["matrix"],
            "additionalProperties": False,
            "properties": {
                "matrix": {
                    "type": "object",
                    "description": "Column to its values; the rows are all combinations.",
                    "minProperties": 1,
                    "additionalProperties": {"type": "array", "items": _CELL},
                }
            },
        },
    ],
}
DATA_FILE_SCHEMA: Mapping[str, Any] = {
    "type": "string",
    "description": "A file whose content is sent instead of `data`; relative to the playbook "
    "and inside its folder. UTF-8 for `text` and `json`, any bytes for `binary`; at most "
    "1 MiB.",
    "minLength": 1,
}

_PIPE_PREFIXES = ("-", "/dev/")

SAVE_FIRST = "save it to a file first, so that every row is checked before anything is sent"
_MIXED_ROWS = "rows are all single values or all mappings; this one is unlike the first"


def file_name_error(name: str) -> str | None:
    """Return what is wrong with the name of a file of rows, or None."""
    if name.lower().endswith(SUFFIXES):
        return None
    if name.startswith(_PIPE_PREFIXES):
        return f"`{name}` can be read only once, and rows are read twice; {SAVE_FIRST}"
    return f"`file` must end in {join_names(SUFFIXES)}, which selects the format"


def for_each_error(value: object) -> tuple[Path, str]:
    """Explain why a `forEach` does not match its schema.

    Returns:
        The path of the wrong value below `forEach`, and the message.
    """
    if isinstance(value, list):
        return _list_error(value)
    if not isinstance(value, dict):
        hint = ""
        if isinstance(value, str) and value.lower().endswith(SUFFIXES):
            hint = f"; for a file write `forEach: {{file: {value}}}`"
        return (), (
            "`forEach` must be a list of rows, `{file: rows.csv}`, or `{matrix: {…}}`, "
            f"not {describe_type(value)}{hint}"
        )
    if len(value) == 1 and "file" in value:
        name = value["file"]
        message = file_name_error(name) if isinstance(name, str) else None
        return ("file",), message or f"`file` must be the name of a file, not {describe_type(name)}"
    if len(value) == 1 and "matrix" in value:
        path, message = _matrix_error(value["matrix"])
        return ("matrix", *path), message
    for key in value:
        if key not in {"file", "matrix"}:
            near = did_you_mean(key, ["file", "matrix"])
            return (key,), f"`forEach` has no `{key}`{near or '; it has `file` or `matrix`'}"
    return (), "`forEach` has either `file` or `matrix`"


def _list_error(rows: list[Any]) -> tuple[Path, str]:
    for index, row in enumerate(rows):
        if isinstance(row, list):
            return (index,), "a row is a single value, or a mapping of column to value, not a list"
        for key, cell in row.items() if isinstance(row, dict) else ():
            if isinstance(cell, list | dict):
                return (index, key), f"a cell is a single value, not {describe_type(cell)}"
    first = isinstance(rows[0], dict)
    other = next(index for index, row in enumerate(rows) if isinstance(row, dict) is not first)
    return (other,), _MIXED_ROWS


def _matrix_error(matrix: object) -> tuple[Path, str]:
    expected = "`matrix` is a mapping of column to a list of its values"
    if not isinstance(matrix, dict):
        return (), f"{expected}, not {describe_type(matrix)}"
    for key, values in matrix.items():
        if not isinstance(values, list):
            return (key,), f"{expected}; write `{key}: […]`"
        for index, cell in enumerate(values):
            if isinstance(cell, list | dict):
                return (key, index), f"a cell is a single value, not {describe_type(cell)}"
    return (), f"{expected}; this one is empty"


def columns_of(for_each: object) -> Collection[str] | None:
    """Return the columns of rows in the playbook; None when only the file can tell."""
    if isinstance(for_each, list):
        if not for_each:
            return None
        return for_each[0].keys() if isinstance(for_each[0], dict) else (VALUE_COLUMN,)
    if isinstance(for_each, dict):
        return for_each["matrix"].keys() if "matrix" in for_each else None
    return ()


def column_error(column: str, columns: Collection[str], file: str | None = None) -> str | None:
    """Return what is wrong with a `${each.column}`, or None.

    Args:
        column: The column that it names; `VALUE_COLUMN` for a bare `${each}`.
        columns: The columns of the rows; empty when the action has no `forEach`.
        file: The file of rows, or None when they are in the playbook.
    """
    if column in columns:
        return None
    if not columns:
        return "stands for a row of `forEach`, and this action has none"
    if VALUE_COLUMN in columns:
        return "names a column, and these rows are single values; write `${each}`"
    known = column_names(columns)
    if column == VALUE_COLUMN:
        example = known[0] if known else "column"
        return f"is a whole row, and rows have columns; write `${{each.{example}}}`"
    listed = join_names(known, "and") if known else "no column with a plain name"
    more = f" ({len(columns) - len(known):,} more)" if len(columns) > len(known) > 0 else ""
    hint = did_you_mean(column, known) or f"; there is {listed}{more}"
    if file and len(columns) == 1 and any(mark in next(iter(columns)) for mark in ";\t|"):
        hint = "; its header has no comma, and only comma-separated files are supported"
    return f"names no column{f' of `{file}`' if file else ''}{hint}"


def missing_column_error(column: str, cells: Collection[str]) -> str:
    """Return what is wrong with a row that lacks a column of the rows before it."""
    if column == VALUE_COLUMN or VALUE_COLUMN in cells:
        return _MIXED_ROWS
    return f"the row has no `{column}`"


def invalid_references(
    item: Mapping[str, Any], columns: Collection[str] | None = None, file: str | None = None
) -> Iterator[tuple[Path, str, str]]:
    """Yield the path, the text and the error of each invalid `${each…}` in an action.

    Args:
        item: The action as in the playbook.
        columns: The columns of its rows if they were read; None to take them from the playbook.
        file: The file of the rows, or None.
    """
    if columns is None:
        columns = columns_of(item.get("forEach"))
    for path, text in strings_in(item):
        for reference, column in row_references(text):
            message = None
            if path[0] == "forEach":
                message = "cannot be used inside `forEach`"
            elif columns is not None:
                message = column_error(column, columns, file)
            if message:
                yield path, reference, f"`{reference}` {message}"


def strings_in(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield each string in lists and mappings, keys apart, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_in(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings_in(item, (*path, index))
