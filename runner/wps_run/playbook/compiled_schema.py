"""Compile a JSON Schema to a predicate that returns whether data is valid.

Most data that is checked is valid. For it, a predicate takes a tenth of the time of jsonschema,
which is not even imported; jsonschema lists the errors of data that is not valid. A test ensures
that both agree.
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
    """A schema that is compiled when it is first used."""

    def __init__(self, schema: Json) -> None:
        self._schema = schema

    def errors(self, data: Any) -> "Iterator[ValidationError]":  # noqa: ANN401 -- any data
        """Yield the errors of the data as jsonschema reports them; none if it is valid."""
        if not self.is_valid(data):
            yield from self.list_errors(data)

    def list_errors(self, data: Any) -> "Iterator[ValidationError]":  # noqa: ANN401 -- any data
        """Yield the errors of data that is not valid."""
        return self._validator.iter_errors(data)

    @cached_property
    def is_valid(self) -> Predicate:
        """The function that returns whether data is valid."""
        return compile_schema(self._schema)

    @cached_property
    def _validator(self) -> "Draft7Validator":
        from jsonschema import Draft7Validator  # noqa: PLC0415 -- 30 ms

        return Draft7Validator(self._schema)


def compile_schema(schema: Json | bool) -> Predicate:  # noqa: FBT001 -- `true` and `false` are schemas
    """Compile a schema of draft 7 without references.

    Raises:
        KeyError: The schema has a keyword that is not supported.
    """
    if isinstance(schema, bool):
        return lambda _: schema
    if schema.get("type") == "string" and schema.keys() <= _STRING_KEYWORDS:
        return _string(schema)
    return conjunction(
        [_KEYWORDS[key](value, schema) for key, value in schema.items() if key not in _ANNOTATIONS]
    )


def conjunction(predicates: Sequence[Predicate]) -> Predicate:
    """Combine predicates into one that is true where all are; they run in their order."""
    if not predicates:
        return _accept
    first, *others = predicates
    if not others:
        return first
    second, *others = others
    if not others:
        return lambda data: first(data) and second(data)
    rest = conjunction(others)
    return lambda data: first(data) and second(data) and rest(data)


_ANNOTATIONS = frozenset({"$schema", "$id", "title", "description"})
"""Keywords that do not constrain the data."""

_STRING_KEYWORDS = _ANNOTATIONS | {"type", "minLength", "maxLength", "pattern"}


def _string(schema: Json) -> Predicate:
    """Compile the schema of a string to one function, since most cells of rows are strings."""
    minimum, maximum = schema.get("minLength", 0), schema.get("maxLength", inf)
    pattern = schema.get("pattern")
    return lambda data: (
        isinstance(data, str)
        and minimum <= len(data) <= maximum
        and (pattern is None or _compiled(pattern).search(data) is not None)
    )


def _accept(_: object) -> bool:
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
    allowed = frozenset(values)
    return lambda data: isinstance(data, str) and data in allowed


def _pattern(pattern: str, _: Json) -> Predicate:
    return lambda data: not isinstance(data, str) or _compiled(pattern).search(data) is not None


_compiled = cache(re.compile)
"""Compile a pattern when it is first used; most never are."""


def _items(schema: Json, _: Json) -> Predicate:
    is_valid = compile_schema(schema)
    return lambda data: not isinstance(data, list) or all(map(is_valid, data))


def _properties(properties: Mapping[str, Json], schema: Json) -> Predicate:
    """Check each entry by the schema of its key, or else by `additionalProperties`."""
    predicates = {key: compile_schema(part) for key, part in properties.items()}
    patterns = tuple(schema.get("patternProperties", ()))
    additional = compile_schema(schema.get("additionalProperties", True))

    def is_valid(data: Any) -> bool:  # noqa: ANN401 -- any data
        if not isinstance(data, dict):
            return True
        for key, value in data.items():
            predicate = predicates.get(key)
            if predicate is not None:
                if not predicate(value):
                    return False
            elif not (
                additional(value) or any(_compiled(pattern).search(key) for pattern in patterns)
            ):
                return False
        return True

    return is_valid


def _additional(_: Json | bool, schema: Json) -> Predicate:  # noqa: FBT001 -- a schema
    """Check all entries, unless `_properties` does because the schema has `properties`."""
    return _accept if "properties" in schema else _properties({}, schema)


def _pattern_properties(patterns: Mapping[str, Json], _: Json) -> Predicate:
    predicates = [(pattern, compile_schema(part)) for pattern, part in patterns.items()]
    return lambda data: (
        not isinstance(data, dict)
        or all(
            predicate(value)
            for pattern, predicate in predicates
            for key, value in data.items()
            if _compiled(pattern).search(key)
        )
    )


def _property_names(schema: Json, _: Json) -> Predicate:
    is_valid = compile_schema(schema)
    return lambda data: not isinstance(data, dict) or all(map(is_valid, data))


def _required(names: list[str], _: Json) -> Predicate:
    return lambda data: not isinstance(data, dict) or all(name in data for name in names)


def _any_of(schemas: list[Json], _: Json) -> Predicate:
    predicates = [compile_schema(schema) for schema in schemas]
    return lambda data: any(is_valid(data) for is_valid in predicates)


def _one_of(schemas: list[Json], _: Json) -> Predicate:
    predicates = [compile_schema(schema) for schema in schemas]
    return lambda data: sum(is_valid(data) for is_valid in predicates) == 1


def _if(condition: Json, schema: Json) -> Predicate:
    applies = compile_schema(condition)
    then = compile_schema(schema.get("then", True))
    otherwise = compile_schema(schema.get("else", True))
    return lambda data: then(data) if applies(data) else otherwise(data)


def _branch(_: Json, __: Json) -> Predicate:
    return _accept  # `_if` evaluates both branches


def _at_least(data_type: type[Sized]) -> Callable[[int, Json], Predicate]:
    """Make the keyword for a minimum length of data of one type."""
    return lambda minimum, _: lambda data: not isinstance(data, data_type) or len(data) >= minimum


def _at_most(data_type: type[Sized]) -> Callable[[int, Json], Predicate]:
    """Make the keyword for a maximum length of data of one type."""
    return lambda maximum, _: lambda data: not isinstance(data, data_type) or len(data) <= maximum


_KEYWORDS: Mapping[str, Callable[[Any, Json], Predicate]] = MappingProxyType(
    {
        "type": lambda name, _: _TYPES[name],
        "const": _equals,
        "enum": _enum,
        "pattern": _pattern,
        "minLength": _at_least(str),
        "maxLength": _at_most(str),
        "minItems": _at_least(list),
        "maxItems": _at_most(list),
        "minProperties": _at_least(dict),
        "maxProperties": _at_most(dict),
        "minimum": lambda bound, _: lambda data: not _is_number(data) or data >= bound,
        "maximum": lambda bound, _: lambda data: not _is_number(data) or data <= bound,
        "exclusiveMinimum": lambda bound, _: lambda data: not _is_number(data) or data > bound,
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
"""Keyword to the function that compiles its value; it also receives the schema around it."""
