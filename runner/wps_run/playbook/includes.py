"""The entries `- include: FILE` of actions: their schema, their errors, and their variables.

An included file is a playbook that leaves hub, connection and options to the one that includes it.
`checking` reads the files; `model` has what an entry and its file add to the playbook.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from wps_run.document.document import Document, Path
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.foreach import strings_in
from wps_run.playbook.messages import (
    describe_type,
    invalid_variable_name,
    unknown_key,
)
from wps_run.playbook.options import PLAYBOOK_KEYS, VALUE, VARIABLE_PATTERN
from wps_run.playbook.references import (
    NotYetKnownError,
    UnusableReferenceError,
    column_of,
    find_references,
    reference_problem,
)
from wps_run.playbook.rows import list_errors
from wps_run.playbook.selection import TAGS, TAGS_SCHEMA, tags_errors
from wps_run.playbook.templates import substitute
from wps_run.playbook.variables import (
    ListVariable,
    PlacedText,
    VariableScope,
    VariableValue,
    read_value,
)
from wps_run.problems import Problem

INCLUDE, VARS = "include", "vars"

_FILE_PATTERN = r"^(?!/)(?:[^$]|\$(?!\{))+$(?!\n)"

INCLUDE_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "title": INCLUDE,
        "type": "object",
        "description": "Run the actions of another file here.",
        "required": [INCLUDE],
        "additionalProperties": False,
        "properties": {
            INCLUDE: {
                "type": "string",
                "description": "Run the actions of this file here: a playbook without `hub`, "
                "`connection` and options of a run. Relative to the file that includes it.",
                "pattern": _FILE_PATTERN,
            },
            VARS: {
                "type": "object",
                "description": "Give values to variables that `vars` of the included file "
                "declares. They override its own values, and may have `${name}` of this file.",
                "propertyNames": {"pattern": VARIABLE_PATTERN},
                "additionalProperties": dict(VALUE),
            },
            TAGS: dict(TAGS_SCHEMA),
        },
    }
)

NOT_INCLUDED = frozenset(PLAYBOOK_KEYS) - {"$schema", "name", "vars", "slashInNames"}
"""The keys of a playbook that an included file must not have."""


class Include(NamedTuple):
    """An entry that includes a file.

    Attributes:
        file: The name of the file, as in the source.
        path: The path of the entry in its document.
        variables: The names of the variables to which it gives values.
        tags: Its tags.
        before: How many actions of its own file come before it.
    """

    file: str
    path: Path
    variables: tuple[str, ...]
    tags: frozenset[str]
    before: int


def is_include(item: object) -> bool:
    """Return whether an item of `actions` is meant to include a file."""
    return isinstance(item, dict) and INCLUDE in item


def read_include(item: Mapping[str, Any], path: Path, before: int) -> Include:
    """Return a valid entry."""
    tags = frozenset(item.get(TAGS, ()))
    return Include(item[INCLUDE], path, tuple(item.get(VARS, ())), tags, before)


def include_errors(item: Mapping[str, Any]) -> Iterator[tuple[Path, str, bool]]:
    """Explain why an entry does not match its schema.

    Yields:
        The path of each wrong value below the entry, the message, and whether it is about the key.
    """
    properties = INCLUDE_SCHEMA["properties"]
    for key, value in item.items():
        if key == "actionName":
            yield (key,), "an entry is an action or includes a file; write two entries", True
        elif key not in properties:
            yield (key,), unknown_key(key, properties, "an entry with `include`"), True
        elif compile_schema(properties[key])(value):
            continue
        elif key == INCLUDE:
            yield (key,), _file_error(value), False
        elif key == VARS:
            errors = _variables_errors(value)
            yield from (((key, *path), message, at_key) for path, message, at_key in errors)
        else:
            yield from (((key, *path), message, False) for path, message in tags_errors(value))


def _file_error(value: object) -> str:
    if value is None or value == "":
        return "`include` has no value; write the name of a file"
    if not isinstance(value, str):
        return f"`include` must be the name of a file, not {describe_type(value)}"
    if "${" in value:
        return "`include` is read before variables are known; write the name without `${…}`"
    return "`include` is relative to the file that it is in; write the path from its folder"


def _variables_errors(value: object) -> Iterator[tuple[Path, str, bool]]:
    if not isinstance(value, dict):
        yield (), "`vars` must be a mapping of names to values, such as `{team: red}`", False
        return
    is_name = compile_schema({"pattern": VARIABLE_PATTERN})
    is_value = compile_schema(INCLUDE_SCHEMA["properties"][VARS]["additionalProperties"])
    for name, item in value.items():
        if not is_name(name):
            yield (name,), invalid_variable_name(name), True
        elif is_value(item):
            continue
        elif isinstance(item, list):
            for path, message in list_errors(item):
                yield (name, *path), f"`{name}`: {message}", False
        elif isinstance(item, dict):
            message = "is declared in the included file; write its value here"
            yield (name,), f"`{name}` {message}", False
        else:
            yield (name,), f"`{name}` must be a string, a number, true or false, or a list", False


def wrong_references(item: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield the path, the text and the error of each `${…}` that has no meaning in an entry."""
    for path, text in strings_in(item.get(VARS), (VARS,)):
        is_in_list = len(path) > len((VARS, "name"))
        for match in find_references(text):
            reference = match[0]
            if match["name"] is not None and is_in_list:
                example = f"`{path[1]}: ${{{path[1]}}}`"
                message = f"is not replaced in a list; pass a list of this file as {example}"
                yield path, reference, f"`{reference}` {message}"
            elif column_of(match) is not None:
                yield path, reference, f"`{reference}` names a row, and an include has none"


class IncludedValues(NamedTuple):
    """The values that an entry gives to variables of the included file.

    Attributes:
        values: Name to value.
        unknown: The names of those whose values are known only at run time, or are wrong.
        problems: What is wrong with values.
    """

    values: Mapping[str, VariableValue]
    unknown: frozenset[str]
    problems: tuple[Problem, ...]


NO_VALUES = IncludedValues({}, frozenset(), ())


def included_values(document: Document, include: Include, scope: VariableScope) -> IncludedValues:
    """Fill in the values of an entry.

    Args:
        document: The document that has the entry.
        include: The entry.
        scope: What `${…}` can name in the document.
    """
    values: dict[str, VariableValue] = {}
    problems: list[Problem] = []
    for name in include.variables:
        path = (*include.path, VARS, name)
        try:
            value = _fill(read_value(document, path), scope)
        except NotYetKnownError:
            continue
        except UnusableReferenceError as error:
            problems.append(
                reference_problem(document, path, error.reference, error.message, error.rule)
            )
            continue
        if isinstance(value, str):
            value = PlacedText(value, document.position(path))
        values[name] = value
    unknown = frozenset(include.variables) - values.keys()
    return IncludedValues(values, unknown, tuple(problems))


def _fill(value: VariableValue, scope: VariableScope) -> VariableValue:
    """Substitute the `${…}` of a value; `${name}` alone may be a list."""
    if isinstance(value, ListVariable):
        return value
    named = scope.variables.get(value.removeprefix("${").removesuffix("}"))
    is_reference = value.startswith("${") and value.endswith("}")
    return named if is_reference and isinstance(named, ListVariable) else substitute(value, scope)
