"""What `forEach` and `${each}` may be, as a schema, and what is wrong with one, in words."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from wps_run.document.document import Path
from wps_run.playbook.messages import describe_type, join_names
from wps_run.playbook.rows import VALUE_COLUMN
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
    "description": "Do the action once for each row: a list of values (`${each}`), a list of "
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
                    "description": "Column to its values; each is combined with each.",
                    "minProperties": 1,
                    "additionalProperties": {"type": "array", "items": _CELL},
                }
            },
        },
    ],
}
DATA_FILE_SCHEMA: Mapping[str, Any] = {
    "type": "string",
    "description": "A file whose content is sent, in place of `data`; relative to the playbook, "
    "whose folder it may not leave. UTF-8 for `text` and `json`, any bytes for `binary`; at most "
    "1 MiB.",
    "minLength": 1,
}

_PIPES = ("-", "/dev/")


def file_name_error(name: str) -> str | None:
    """What is wrong with the name of a file of rows, or None."""
    if name.lower().endswith(SUFFIXES):
        return None
    if name.startswith(_PIPES):
        return f"`{name}` can be read only once, and rows are read twice; {SAVE_FIRST}"
    return f"`file` must end in {join_names(SUFFIXES)}, which says how it is read"


SAVE_FIRST = "save it to a file first, so that every row is checked before anything is sent"


def for_each_error(value: object) -> tuple[Path, str]:
    """Why a `forEach` does not fit its schema: the way to the place, and the words."""
    if isinstance(value, list):
        return _list_fault(value)
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
        fault = file_name_error(name) if isinstance(name, str) else None
        return ("file",), fault or f"`file` must be the name of a file, not {describe_type(name)}"
    if len(value) == 1 and "matrix" in value:
        path, message = _matrix_fault(value["matrix"])
        return ("matrix", *path), message
    for key in value:
        if key not in {"file", "matrix"}:
            near = did_you_mean(key, ["file", "matrix"])
            return (key,), f"`forEach` has no `{key}`{near or '; it has `file` or `matrix`'}"
    return (), "`forEach` has either `file` or `matrix`"


def _list_fault(rows: list[Any]) -> tuple[Path, str]:
    for number, row in enumerate(rows):
        if isinstance(row, list):
            return (number,), "a row is a single value, or a mapping of column to value, not a list"
        for key, cell in row.items() if isinstance(row, dict) else ():
            if isinstance(cell, list | dict):
                return (number, key), f"a cell is a single value, not {describe_type(cell)}"
    first = isinstance(rows[0], dict)
    other = next(n for n, row in enumerate(rows) if isinstance(row, dict) is not first)
    return (other,), "rows are all single values or all mappings; this one is unlike the first"


def _matrix_fault(matrix: object) -> tuple[Path, str]:
    words = "`matrix` is a mapping of column to a list of its values"
    if not isinstance(matrix, dict):
        return (), f"{words}, not {describe_type(matrix)}"
    for key, values in matrix.items():
        if not isinstance(values, list):
            return (key,), f"{words}; write `{key}: […]`"
        for number, cell in enumerate(values):
            if isinstance(cell, list | dict):
                return (key, number), f"a cell is a single value, not {describe_type(cell)}"
    return (), f"{words}; this one is empty"


def columns_of(for_each: object) -> Collection[str] | None:
    """The columns that rows in the playbook have; None when that is known only from a file."""
    if isinstance(for_each, list):
        if not for_each:
            return None
        return list(for_each[0]) if isinstance(for_each[0], dict) else (VALUE_COLUMN,)
    if isinstance(for_each, dict):
        return list(for_each["matrix"]) if "matrix" in for_each else None
    return ()


def column_error(column: str, columns: Collection[str], file: str | None = None) -> str | None:
    """What is wrong with a `${each.column}`, or None.

    Args:
        column: The column that it names; `VALUE_COLUMN` for a bare `${each}`.
        columns: The columns that there are; none when there is no `forEach` at all.
        file: The file of rows, or None when they are in the playbook.
    """
    if column in columns:
        return None
    if not columns:
        return "stands for a row of `forEach`, and this action has none"
    if VALUE_COLUMN in columns:
        return "names a column, and these rows are single values; write `${each}`"
    known = list(columns)
    if column == VALUE_COLUMN:
        return f"is a whole row, with columns; write `${{each.{known[0]}}}`"
    near = did_you_mean(column, known) or f"; there is {join_names(known, 'and')}"
    if file and len(known) == 1 and any(mark in known[0] for mark in ";\t|"):
        near = "; its header has no comma, and it is commas that part the cells"
    return f"names no column{f' of `{file}`' if file else ''}{near}"


def missing_column_error(column: str, cells: Collection[str]) -> str:
    """What is wrong with a row that has not the column that the rows before it have."""
    if column == VALUE_COLUMN or VALUE_COLUMN in cells:
        return "rows are all single values or all mappings; this one is unlike the first"
    return f"the row has no `{column}`"


def invalid_references(
    item: Mapping[str, Any], known: Collection[str] | None = None, file: str | None = None
) -> Iterator[tuple[Path, str, str]]:
    """Each `${each…}` of a written action that cannot be: its path, itself, and why.

    Args:
        item: The action as written.
        known: The columns of its rows, when they have been read; else those in the playbook.
        file: The file that the rows are from, or None.
    """
    columns = columns_of(item.get("forEach")) if known is None else known
    for path, text in _strings(item, ()):
        within = path[0] == "forEach"
        for reference, column in row_references(text):
            fault = "cannot stand in `forEach` itself" if within else None
            if columns is not None and not within:
                fault = column_error(column, columns, file)
            if fault:
                yield path, reference, f"`{reference}` {fault}"


def _strings(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _strings(inner, (*path, number))
