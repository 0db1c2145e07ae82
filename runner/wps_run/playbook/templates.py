"""Substitute `${name}` in strings: plain text replacement, without expressions.

In an OData expression and in JSON, a variable is a value and cannot become another part of the
text.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from operator import itemgetter
from typing import NamedTuple

from wps_run.actions.payload import compact_json
from wps_run.document.document import Path
from wps_run.document.json import json_error
from wps_run.input_limits import EXPANDED
from wps_run.odata import filter_error
from wps_run.playbook.references import (
    REFERENCE,
    FilterFormError,
    FilterValueError,
    JsonValueError,
    NotYetKnownError,
    TooLongError,
    UndefinedError,
    UnusableReferenceError,
    column_of,
    reference_to,
    refuse_secrets,
    resolve_reference,
    undefined_message,
)
from wps_run.playbook.variables import VariableScope

_FEW_PARTS = 9
"""Four cells and the texts around them: at most four lines of a file of rows."""


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
            raise TooLongError(reference_to(self.columns[-1]))
        text = "".join(filled)
        if len(text) > EXPANDED.value:
            raise TooLongError(reference_to(self.columns[-1]) if self.columns else "${…}")
        return text

    def expression_problem(
        self, cells: Mapping[str, str]
    ) -> tuple[str, UnusableReferenceError] | None:
        """Return a column outside quotes and why the text with its cells is invalid, or None."""
        unusable = self.unusable_column(cells)
        if unusable or self.syntax is not EXPRESSION:
            return unusable
        if error := filter_error(self.fill(cells)):
            column = self.columns[self.quoted.index(False)]
            message = f"{error.explanation} (after its variables are filled in)"
            return column, FilterFormError(reference_to(column), message)
        return None

    def unusable_column(
        self, cells: Mapping[str, str]
    ) -> tuple[str, UnusableReferenceError] | None:
        """Return the column whose value cannot stand outside quotes, and why; or None."""
        for column, is_quoted in zip(self.columns, self.quoted, strict=False):
            if self.syntax and not is_quoted and not self.syntax.is_value(cells[column]):
                return column, self.syntax.error(reference_to(column))
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
    refuse_secrets(text, scope)
    parts: list[str] = []
    literal: list[str] = []
    quoted: list[bool] = []
    is_quoted = False
    end = size = 0
    for match in REFERENCE.finditer(text):
        before = text[end : match.start()]
        if syntax:
            is_quoted = syntax.is_quoted_after(before, is_quoted)
        literal.append(before)
        end = match.end()
        column = column_of(match)
        if column is None:
            value = resolve_reference(match, scope)
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
        found = filter_error(filled)
        if not found:
            return None
        start = _source_offset(offsets, found.start)
        end = _source_offset(offsets, found.start + found.width)
        error = error or (found.explanation, start, max(end - start, 1))
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
    for match in REFERENCE.finditer(text):
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
    if column_of(match) is not None:
        return None
    try:
        return resolve_reference(match, scope)
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
        reference = reference_to(column)
        name = reference.removeprefix("${").removesuffix("}")
        raise UndefinedError(reference, undefined_message(reference, name, scope))
    return template.fill({})
