"""A schema turned into a function that says whether data fits it, and nothing more.

Of the data that people check, nearly all is right. For that, a call of plain functions takes a
tenth of the time of jsonschema, which need not even be imported; where data does not fit,
jsonschema says why. The rules are the schema's, and a test holds the two to one verdict.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from functools import cache, cached_property
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft7Validator, ValidationError

Json = Mapping[str, Any]
Predicate = Callable[[Any], bool]


class CompiledSchema:
    """A schema, ready to be held against data."""

    def __init__(self, schema: Json) -> None:
        self._schema = schema

    def errors(self, data: Any) -> "Iterator[ValidationError]":  # noqa: ANN401 -- any data
        """What is wrong with the data, in jsonschema's terms; of data that fits, nothing."""
        if not self._fits(data):
            yield from self._validator.iter_errors(data)

    @cached_property
    def _fits(self) -> Predicate:
        return compile_schema(self._schema)

    @cached_property
    def _validator(self) -> "Draft7Validator":
        from jsonschema import Draft7Validator  # noqa: PLC0415 -- half of the time of a start

        return Draft7Validator(self._schema)


def compile_schema(schema: Json | bool) -> Predicate:  # noqa: FBT001 -- `true` and `false` are schemas
    """The check that a schema of draft 7 stands for.

    Args:
        schema: A schema without references.

    Raises:
        KeyError: It has a keyword that is not known here.
    """
    if isinstance(schema, bool):
        return lambda _: schema
    if schema.get("type") == "string" and schema.keys() <= _OF_TEXT:
        return _text(schema)
    made = [_KEYWORDS[key](value, schema) for key, value in schema.items() if key not in _WORDS]
    return conjunction(made)


def conjunction(checks: Sequence[Predicate]) -> Predicate:
    """The check that says yes where all of them do, asked in their order."""
    if not checks:
        return _anything
    first, *others = checks
    if not others:
        return first
    second, *others = others
    if not others:
        return lambda data: first(data) and second(data)
    rest = conjunction(others)
    return lambda data: first(data) and second(data) and rest(data)


_WORDS = frozenset({"$schema", "$id", "title", "description"})
"""Keywords that say nothing about the data."""


_OF_TEXT = _WORDS | {"type", "minLength", "maxLength", "pattern"}


def _text(schema: Json) -> Predicate:
    """The check of a text; one call, since the cells of rows are judged by little else."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", inf)
    pattern = schema.get("pattern")
    return lambda data: (
        isinstance(data, str)
        and least <= len(data) <= most
        and (pattern is None or _compiled(pattern).search(data) is not None)
    )


def _anything(_: object) -> bool:
    return True


def _is_number(data: object) -> bool:
    return isinstance(data, int | float) and not isinstance(data, bool)


_TYPES: Mapping[str, Predicate] = MappingProxyType(
    {
        "object": lambda data: isinstance(data, dict),
        "array": lambda data: isinstance(data, list),
        "string": lambda data: isinstance(data, str),
        "boolean": lambda data: isinstance(data, bool),
        "null": lambda data: data is None,
        "number": _is_number,
        "integer": lambda data: _is_number(data) and (isinstance(data, int) or data.is_integer()),
    }
)


def _equals(value: str, _: Json) -> Predicate:
    return lambda data: isinstance(data, str) and data == value


def _enum(values: list[str], _: Json) -> Predicate:
    known = frozenset(values)
    return lambda data: isinstance(data, str) and data in known


def _pattern(pattern: str, _: Json) -> Predicate:
    return lambda data: not isinstance(data, str) or _compiled(pattern).search(data) is not None


_compiled = cache(re.compile)
"""Patterns, compiled when they are first needed, which for most of them is never."""


def _items(schema: Json, _: Json) -> Predicate:
    check = compile_schema(schema)
    return lambda data: not isinstance(data, list) or all(map(check, data))


def _properties(named: Mapping[str, Json], schema: Json) -> Predicate:
    """Judges each entry by its key: by its name, else by `additionalProperties`."""
    checks = {key: compile_schema(part) for key, part in named.items()}
    patterns = tuple(schema.get("patternProperties", ()))
    others = compile_schema(schema.get("additionalProperties", True))

    def judge(data: Any) -> bool:  # noqa: ANN401 -- any data
        if not isinstance(data, dict):
            return True
        for key, value in data.items():
            check = checks.get(key)
            if check is not None:
                if not check(value):
                    return False
            elif not (others(value) or any(_compiled(pattern).search(key) for pattern in patterns)):
                return False
        return True

    return judge


def _additional(_: Json | bool, schema: Json) -> Predicate:  # noqa: FBT001 -- a schema
    """What `_properties` has judged, unless there are none."""
    return _anything if "properties" in schema else _properties({}, schema)


def _pattern_properties(patterns: Mapping[str, Json], _: Json) -> Predicate:
    checks = [(pattern, compile_schema(part)) for pattern, part in patterns.items()]
    return lambda data: (
        not isinstance(data, dict)
        or all(
            check(value)
            for pattern, check in checks
            for key, value in data.items()
            if _compiled(pattern).search(key)
        )
    )


def _property_names(schema: Json, _: Json) -> Predicate:
    check = compile_schema(schema)
    return lambda data: not isinstance(data, dict) or all(map(check, data))


def _required(names: list[str], _: Json) -> Predicate:
    return lambda data: not isinstance(data, dict) or all(name in data for name in names)


def _any_of(schemas: list[Json], _: Json) -> Predicate:
    checks = [compile_schema(schema) for schema in schemas]
    return lambda data: any(check(data) for check in checks)


def _one_of(schemas: list[Json], _: Json) -> Predicate:
    checks = [compile_schema(schema) for schema in schemas]
    return lambda data: sum(check(data) for check in checks) == 1


def _if(condition: Json, schema: Json) -> Predicate:
    when = compile_schema(condition)
    then, otherwise = (
        compile_schema(schema.get("then", True)),
        compile_schema(schema.get("else", True)),
    )
    return lambda data: then(data) if when(data) else otherwise(data)


def _branch(_: Json, __: Json) -> Predicate:
    return _anything  # `_if` has judged it


def _sized(kind: type[Sized]) -> Mapping[str, Callable[[int, Json], Predicate]]:
    """At least so long, at most so long; for data of one type."""
    return {
        "min": lambda least, _: lambda data: not isinstance(data, kind) or len(data) >= least,
        "max": lambda most, _: lambda data: not isinstance(data, kind) or len(data) <= most,
    }


_KEYWORDS: Mapping[str, Callable[[Any, Json], Predicate]] = MappingProxyType(
    {
        "type": lambda name, _: _TYPES[name],
        "const": _equals,
        "enum": _enum,
        "pattern": _pattern,
        "minLength": _sized(str)["min"],
        "maxLength": _sized(str)["max"],
        "minItems": _sized(list)["min"],
        "minProperties": _sized(dict)["min"],
        "minimum": lambda least, _: lambda data: not _is_number(data) or data >= least,
        "maximum": lambda most, _: lambda data: not _is_number(data) or data <= most,
        "exclusiveMinimum": lambda least, _: lambda data: not _is_number(data) or data > least,
        "items": _items,
        "properties": _properties,
        "additionalProperties": _additional,
        "patternProperties": _pattern_properties,
        "propertyNames": _property_names,
        "required": _required,
        "anyOf": _any_of,
        "oneOf": _one_of,
        "if": _if,
        "then": _branch,
        "else": _branch,
    }
)
"""Keyword to what makes its check from its value and the schema that it stands in."""
