"""Substitute `${name}` in strings: plain text replacement, without expressions.

In an OData expression and in JSON, a variable is a value and cannot become another part of the
text.
"""

import json
import math
import re
import shlex
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple, Self, TypeAlias

from wps_run.actions.payload import compact_json
from wps_run.document.document import Document, Path
from wps_run.document.json import json_error
from wps_run.document.loader import load
from wps_run.document.scalars import resolve_plain
from wps_run.input_limits import EXPANDED
from wps_run.odata.checker import check_filter
from wps_run.odata.syntax import FilterError
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

_FEW_PARTS = 9
"""Four cells and the texts around them: at most four lines of a file of rows."""

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^}\n]*)(?P<end>\}?)")


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
    """What `vars` says of a variable besides its value.

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
            position = _position_of(given.get(name))
            message = f"{error}; the value is in {position}" if position else str(error)
            problem = document.problem(message, "variable-type", path, at_key=name in given)
            problems.append(problem)
            del resolved[name]
            wrong.add(name)
    unset = frozenset(declarations.keys() - resolved.keys())
    return Variables(resolved, unset, unset & wrong, tuple(problems))


def _position_of(value: VariableValue | None) -> Position | None:
    if isinstance(value, ListVariable):
        return value.document.position(value.path)
    return value.position if isinstance(value, PlacedText) else None


def missing_problems(
    document: Document,
    declarations: Mapping[str, Declaration],
    variables: Variables,
    used: Collection[str],
) -> Iterator[Problem]:
    """Yield a problem for each declared variable that needs a value and has none."""
    for name in sorted(variables.unset - variables.wrong):
        declaration = declarations[name]
        if not (declaration.required or name in used):
            continue
        purpose = f" ({declaration.description})" if declaration.description else ""
        yield document.problem(
            f"the variable `{name}`{purpose} has no value; give {_flag(name, declaration)}",
            "missing-variable",
            ("vars", name),
            at_key=True,
        )


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
        allowed: The secrets of the environment that `${env.NAME}` may read all the same.
        live: The groups that were read of the service; None if none was.
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
        self._refusals: dict[str, str | None] = {}

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


class UnusableReferenceError(Exception):
    """A `${…}` that cannot be replaced.

    Attributes:
        rule: A stable name for machines.
        reference: The reference as in the source, `${…}`.
        message: What is wrong with it and what to write instead.
    """

    rule = "undefined-variable"

    def __init__(self, reference: str, message: str) -> None:
        self.reference = reference
        self.message = message
        super().__init__(message)


class UndefinedError(UnusableReferenceError):
    """It names no variable."""


class ListReferenceError(UnusableReferenceError):
    """It names a list where a single value is needed, or the other way round."""

    rule = "list-variable"


class SecretReferenceError(UnusableReferenceError):
    """It names an environment variable that may hold a secret."""

    rule = "secret-variable"


class FilterValueError(UnusableReferenceError):
    """Its value would become another part of an OData expression."""

    rule = "filter-value"


class JsonValueError(UnusableReferenceError):
    """Its value would become another part of a JSON text."""

    rule = "json-value"


class FilterFormError(UnusableReferenceError):
    """With its value, an OData expression is not valid."""

    rule = "filter"


class TooLongError(UnusableReferenceError):
    """The text is too long with its value filled in."""

    rule = "too-long"

    def __init__(self, reference: str) -> None:
        super().__init__(reference, f"the text with `{reference}` filled in {EXPANDED.error}")


class NotYetKnownError(Exception):
    """A `${…}` whose value is known only at run time: of the environment, or without a default."""


class Syntax(NamedTuple):
    """A language in which a variable is a value and cannot become another part of the text.

    Attributes:
        is_quoted_after: Whether the text after a literal text is inside quotes, from that literal
            text and whether it began inside quotes.
        escape: Makes of a value what stands for it inside quotes.
        is_value: Whether a value may stand outside quotes.
        error: Makes the error of one that may not, from its reference.
    """

    is_quoted_after: Callable[[str, bool], bool]
    escape: Callable[[str], str]
    is_value: Callable[[str], bool]
    error: Callable[[str], UnusableReferenceError]


class Template(NamedTuple):
    """A text with all variables substituted except the columns of a row.

    Attributes:
        parts: Alternately a literal text and the name of a column; the last is a literal text.
        quoted: In an expression or in JSON, for each column whether it is inside quotes; () in
            other texts.
        syntax: What the text is.
    """

    parts: tuple[str, ...]
    quoted: tuple[bool, ...] = ()
    syntax: Syntax | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names; `VALUE_COLUMN` for a bare `${each}`."""
        return self.parts[1::2]

    @property
    def is_single_cell(self) -> bool:
        """Whether it consists of one cell and no other text."""
        return len(self.columns) == 1 and self.parts[::2] == ("", "")

    def fill(self, cells: Mapping[str, str]) -> str:
        """Return the text for one row.

        Raises:
            KeyError: The row has no such column.
            TooLongError: The text is too long.
        """
        filled = list(self.parts)
        filled[1::2] = [cells[column] for column in self.parts[1::2]]
        for index, is_quoted in enumerate(self.quoted):
            if is_quoted and self.syntax:
                filled[2 * index + 1] = self.syntax.escape(filled[2 * index + 1])
        # A few cells are short enough to be checked afterwards; many are counted before.
        if len(filled) > _FEW_PARTS and sum(map(len, filled)) > EXPANDED.value:
            raise TooLongError(_reference_to(self.columns[-1]))
        text = "".join(filled)
        if len(text) > EXPANDED.value:
            raise TooLongError(_reference_to(self.columns[-1]) if self.columns else "${…}")
        return text

    def expression_problem(
        self, cells: Mapping[str, str]
    ) -> tuple[str, UnusableReferenceError] | None:
        """Return a column outside quotes and why the text with its cells is invalid, or None."""
        unusable = self.unusable_column(cells)
        if unusable or self.syntax is not EXPRESSION:
            return unusable
        try:
            check_filter(self.fill(cells))
        except FilterError as error:
            column = self.columns[self.quoted.index(False)]
            message = f"{error.explanation} (after its variables are filled in)"
            return column, FilterFormError(_reference_to(column), message)
        return None

    def unusable_column(
        self, cells: Mapping[str, str]
    ) -> tuple[str, UnusableReferenceError] | None:
        """Return the column whose value cannot stand outside quotes, and why; or None."""
        for column, is_quoted in zip(self.columns, self.quoted, strict=False):
            if self.syntax and not is_quoted and not self.syntax.is_value(cells[column]):
                return column, self.syntax.error(_reference_to(column))
        return None


def parse_template(text: str, scope: VariableScope, syntax: Syntax | None = None) -> Template:
    """Substitute every `${…}` of a text except those of a row.

    Args:
        text: The text.
        scope: The sources of values.
        syntax: `EXPRESSION`, `JSON`, or None for a plain text. Inside quotes a value is escaped;
            outside of them it must be a complete value.

    Raises:
        UndefinedError: A reference names no variable.
        ListReferenceError: It names a list.
        SecretReferenceError: It names a secret of the environment.
        FilterValueError: Its value cannot stand in the expression.
        JsonValueError: Its value cannot stand in the JSON text.
        TooLongError: The text is too long.
        NotYetKnownError: It names an environment variable, and the environment is not known.
    """
    _refuse_secrets(text, scope)
    parts: list[str] = []
    literal: list[str] = []
    quoted: list[bool] = []
    is_quoted = False
    end = size = 0
    for match in _REFERENCE.finditer(text):
        before = text[end : match.start()]
        if syntax:
            is_quoted = syntax.is_quoted_after(before, is_quoted)
        literal.append(before)
        end = match.end()
        column = _column(match)
        if column is None:
            value = _resolve(match, scope)
            if syntax and match["name"] is not None:
                if is_quoted:
                    value = syntax.escape(value)
                elif not syntax.is_value(value):
                    raise syntax.error(match[0])
            size += len(value)
            if size > EXPANDED.value:
                raise TooLongError(match[0])
            literal.append(value)
        else:
            parts += ("".join(literal), column)
            quoted.append(is_quoted)
            literal = []
    literal.append(text[end:])
    return Template((*parts, "".join(literal)), tuple(quoted) if syntax else (), syntax)


def json_template(value: object, path: Path, parse: Callable[[str, Path], Template]) -> Template:
    """Make the JSON text of a value, in which the variables are parts of strings.

    Args:
        value: The value. It can be sent as JSON.
        path: Its path.
        parse: Substitutes the variables of one string, by its path.
    """
    parts: list[str] = []
    literal: list[str] = []
    for piece in _json_pieces(value, path, parse):
        if isinstance(piece, str):
            literal.append(piece)
            continue
        first, *others = map(_escape_json, piece.parts[::2])
        literal.append(f'"{first}')
        for column, text in zip(piece.columns, others, strict=True):
            parts += ("".join(literal), column)
            literal = [text]
        literal.append('"')
    return Template((*parts, "".join(literal)), (True,) * (len(parts) // 2), JSON)


def _json_pieces(
    value: object, path: Path, parse: Callable[[str, Path], Template]
) -> Iterator[str | Template]:
    """Yield the parts of the JSON text: a text as it is, or the template of a string."""
    text = compact_json(value)
    if "${" not in text:
        yield text
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield "," if index else "["
            yield from _json_pieces(item, (*path, index), parse)
        yield "]"
    elif isinstance(value, dict):
        for index, (key, item) in enumerate(value.items()):
            yield "," if index else "{"
            yield from _json_pieces(key, (*path, key), parse)
            yield ":"
            yield from _json_pieces(item, (*path, key), parse)
        yield "}"
    else:
        yield parse(str(value), path)


_EXPRESSION_VALUE = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")


def _is_expression_value(value: str) -> bool:
    return bool(_EXPRESSION_VALUE.fullmatch(value))


def _expression_error(reference: str) -> FilterValueError:
    return FilterValueError(
        reference,
        f"`{reference}` is outside quotes, where its value must be a number, `true`, `false` or "
        f"`null`; for a text write `'{reference}'`",
    )


def _escape_quotes(value: str) -> str:
    return value.replace("'", "''")


def _is_quoted_after(literal: str, is_quoted: bool) -> bool:  # noqa: FBT001 -- a state, not a mode
    return is_quoted ^ (literal.count("'") % 2 == 1)


_JSON_QUOTE = re.compile(r'\\.|"', re.DOTALL)


def _is_in_json_string_after(literal: str, is_quoted: bool) -> bool:  # noqa: FBT001 -- a state
    quotes = sum(match[0] == '"' for match in _JSON_QUOTE.finditer(literal))
    return is_quoted ^ (quotes % 2 == 1)


def _is_json_value(value: str) -> bool:
    return json_error(value) is None


def _escape_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _json_value_error(reference: str) -> JsonValueError:
    return JsonValueError(
        reference,
        f"`{reference}` is outside quotes, where its value must be JSON; for a text write "
        f'`"{reference}"`',
    )


EXPRESSION = Syntax(_is_quoted_after, _escape_quotes, _is_expression_value, _expression_error)
"""An OData expression. Outside quotes, a value is a number, `true`, `false` or `null`."""

JSON = Syntax(_is_in_json_string_after, _escape_json, _is_json_value, _json_value_error)
"""A JSON text. Outside quotes, a value is JSON that is complete."""


def expression_error(text: str, scope: VariableScope) -> tuple[str, int, int] | None:
    """Return what is wrong with an OData expression, and the offset and width of the wrong part.

    A variable is a single value, so that the expression has the same form in every row. Values
    that are not known outside quotes, those of rows and of an unknown environment, are valid if
    any value is; the values of rows are checked in each row.

    Args:
        text: The expression as written, whose references can all be resolved.
        scope: The sources of values.
    """
    _, _, unknown = _fill_expression(text, scope, ())
    if unknown > _MAX_UNKNOWN:
        return None
    error = None
    for placeholders in product(_PLACEHOLDERS, repeat=unknown):
        filled, offsets, _ = _fill_expression(text, scope, placeholders)
        try:
            check_filter(filled)
        except FilterError as found:
            start = _source_offset(offsets, found.start)
            end = _source_offset(offsets, found.start + found.width)
            error = error or (found.explanation, start, max(end - start, 1))
        else:
            return None
    return error


_PLACEHOLDERS = ("null", "true", "1")
"""A value of each type that a variable outside quotes can have."""
_MAX_UNKNOWN = 4
"""Expressions with more unknown values outside quotes are checked only with their values."""


def _fill_expression(
    text: str, scope: VariableScope, placeholders: Sequence[str]
) -> tuple[str, list[tuple[int, int]], int]:
    """Return the expression with its variables filled in, a table of offsets, and a count.

    Each entry of the table is an offset in the result and the same one in the text, in ascending
    order. The count is that of unknown values outside quotes, which are `placeholders` in turn.
    """
    unknown = 0
    parts: list[str] = []
    offsets = [(0, 0)]
    size = end = 0
    is_quoted = False
    for match in _REFERENCE.finditer(text):
        before = text[end : match.start()]
        is_quoted ^= before.count("'") % 2 == 1
        value = _known_value(match, scope)
        if is_quoted:
            value = _escape_quotes(value or "")
        elif value is None:
            value = placeholders[unknown] if placeholders else ""
            unknown += 1
        end = match.end()
        parts += (before, value)
        offsets.append((size + len(before), match.start()))
        size += len(before) + len(value)
        offsets.append((size, end))
    return "".join([*parts, text[end:]]), offsets, unknown


def _known_value(match: re.Match[str], scope: VariableScope) -> str | None:
    """Return the value of a reference, or None if it is in a row or known only at run time."""
    if _column(match) is not None:
        return None
    try:
        return _resolve(match, scope)
    except NotYetKnownError:
        return None


def _source_offset(offsets: list[tuple[int, int]], offset: int) -> int:
    index = bisect_right(offsets, offset, key=itemgetter(0)) - 1
    filled, source = offsets[index]
    is_value = index % 2 == 1  # inside of a value, the reference is wrong
    return source if is_value else source + offset - filled


def substitute(text: str, scope: VariableScope) -> str:
    """Substitute every `${…}` of a text.

    `$${` is a literal `${`. Substituted values are not searched for references.

    Raises:
        UndefinedError: A reference names no variable, or a row, which there is none of.
        ListReferenceError: It names a list.
        SecretReferenceError: It names a secret of the environment.
        TooLongError: The text is too long.
        NotYetKnownError: It names an environment variable, and the environment is not known.
    """
    if "${" not in text:
        return text
    template = parse_template(text, scope)
    for column in template.columns:
        reference = _reference_to(column)
        name = reference.removeprefix("${").removesuffix("}")
        raise UndefinedError(reference, _undefined_message(reference, name, scope))
    return template.fill({})


def _reference_to(column: str) -> str:
    return f"${{each.{column}}}" if column else "${each}"


def row_references(text: str) -> Iterator[tuple[str, str]]:
    """Yield each reference to a row in a text, and the column that it names."""
    for match in _matches(text):
        column = _column(match)
        if column is not None:
            yield match[0], column


def referenced_names(text: str) -> Iterator[str]:
    """Yield the names that the `${…}` of a text refer to, in order."""
    for match in _matches(text):
        if match["end"]:
            yield match["name"]


def reference_problem(  # noqa: PLR0913 -- what a problem is made of
    document: Document, path: Path, reference: str, message: str, rule: str, *, at_key: bool = False
) -> Problem:
    """Make a problem with one `${…}` in the text or key at a path, at its position."""
    problem = document.problem(message, rule, path, at_key=at_key)
    position = problem.position
    offset = problem.line.find(reference, position.column - 1) if position else -1
    if position is None or offset < 0:
        return problem
    position = Position(position.file, position.line, offset + 1)
    return problem._replace(position=position, width=len(reference))


def _matches(text: str) -> Iterator[re.Match[str]]:
    return _REFERENCE.finditer(text) if "${" in text else iter(())


def _column(match: re.Match[str]) -> str | None:
    name = match["name"]
    if name is None or not match["end"]:
        return None
    if name == "each":
        return VALUE_COLUMN
    return name.removeprefix("each.") if name.startswith("each.") else None


def _resolve(match: re.Match[str], scope: VariableScope) -> str:
    reference = match[0]
    if reference == "$${":
        return "${"
    name = match["name"]
    if not match["end"]:
        raise UndefinedError(reference, "`${` has no `}`; a literal `${` is written `$${`")
    if name.startswith("env."):
        return _from_environment(reference, name.removeprefix("env."), scope.environment)
    value = scope.variables.get(name)
    if value is None:
        if name in scope.unset:
            raise NotYetKnownError(name)
        raise UndefinedError(reference, _undefined_message(reference, name, scope))
    if isinstance(value, ListVariable):
        each = "${each.column}" if value.items and isinstance(value.items[0], dict) else "${each}"
        message = (
            f"`{reference}` is a list, which cannot be part of a text; write "
            f"`forEach: {reference}` and `{each}` here"
        )
        raise ListReferenceError(reference, message)
    return value


def list_of(reference: str, scope: VariableScope) -> ListVariable:
    """Return the list that a reference such as `${teams}` names.

    Raises:
        UndefinedError: It names no variable.
        ListReferenceError: The variable is not a list.
        NotYetKnownError: The variable is declared and has no value.
    """
    name = reference.removeprefix("${").removesuffix("}")
    value = scope.variables.get(name)
    if isinstance(value, ListVariable):
        return value
    if name in scope.unset:
        raise NotYetKnownError(name)
    if value is None:
        raise UndefinedError(reference, _undefined_message(reference, name, scope))
    message = (
        f"`{reference}` is a single value, and a list is needed; write it as a list in `vars`: "
        f"`{name}: [red, blue]`, or declare it: `{name}: {{type: list}}`"
    )
    raise ListReferenceError(reference, message)


def _refuse_secrets(text: str, scope: VariableScope) -> None:
    """Refuse secrets of the environment, also those whose values are not known yet.

    A playbook may be from somebody else, who must not receive them.
    """
    for match in _matches(text):
        prefix, dot, name = (match["name"] or "").partition(".")
        is_environment = prefix == "env" and dot and match["end"]
        reason = scope.refusal_of(name) if is_environment else None
        if reason is None:
            continue
        message = (
            f"the environment variable `{name}` {reason}, and a playbook must not send it; if it "
            f"is meant to, allow it with `--allow-env {shlex.quote(name)}`"
        )
        raise SecretReferenceError(match[0], message)


def _from_environment(reference: str, name: str, environment: Mapping[str, str] | None) -> str:
    if environment is None:
        raise NotYetKnownError(name)
    if name not in environment:
        raise UndefinedError(reference, f"the environment variable `{name}` is not set")
    return environment[name]


def _undefined_message(reference: str, name: str, scope: VariableScope) -> str:
    variables = [*scope.variables, *scope.unset]
    bare = name.strip()
    if bare != name and (bare in variables or bare == "each" or bare.startswith(("each.", "env."))):
        return f"`{reference}` has spaces in it; write `${{{bare}}}`"
    if not bare:
        return f"`{reference}` names no variable; a literal `${{` is written `$${{`"
    hint = did_you_mean(name, variables) or "; add it to `vars`, or give --var"
    return f"`{reference}` names no variable{hint}"
