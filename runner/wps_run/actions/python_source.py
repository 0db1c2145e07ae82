"""Render the action table as Python source: a class for each action."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from wps_run.actions.fields import (
    DATA,
    DATA_LIMIT,
    DATA_TYPE,
    NAME_LIMIT,
    Field,
    FieldType,
)
from wps_run.actions.names import argument_name, class_name
from wps_run.actions.table import Action

_COLUMNS = 100

_HEAD = f'''"""The classes of typed actions, one for each row of the action table.

Generated from it by `python docs/generate.py`. Do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from wps_run.playbook.typed import TEXT, Data, DataType, Strings, TypedAction

_NAMES = {NAME_LIMIT // 2}
"""Names that are not longer in total have at most {NAME_LIMIT:,} UTF-16 units each."""

_DATA = {DATA_LIMIT // 4}
"""Data with no more characters has at most {DATA_LIMIT:,} bytes."""
'''

_SUMMARIES = {
    DATA.name: (
        "The message: text, bytes (sent as `binary`), or another value, which is sent as JSON. "
        "At most 1 MiB. The attribute is the text or the bytes that are sent."
    ),
    DATA_TYPE.name: (
        "How the data is sent and received; follows from `data` when left out. `text`: Plain "
        "text, or UTF-8 in bytes. `json`: JSON in a text, or another value. `binary`: Bytes, or "
        "base64 in a text."
    ),
}
"""The arguments that take more in Python than in a playbook."""

_COMPARED_WITH = {FieldType.STRINGS: "== ()", FieldType.CHOICE: "is TEXT"}
"""How an optional argument is compared with its default; `is None` for the other types."""


def render_python(actions: Mapping[str, Action]) -> str:
    """Render the module with the classes, formatted as ruff does."""
    classes = "".join(f"\n\n{_class(action)}" for action in actions.values())
    entries = "".join(f"        {_entry(action)},\n" for action in actions.values())
    return (
        f"{_HEAD}{classes}\n\nACTIONS: Mapping[str, type[TypedAction]] = MappingProxyType(\n"
        f'    {{\n{entries}    }}\n)\n"""The classes by `actionName`, in the order of the table. '
        'Each has a docstring for `help`."""\n'
    )


def _entry(action: Action) -> str:
    return f'"{action.name}": {class_name(action.name)}'


def _class(action: Action) -> str:
    fields = sorted(action.service_fields, key=lambda field: not field.required)
    attributes = "\n".join(f"    {_attribute(field)}" for field in fields)
    arguments = "".join(f"            {_argument(field)},\n" for field in fields)
    return f'''class {class_name(action.name)}(TypedAction, frozen=True, kw_only=True):
    """{action.summary}

    Args:
{_argument_docs(fields)}

    Raises:
        PlaybookError: A value is wrong.
    """

    action_name: ClassVar[str] = "{action.name}"
{attributes}

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
{arguments}        ) -> None: ...

    def __post_init__(self) -> None:
{_post_init(fields)}
'''


def _argument_docs(fields: Iterable[Field]) -> str:
    return "\n".join(
        textwrap.fill(
            f"{argument_name(field.name)}: {' '.join(_description(field))}",
            _COLUMNS,
            initial_indent=" " * 8,
            subsequent_indent=" " * 12,
            break_long_words=False,
        )
        for field in fields
    )


def _description(field: Field) -> Iterator[str]:
    yield _SUMMARIES.get(field.name, field.summary)
    if field.name not in _SUMMARIES:
        yield from (f"`{value}`: {meaning}" for value, meaning in field.choices.items())
    if field.is_name and field.limit is not None:
        yield f"At most {field.limit:,} UTF-16 units."
    if field.minimum is not None:
        yield f"From {field.minimum} to {field.maximum}."


def _attribute(field: Field) -> str:
    optional = not field.required
    name = argument_name(field.name)
    match field.type:
        case FieldType.DATA:
            return f"{name}: str | bytes"
        case FieldType.STRINGS:
            return f"{name}: tuple[str, ...]{' = ()' if optional else ''}"
        case FieldType.CHOICE if field is DATA_TYPE:
            return f"{name}: DataType = TEXT"
        case _:
            return f"{name}: {_type(field)}{' | None = None' if optional else ''}"


def _argument(field: Field) -> str:
    """Return what the constructor takes, which it brings to the type of the attribute."""
    optional = not field.required
    name = argument_name(field.name)
    match field.type:
        case FieldType.DATA:
            return f"{name}: Data"
        case FieldType.STRINGS:
            return f"{name}: Strings{' = ...' if optional else ''}"
        case FieldType.CHOICE if field is DATA_TYPE:
            return f"{name}: DataType = ..."
        case _:
            return f"{name}: {_type(field)}{' | None = ...' if optional else ''}"


def _type(field: Field) -> str:
    if field.type is FieldType.CHOICE:
        choices = ", ".join(f'"{choice}"' for choice in field.choices)
        return f"Literal[{choices}]"
    return "int" if field.type is FieldType.INTEGER else "str"


def _post_init(fields: Iterable[Field]) -> str:
    """Return the statements that accept the usual values, and check all others."""
    required = [field for field in fields if field.required]
    if any(field.type is FieldType.STRINGS or field.is_expression for field in required):
        return "        self._check()"
    arguments = [argument_name(field.name) for field in required]
    assignments = "".join(f"        {name} = self.{name}\n" for name in arguments)
    conditions = [*_name_conditions(required), *_other_conditions(fields)]
    line = f"        if not ({' and '.join(conditions)}):"
    if len(line) > _COLUMNS:
        separator = "\n            and "
        line = f"        if not (\n            {separator.join(conditions)}\n        ):"
    return f"{assignments}{line}\n            self._check()"


def _name_conditions(required: Iterable[Field]) -> Iterator[str]:
    """Yield what is true of valid names, all of them at once."""
    names = [argument_name(field.name) for field in required if field.is_name]
    for name in names:
        yield f"type({name}) is str"
        # Then it is not empty, and its first character is neither a blank nor `.` nor `/`.
        yield f'{name} > "/"'
    if names:
        joined = " + ".join(names)
        yield f"(names := {joined}).isprintable()" if names[1:] else f"{joined}.isprintable()"
        all_names = "names" if names[1:] else joined
        yield f'"/" not in {all_names}'
        yield f"len({all_names}) <= _NAMES"


def _other_conditions(fields: Iterable[Field]) -> Iterator[str]:
    for field in fields:
        name = argument_name(field.name)
        if not field.required:
            yield f"self.{name} {_COMPARED_WITH.get(field.type, 'is None')}"
        elif field.type is FieldType.CHOICE:
            choices = ", ".join(f'"{choice}"' for choice in field.choices)
            yield f"{name} in ({choices})"
        elif field.type is FieldType.DATA:
            yield f"type({name}) is str"
            yield f"({name}.isascii() or {name}.isprintable())"  # then it has no surrogates
            yield f"len({name}) <= _DATA"
