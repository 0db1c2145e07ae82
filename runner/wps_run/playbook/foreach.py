"""The schemas of `forEach` and `dataFile`, and error messages for `forEach` and `${each}`."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

from wps_run.actions.names import NAME_PATTERN, name_error
from wps_run.document.document import Path
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.live import COLUMN_OF_CONNECTION, GROUP, LIVE_COLUMNS
from wps_run.playbook.messages import describe_type, join_names, string_error
from wps_run.playbook.options import CELL, LIST_REFERENCE_PATTERN, ROWS
from wps_run.playbook.references import row_references
from wps_run.playbook.rows import (
    DEFAULT_FORMAT,
    ENCODINGS,
    VALUE_COLUMN,
    RowFormat,
    column_names,
    encoding_pattern,
    find_encoding,
    list_errors,
)
from wps_run.problems import did_you_mean

SUFFIXES = (".csv", ".ndjson", ".jsonl", ".json", ".yaml", ".yml")
_SUFFIX_PATTERN = (
    r"\.(?:"
    + "|".join("".join(f"[{c}{c.upper()}]" for c in suffix[1:]) for suffix in SUFFIXES)
    + r")$(?!\n)"
)
_STREAMED = (".csv", ".ndjson", ".jsonl")
"""The suffixes of files that are read line by line, which may have an `encoding`."""

_DELIMITER_PATTERN = r'^(?:[^"\r\n\u0000A-Za-z0-9]|\\t|tab)$(?!\n)'
_DELIMITERS = {"\\t": "\t", "tab": "\t"}
_LIST_REFERENCE = {
    "type": "string",
    "description": "A variable that is a list.",
    "pattern": LIST_REFERENCE_PATTERN,
}


def _file_schema(**more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of `{file: …}`, with more keys."""
    return {
        "type": "object",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {
            "file": {
                "type": "string",
                "description": "A file of rows, relative to the playbook: .csv with a header, "
                ".ndjson or .jsonl, .json, .yaml or .yml.",
                "pattern": rf"\$\{{|{_SUFFIX_PATTERN}",
            },
            "delimiter": {
                "type": "string",
                "description": "The character between the cells of a CSV file; a tab is `tab` or "
                "`\\t`. Default: a comma.",
                "pattern": _DELIMITER_PATTERN,
            },
            "encoding": {
                "description": "The encoding of a CSV or NDJSON file. Default: utf-8.",
                "anyOf": [
                    {"enum": list(ENCODINGS)},
                    {"type": "string", "pattern": _ENCODING_PATTERN},
                ],
            },
            **more,
        },
    }


def _group_schema(**more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of `{group: …}`, with more keys, all of them required."""
    return {
        "type": "object",
        "required": [GROUP, *more],
        "additionalProperties": False,
        "properties": {
            GROUP: {
                "type": "string",
                "description": "A group whose connections are read once, before the first action "
                f"runs. The columns are {join_names(LIVE_COLUMNS, 'and')}.",
                "pattern": rf"\$\{{|{NAME_PATTERN}",
            },
            **more,
        },
    }


_ENCODING_PATTERN = rf"^(?:{'|'.join(map(encoding_pattern, ENCODINGS))})$(?!\n)"
COLUMN_SCHEMA: Mapping[str, Any] = {
    "anyOf": [
        {"type": "array", "items": dict(CELL)},
        _LIST_REFERENCE,
        _file_schema(
            column={
                "type": "string",
                "description": "The column of the file; it may be left out if there is only one.",
                "minLength": 1,
            }
        ),
    ]
}
"""Values of one kind: a list, a variable with a list, or a column of a file."""

_AXIS_SCHEMA: Mapping[str, Any] = {
    "anyOf": [
        *COLUMN_SCHEMA["anyOf"],
        _group_schema(
            column={
                "description": "What is taken of each connection.",
                "oneOf": [
                    {"const": column, "description": description}
                    for column, description in LIVE_COLUMNS.items()
                ],
            }
        ),
    ]
}

FOR_EACH_SCHEMA: Mapping[str, Any] = {
    "description": "Run the action once for each row: a list of values (`${each}`), a list of "
    "mappings (`${each.column}`), a variable with a list (`${teams}`), `{file: rows.csv}`, "
    "`{group: launch}` for each connection in a group (`${each.connectionId}`, `${each.userId}`), "
    "or `{matrix: {user: […], room: ${rooms}}}`.",
    "anyOf": [
        *ROWS,
        _LIST_REFERENCE,
        _file_schema(),
        _group_schema(),
        {
            "type": "object",
            "required": ["matrix"],
            "additionalProperties": False,
            "properties": {
                "matrix": {
                    "type": "object",
                    "description": "Column to its values: a list, a variable with a list, or a "
                    "column of a file. The rows are all combinations.",
                    "minProperties": 1,
                    "additionalProperties": dict(_AXIS_SCHEMA),
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


def file_name_error(name: str) -> str | None:
    """Return what is wrong with the name of a file of rows, or None."""
    if name.lower().endswith(SUFFIXES):
        return None
    if name.startswith(_PIPE_PREFIXES):
        return f"`{name}` can be read only once, and rows are read twice; {SAVE_FIRST}"
    return f"`file` must end in {join_names(SUFFIXES)}, which selects the format"


def row_format(source: Mapping[str, Any]) -> RowFormat:
    """Return the format that a valid `{file: …}` asks for."""
    delimiter = source.get("delimiter", DEFAULT_FORMAT.delimiter)
    encoding = find_encoding(source.get("encoding", DEFAULT_FORMAT.encoding))
    return RowFormat(_DELIMITERS.get(delimiter, delimiter), encoding or DEFAULT_FORMAT.encoding)


def format_error(name: str, file_format: RowFormat) -> str | None:
    """Return what is wrong with a format other than the default for a file, or None."""
    if file_format.delimiter != DEFAULT_FORMAT.delimiter and not name.lower().endswith(".csv"):
        return f"`{name}` has no `delimiter`; only .csv files have one"
    if file_format.encoding != DEFAULT_FORMAT.encoding and not name.lower().endswith(_STREAMED):
        return f"`{name}` is always UTF-8; only {join_names(_STREAMED)} may have an `encoding`"
    return None


PlacedError: TypeAlias = tuple[Path, str]
"""The path of a wrong value below the one that is explained, and the message."""


def for_each_errors(value: object) -> Iterator[PlacedError]:
    """Explain why a `forEach` does not match its schema."""
    if isinstance(value, list):
        yield from list_errors(value)
    elif isinstance(value, dict):
        yield from _mapping_errors(value)
    elif isinstance(value, str) and "${" in value:
        yield (), _reference_error("forEach", value)
    else:
        hint = ""
        if isinstance(value, str) and value.lower().endswith(SUFFIXES):
            hint = f"; for a file write `forEach: {{file: {value}}}`"
        message = (
            "`forEach` must be a list of rows, `${variable}`, `{file: rows.csv}`, "
            f"`{{group: launch}}`, or `{{matrix: {{…}}}}`, not {describe_type(value)}{hint}"
        )
        yield (), message


def _mapping_errors(value: Mapping[str, Any]) -> Iterator[PlacedError]:
    sources = ["file", GROUP, "matrix"]
    unknown = [key for key in value if key not in sources]
    if "file" in value and "matrix" not in value:
        yield from _file_errors(value, ["file", "delimiter", "encoding"])
    elif list(value) == ["matrix"]:
        yield from (
            (("matrix", *path), message) for path, message in _matrix_errors(value["matrix"])
        )
    elif GROUP in value and value.keys().isdisjoint({"file", "matrix"}):
        yield from _group_errors(value, [GROUP])
    elif unknown:
        for key in unknown:
            near = did_you_mean(key, sources)
            yield (key,), f"`forEach` has no `{key}`{near or f'; it has {join_names(sources)}'}"
    else:
        yield (), f"`forEach` has only one of {join_names(sources, 'and')}"


def _group_errors(source: Mapping[str, Any], keys: list[str]) -> Iterator[PlacedError]:
    """Explain what is wrong with `{group: …}`, which has these keys."""
    for key, value in source.items():
        if key not in keys:
            near = did_you_mean(key, keys)
            hint = near or f"; the columns of the rows are {join_names(LIVE_COLUMNS, 'and')}"
            yield (key,), f"`{key}` is not a key beside `group`{hint}"
        elif key == GROUP and not isinstance(value, str):
            yield (key,), string_error("`group`", value, json.dumps(value))
        elif key == GROUP and not compile_schema(_group_schema()["properties"][GROUP])(value):
            yield (key,), f"`group` {name_error(value, None) or 'is not the name of a group'}"
        elif key == "column" and value not in LIVE_COLUMNS:
            near = did_you_mean(str(value), LIVE_COLUMNS)
            yield (key,), f"`column` must be {join_names(LIVE_COLUMNS)}{near}"
    if "column" in keys and list(source) == [GROUP]:
        example = f"{{group: launch, column: {COLUMN_OF_CONNECTION}}}"
        yield (), f"`column` is missing; write `{example}`"


def _reference_error(key: str, text: str) -> str:
    if text.startswith("${env."):
        return f"an environment variable is no list; use a variable: `{key}: ${{teams}}`"
    return "a list comes from one variable and nothing else, such as `${teams}`"


def _file_errors(source: Mapping[str, Any], keys: list[str]) -> Iterator[PlacedError]:
    """Explain what is wrong with `{file: …}`, which has these keys."""
    for key, value in source.items():
        if key not in keys:
            hint = did_you_mean(key, keys) or f"; it has {join_names(keys, 'and')}"
            yield (key,), f"`{key}` is not a key beside `file`{hint}"
            continue
        error = _FILE_KEY_ERRORS[key](value if isinstance(value, str) else "")
        if error and not isinstance(value, str | None):
            error = f"`{key}` must be a string, not {describe_type(value)}"
        if error:
            yield (key,), error
    if "file" not in source and not any(did_you_mean(key, ["file"]) for key in source):
        yield (), "`file` is missing; write `{file: users.csv, column: userId}`"


def _delimiter_error(value: str) -> str | None:
    if re.search(_DELIMITER_PATTERN, value):
        return None
    return (
        '`delimiter` must be one character, not a letter, a digit or a quote, such as `";"`; '
        "a tab is `tab`"
    )


def _encoding_error(value: str) -> str | None:
    if find_encoding(value):
        return None
    shown = f", not `{value}`" if 0 < len(value) <= _SHOWN else ""
    near = did_you_mean(value, ENCODINGS)
    return f"`encoding` must be {join_names(ENCODINGS)}{shown}{near}"


_SHOWN = 60
"""Names with more characters are not quoted in a message."""

_FILE_KEY_ERRORS: Mapping[str, Callable[[str], str | None]] = {
    "file": lambda name: None if "${" in name else file_name_error(name),
    "delimiter": _delimiter_error,
    "encoding": _encoding_error,
    "column": lambda name: None if name else "`column` must be the name of a column",
}


def _matrix_errors(matrix: object) -> Iterator[PlacedError]:
    expected = "`matrix` is a mapping of column to a list of its values"
    if not isinstance(matrix, dict):
        yield (), f"{expected}, not {describe_type(matrix)}"
        return
    if not matrix:
        yield (), f"{expected}; this one is empty"
    for key, source in matrix.items():
        yield from (((key, *path), message) for path, message in _axis_errors(key, source))


def _axis_errors(key: str, source: object) -> Iterator[PlacedError]:
    if compile_schema(_AXIS_SCHEMA)(source):
        return
    if isinstance(source, dict) and GROUP in source and "file" not in source:
        yield from _group_errors(source, [GROUP, "column"])
        return
    expected = "`matrix` is a mapping of column to a list of its values"
    yield from column_source_errors(key, source, f"{expected}; write `{key}: […]`")


def column_source_errors(key: str, source: object, expected: str = "") -> Iterator[PlacedError]:
    """Explain why a value does not match `COLUMN_SCHEMA`.

    Args:
        key: The key of the value.
        source: The value.
        expected: How the message about a value of another type begins.

    Yields:
        The path of each wrong value below the key, and the message.
    """
    if isinstance(source, dict):
        yield from _file_errors(source, ["file", "column", "delimiter", "encoding"])
    elif isinstance(source, str) and "${" in source:
        yield (), _reference_error(key, source)
    elif isinstance(source, list):
        for index, cell in enumerate(source):
            if isinstance(cell, list | dict):
                yield (index,), f"a cell is a single value, not {describe_type(cell)}"
    else:
        if not expected:
            expected = f"`{key}` must be a list, not {describe_type(source)}; write `{key}: […]`"
        example = f"`{key}: {{file: rows.csv, column: {key}}}`"
        yield (), f"{expected}, `{key}: ${{variable}}`, or {example}"


def columns_of(for_each: object) -> Collection[str] | None:
    """Return the columns of rows in the playbook; None when only a file or variable shows it."""
    if isinstance(for_each, list):
        if not for_each:
            return None
        return for_each[0].keys() if isinstance(for_each[0], dict) else (VALUE_COLUMN,)
    if isinstance(for_each, dict):
        if GROUP in for_each:
            return LIVE_COLUMNS.keys()
        return for_each["matrix"].keys() if "matrix" in for_each else None
    return () if for_each is None else None


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
    return f"names no column{f' of `{file}`' if file else ''}{hint}"


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
