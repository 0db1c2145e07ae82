"""The variables of a playbook: values, what `vars` declares, and the sources of `${…}`."""

import json
import math
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Self, TypeAlias

from wps_run.document.document import Document, Path
from wps_run.document.loader import load
from wps_run.document.scalars import resolve_plain
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.live import LiveGroups
from wps_run.playbook.messages import describe_type, join_names
from wps_run.playbook.options import VALUES_BY_TYPE, VARIABLE, VariableType
from wps_run.playbook.rows import (
    NO_INPUTS,
    VALUE_COLUMN,
    Inputs,
    Row,
    inline_rows,
    list_errors,
)
from wps_run.problems import PlaybookError, Position, Problem, did_you_mean
from wps_run.redaction import (
    Secrets,
    is_secret_name,
    is_secret_value,
    is_setting_of,
    secrets_of,
)


class ListVariable(NamedTuple):
    """The value of a variable that is a list: rows for `forEach: ${name}`.

    Attributes:
        document: The document that has the list.
        path: Its path.
    """

    document: Document
    path: Path

    @property
    def items(self) -> Sequence[Any]:
        """The items as in the document."""
        items: Sequence[Any] = self.document.value_at(self.path)
        return items

    def rows(self) -> Iterator[Row]:
        """Yield the rows. `${` has no meaning in them."""
        for row in inline_rows(self.document, self.path, None):
            yield row._replace(places=None)

    def digest_pieces(self) -> Iterator[bytes]:
        """Yield the content of the list, for a digest."""
        for row in self.rows():
            yield json.dumps(row.cells).encode() + b"\n"


class PlacedText(str):
    """A single value of a file of variables.

    Attributes:
        position: Where it is.
    """

    __slots__ = ("position",)

    position: Position

    def __new__(cls, text: str, position: Position) -> Self:
        placed = super().__new__(cls, text)
        placed.position = position
        return placed


VariableValue: TypeAlias = str | ListVariable
"""The value of a variable: a text as in the source, so that 007 stays `007`, or a list."""


class Declaration(NamedTuple):
    """What `vars` says of a variable in addition to its value.

    Attributes:
        type: Its type; None if it was not declared, and any single value is allowed.
        is_valid: Whether the entry of `vars` is; what is missing in a wrong one is not known.
        required: Whether it must have a value even if no action uses it.
        description: What it is for, or an empty text.
        choices: The allowed values, as in the source; empty if all are.
    """

    type: VariableType | None
    is_valid: bool = True
    required: bool = False
    description: str = ""
    choices: tuple[str, ...] = ()


class Variables(NamedTuple):
    """The variables of a playbook.

    Attributes:
        values: Name to value.
        unset: The names of declared variables that have no usable value.
        wrong: Those of them that have an unusable one.
        problems: What is wrong with values.
    """

    values: Mapping[str, VariableValue]
    unset: frozenset[str] = frozenset()
    wrong: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()


def read_value(document: Document, path: Path) -> VariableValue:
    """Return the value of a variable in a document."""
    if isinstance(document.value_at(path), list):
        return ListVariable(document, path)
    return document.source_text(path)


def read_declarations(
    document: Document, variables: Mapping[str, Any]
) -> tuple[dict[str, VariableValue], dict[str, Declaration]]:
    """Return the values in `vars`, defaults included, and the declarations."""
    values: dict[str, VariableValue] = {}
    declarations: dict[str, Declaration] = {}
    for name, entry in variables.items():
        path: Path = ("vars", name)
        if isinstance(entry, dict):
            path = (*path, "default")
            is_list = isinstance(entry.get("default"), list)
            choices = entry.get("enum", ())
            declarations[name] = Declaration(
                VariableType(entry.get("type", "list" if is_list else "string")),
                required=entry.get("required", False),
                description=entry.get("description", ""),
                choices=tuple(
                    document.source_text(("vars", name, "enum", index))
                    for index in range(len(choices))
                ),
            )
        else:
            declarations[name] = Declaration(VariableType.LIST if isinstance(entry, list) else None)
        if not isinstance(entry, dict) or "default" in entry:
            values[name] = read_value(document, path)
    return values, declarations


def resolve_variables(
    document: Document,
    values: Mapping[str, VariableValue],
    declarations: Mapping[str, Declaration],
    given: Mapping[str, VariableValue],
) -> Variables:
    """Merge the variables of a playbook with those of the command line, and check their types.

    Args:
        document: The playbook.
        values: The values in its `vars`.
        declarations: The declarations in its `vars`.
        given: The values of the command line, which override.
    """
    plain = {name: str(value) for name, value in given.items() if isinstance(value, PlacedText)}
    resolved: dict[str, VariableValue] = {**values, **given, **plain}
    problems: list[Problem] = []
    wrong = {name for name, declaration in declarations.items() if not declaration.is_valid}
    for name, declaration in declarations.items():
        value = resolved.get(name)
        if value is None:
            continue
        try:
            if declaration.type is VariableType.LIST and isinstance(value, str):
                value = resolved[name] = _parse_list(name, value)
            _check_type(name, declaration, value)
        except _TypeError as error:
            path: Path = ("vars", name) if name in given else ("vars", name, "default")
            position = position_of(given.get(name))
            message = f"{error}; the value is in {position}" if position else str(error)
            problem = document.problem(message, "variable-type", path, at_key=name in given)
            problems.append(problem)
            del resolved[name]
            wrong.add(name)
    unset = frozenset(declarations.keys() - resolved.keys())
    return Variables(resolved, unset, unset & wrong, tuple(problems))


def position_of(value: VariableValue | None) -> Position | None:
    """Return where a value is; None if it is of no file, or unknown."""
    if isinstance(value, ListVariable):
        return value.document.position(value.path)
    return value.position if isinstance(value, PlacedText) else None


def missing_problems(
    document: Document,
    declarations: Mapping[str, Declaration],
    variables: Variables,
    used: Collection[str],
    entry: tuple[Document, Path] | None = None,
) -> Iterator[Problem]:
    """Yield a problem for each declared variable that needs a value and has none.

    Args:
        document: The document that declares the variables.
        declarations: The declarations.
        variables: The values.
        used: The names of the variables that are used.
        entry: The entry that includes the document, or None.
    """
    for name in sorted(variables.unset - variables.wrong):
        declaration = declarations[name]
        if not (declaration.required or name in used):
            continue
        purpose = f" ({declaration.description})" if declaration.description else ""
        what = f"the variable `{name}`{purpose} has no value"
        flag = _flag(name, declaration)
        if entry:
            including, path = entry
            message = f"{what} in this file; add `vars: {{{name}: …}}`, or give {flag}"
            yield including.problem(message, "missing-variable", (*path, "include"))
        else:
            message = f"{what}; give {flag}"
            yield document.problem(message, "missing-variable", ("vars", name), at_key=True)


def _flag(name: str, declaration: Declaration) -> str:
    if declaration.type is VariableType.LIST:
        return f"`--var '{name}=[red, blue]'`"
    return f"`--var {name}=VALUE`"


class _TypeError(Exception):
    """The value of a variable does not have its declared type. The message says what to write."""


def _parse_list(name: str, text: str) -> ListVariable:
    """Parse the text of `--var` for a variable that is a list."""
    shown = _shown(name, text)
    try:
        document = load(text or "null", f"--var {name}")
    except PlaybookError as error:
        reason = error.problems[0].message
        message = f"`{name}` is a list, and its value is not YAML or JSON: {reason}"
        raise _TypeError(message) from None
    if not isinstance(document.data, list):
        is_shown = bool(shown and text)
        items = ", ".join(part.strip() for part in text.split(",")) if is_shown else "red, blue"
        raise _TypeError(
            f"`{name}` must be a list{shown}; write `--var {shlex.quote(f'{name}=[{items}]')}`"
        )
    for path, message in list_errors(document.data):
        raise _TypeError(f"`{name}`: {message} (item {int(path[0]) + 1})")
    return ListVariable(document, ())


_SHOWN = 60
"""Values with more characters are not quoted in a message."""


def _shown(name: str, text: str) -> str:
    """Return what a message says of a wrong value: nothing if it is long or secret."""
    if len(text) > _SHOWN or is_secret_name(name) or is_secret_value(text):
        return ""
    return f", not `{text}`" if text else ", not an empty text"


def _check_type(name: str, declaration: Declaration, value: VariableValue) -> None:
    """Check a value of a declared variable.

    Raises:
        _TypeError: It does not have the declared type.
    """
    if isinstance(value, ListVariable):
        if declaration.type not in {None, VariableType.LIST}:
            raise _TypeError(f"`{name}` must be a {declaration.type}, not a list")
        texts = (row.cells.get(VALUE_COLUMN, "") for row in value.rows())
        _check_choices(f"an item of `{name}`", name, declaration, texts)
        return
    resolved = resolve_plain(value)
    is_boolean = isinstance(resolved, bool)
    is_number = isinstance(resolved, int | float) and not is_boolean and math.isfinite(resolved)
    shown = _shown(name, value)
    if declaration.type is VariableType.BOOLEAN and not is_boolean:
        raise _TypeError(f"`{name}` must be true or false{shown}")
    if declaration.type is VariableType.NUMBER and not is_number:
        raise _TypeError(f"`{name}` must be a number{shown}")
    _check_choices(f"`{name}`", name, declaration, [value])


def _check_choices(what: str, name: str, declaration: Declaration, texts: Iterable[str]) -> None:
    choices = declaration.choices
    wrong = next((text for text in texts if text not in choices), None) if choices else None
    if wrong is not None:
        shown = _shown(name, wrong)
        near = did_you_mean(wrong, choices)
        raise _TypeError(f"{what} must be {join_names(choices[:_SHOWN])}{shown}{near}")


_NOUNS: Mapping[object, str] = MappingProxyType(
    {
        None: "a single value or a list",
        "string": "a single value",
        "number": "a number",
        "boolean": "true or false",
        "list": "a list",
    }
)
"""What `default` must be, by the declared type."""


def variable_errors(name: str, entry: object) -> Iterator[tuple[Path, str]]:
    """Explain why an entry of `vars` does not match its schema.

    Yields:
        The path of each wrong value below the entry, and the message.
    """
    if isinstance(entry, list):
        yield from ((path, f"`{name}`: {message}") for path, message in list_errors(entry))
    elif entry is None:
        yield (), f"`{name}` has no value; write one, or declare it: `{name}: {{required: true}}`"
    elif not isinstance(entry, dict):
        yield (), f"`{name}` must be a string, a number, true or false, or a list"
    elif not entry:
        yield (), f"the declaration of `{name}` is empty; write `{{required: true}}`"
    else:
        for key, value in entry.items():
            errors = _declaration_errors(key, value, entry.get("type"))
            yield from (((key, *path), message) for path, message in errors)


def _declaration_errors(key: str, value: object, declared: object) -> Iterator[tuple[Path, str]]:
    keys: Mapping[str, Any] = VARIABLE["then"]["properties"]
    if key not in keys:
        hint = did_you_mean(key, keys) or f"; it has {join_names(keys, 'and')}"
        yield (), f"`{key}` is not a key of the declaration of a variable{hint}"
        return
    declared = declared if isinstance(declared, str) and declared in VALUES_BY_TYPE else None
    schema = {**keys, **(VALUES_BY_TYPE[declared] if declared else {})}[key]
    if compile_schema(schema)(value):
        return
    errors = list(list_errors(value)) if key == "default" and isinstance(value, list) else []
    if errors:
        yield from errors
        return
    if key == "enum" and isinstance(value, list) and value:
        is_valid = compile_schema(schema["items"])
        noun = _NOUNS["string" if declared in {None, "list"} else declared]
        for index, item in enumerate(value):
            if not is_valid(item):
                yield (index,), f"a value of `enum` must be {noun}, not {_describe(item)}"
        return
    noun = {
        "type": join_names(VariableType),
        "required": "true or false",
        "default": _NOUNS[declared],
        "enum": "a list of the allowed values, each "
        + _NOUNS["string" if declared in {None, "list"} else declared],
    }.get(key, "a string")
    near = did_you_mean(str(value), VariableType) if key == "type" else ""
    shown = "an empty list" if value == [] else _describe(value)
    yield (), f"`{key}` must be {noun}, not {shown}{near}"


def _describe(value: object) -> str:
    is_short = isinstance(value, str) and len(value) <= _SHOWN
    return f'the text "{value}"' if is_short else describe_type(value)


class VariableScope:
    """The sources of values for `${…}`. Its repr shows no value, since some are secrets.

    Attributes:
        variables: Name to value, from all sources, overrides applied.
        unset: The names of declared variables without a value.
        problems: What is wrong with the variables themselves.
        environment: The variables of `${env.NAME}`; None when they are known only at run time.
        inputs: The files that the playbook names.
        connections: The settings that hold connection strings; `${env.NAME}` does not read them.
        keys: The settings that hold keys of a gateway, likewise.
        allowed: The secrets of the environment that `${env.NAME}` may read nevertheless.
        live: The groups that were read of the service; None if none was.
        parts: The scope of each included part of the playbook.
    """

    def __init__(  # noqa: PLR0913 -- each has a default
        self,
        variables: Variables | Mapping[str, VariableValue] = MappingProxyType({}),
        environment: Mapping[str, str] | None = MappingProxyType({}),
        inputs: Inputs = NO_INPUTS,
        *,
        connections: Collection[str] = (),
        keys: Collection[str] = (),
        allowed: Collection[str] = (),
        live: LiveGroups | None = None,
        parts: Mapping[object, "VariableScope"] = MappingProxyType({}),
    ) -> None:
        resolved = variables if isinstance(variables, Variables) else Variables(variables)
        self.variables = resolved.values
        self.unset = resolved.unset
        self.problems = resolved.problems
        self.environment = environment
        self.inputs = inputs
        self.connections = connections
        self.keys = keys
        self.allowed = allowed
        self.live = live
        self.parts = parts
        self._refusals: dict[str, str | None] = {}

    def with_live(self, live: LiveGroups | None) -> "VariableScope":
        """Return the scope with the groups that were read, if any. Both have the same files."""
        scope: VariableScope = copy(self)
        scope.live = live
        scope.parts = {part: inner.with_live(live) for part, inner in self.parts.items()}
        return scope

    def with_parts(self, parts: Mapping[object, "VariableScope"]) -> "VariableScope":
        """Return the scope of a playbook whose included parts have these scopes."""
        scope: VariableScope = copy(self)
        scope.parts = parts
        problems = (problem for inner in parts.values() for problem in inner.problems)
        scope.problems = tuple(dict.fromkeys((*self.problems, *problems)))
        return scope

    def of_part(self, variables: Variables, inputs: Inputs) -> "VariableScope":
        """Return the scope of an included part, which has other variables and files."""
        scope: VariableScope = copy(self)
        scope.variables, scope.unset = variables.values, variables.unset
        scope.problems, scope.inputs = variables.problems, inputs
        return scope

    def of(self, part: object) -> "VariableScope":
        """Return the scope of a part of the playbook."""
        return self.parts.get(part, self)

    def refusal_of(self, name: str) -> str | None:
        """Return why `${env.NAME}` must not be read, or None. It is the same in all rows."""
        if name not in self._refusals:
            self._refusals[name] = None if name in self.allowed else self._reason(name)
        return self._refusals[name]

    def _reason(self, name: str) -> str | None:
        is_setting = any(
            is_setting_of(connection, name) for connection in (*self.connections, *self.keys)
        )
        if is_setting or is_secret_name(name):
            return "by its name holds a key, a password or a token"
        value = (self.environment or {}).get(name, "")
        if is_secret_value(value) or self.secrets.occur_in(value):
            return "holds a connection string, a key or a token"
        return None

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets of the environment, which are not shown even if they may be sent."""
        return secrets_of(self.environment or {}, self.allowed, self.keys)
