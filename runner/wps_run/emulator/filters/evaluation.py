"""Filter expressions: check them and compile them to predicates on connections.

A filter is checked as a whole before it is used: a wrong type is an error even in a part that
would never be evaluated. Evaluating it costs a few function calls a connection.

Source: the service's OData filter reference. Text is compared with case, field names without.
Lengths and positions count characters.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from wps_run.emulator.filters.syntax import (
    Comparison,
    FilterError,
    FunctionCall,
    In,
    Junction,
    Literal,
    Name,
    Node,
    Not,
    parse,
)
from wps_run.emulator.hub import Connection, Predicate


class _Type(StrEnum):
    NULL = "null"
    BOOL = "bool"
    STRING = "string"
    INT = "int"
    COLLECTION = "collection"


@dataclass(frozen=True, slots=True)
class _Term:
    """A checked expression. `evaluate` returns a value of the type, or None if a part is null."""

    type: _Type
    evaluate: Callable[[Connection], Any]


def compile_filter(text: str) -> Predicate:
    """Parse, check and compile a filter to a predicate that never raises.

    Raises:
        FilterError: The filter is invalid; the message is that of the service.
    """
    node = parse(text)
    term = _compile(node, text)
    _require(term, _Type.BOOL, node)
    return term.evaluate


def _compile(node: Node, context: Node | str) -> _Term:
    """Compile one expression; `context` is the expression around it, for error messages."""
    match node:
        case Literal():
            term = _literal(node)
        case Name():
            term = _field(node, context)
        case Not():
            term = _not(node, context)
        case Junction():
            term = _junction(node)
        case Comparison():
            term = _comparison(node)
        case In():
            term = _membership(node)
        case FunctionCall():
            term = _call(node)
        case _:
            assert_never(node)
    return term


def _require(term: _Term, expected: _Type, context: Node) -> None:
    if term.type is not expected:
        raise FilterError(context, f"Type '{term.type}', expect '{expected}'.")


def _literal(node: Literal) -> _Term:
    value = node.value
    types = {type(None): _Type.NULL, bool: _Type.BOOL, str: _Type.STRING, int: _Type.INT}
    return _Term(types[type(value)], lambda _: value)


_FIELDS = {
    "connectionid": _Term(_Type.STRING, lambda subject: subject.connection_id),
    "userid": _Term(_Type.STRING, lambda subject: subject.user_id),
    "protocol": _Term(_Type.STRING, lambda subject: subject.protocol),
    "groups": _Term(_Type.COLLECTION, lambda subject: subject.groups),
}


def _field(node: Name, context: Node | str) -> _Term:
    try:
        return _FIELDS[node.text.lower()]
    except KeyError:
        raise FilterError(context, f"Token '{node}' is not supported.") from None


def _not(node: Not, context: Node | str) -> _Term:
    operand = _compile(node.operand, context)
    _require(operand, _Type.BOOL, node)
    evaluate = operand.evaluate
    return _Term(_Type.BOOL, lambda subject: not evaluate(subject))


def _junction(node: Junction) -> _Term:
    terms = [_compile(operand, node) for operand in node.operands]
    for term in terms:
        _require(term, _Type.BOOL, node)
    evaluates = [term.evaluate for term in terms]
    combine = all if node.operator == "and" else any
    return _Term(_Type.BOOL, lambda subject: combine(evaluate(subject) for evaluate in evaluates))


def _comparison(node: Comparison) -> _Term:
    left, right = _compile(node.left, node), _compile(node.right, node)
    if node.operator in {"eq", "ne"}:
        is_equal = _equality(left, right)
        expected = node.operator == "eq"
        return _Term(_Type.BOOL, lambda subject: is_equal(subject) is expected)
    for term in (left, right):
        if term.type is not _Type.NULL:
            _require(term, _Type.INT, node)
    holds = _ORDERINGS[node.operator]

    def compare(subject: Connection) -> bool:
        a, b = left.evaluate(subject), right.evaluate(subject)
        return a is not None and b is not None and holds(a, b)

    return _Term(_Type.BOOL, compare)


_ORDERINGS: dict[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def _equality(left: _Term, right: _Term) -> Callable[[Connection], bool]:
    """Compare values: two types are never equal (in Python, 1 and True are), but two nulls are."""
    if left.type is right.type or _Type.NULL in {left.type, right.type}:
        return lambda subject: bool(left.evaluate(subject) == right.evaluate(subject))
    return lambda subject: left.evaluate(subject) is None and right.evaluate(subject) is None


def _membership(node: In) -> _Term:
    left = _compile(node.left, node)
    if isinstance(node.right, tuple):
        values = {(type(item.value), item.value) for item in node.right}

        def is_listed(subject: Connection) -> bool:
            value = left.evaluate(subject)
            return isinstance(value, str | int | None) and (type(value), value) in values

        return _Term(_Type.BOOL, is_listed)
    right = _compile(node.right, node)
    _require(right, _Type.COLLECTION, node)

    def is_contained(subject: Connection) -> bool:
        value = left.evaluate(subject)
        return isinstance(value, str) and value in right.evaluate(subject)

    return _Term(_Type.BOOL, is_contained)


@dataclass(frozen=True, slots=True)
class _Function:
    """One signature of a function.

    Attributes:
        parameters: The allowed types of each argument, besides null; errors name the first.
        result: The type of the result.
        call: Computes the result.
        null_result: The result when an argument is null.
        accepts_null: Whether `call` is used even then.
    """

    parameters: tuple[tuple[_Type, ...], ...]
    result: _Type
    call: Callable[..., Any]
    null_result: Any = None
    accepts_null: bool = False


_S, _I, _C = (_Type.STRING,), (_Type.INT,), (_Type.STRING, _Type.COLLECTION)


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    """Return a part of a text, or None when it would extend beyond the text."""
    end = len(text) if length is None else start + length
    return text[start:end] if 0 <= start <= end <= len(text) else None


def _concat(left: str | None, right: str | None) -> str | None:
    """Concatenate two texts: one null is an empty text, two nulls are null."""
    return None if left is None and right is None else (left or "") + (right or "")


_FUNCTIONS: dict[str, tuple[_Function, ...]] = {
    "tolower": (_Function((_S,), _Type.STRING, str.lower),),
    "toupper": (_Function((_S,), _Type.STRING, str.upper),),
    "trim": (_Function((_S,), _Type.STRING, str.strip),),
    "length": (_Function((_C,), _Type.INT, len),),
    "contains": (_Function((_S, _S), _Type.BOOL, str.__contains__, null_result=False),),
    "startswith": (_Function((_S, _S), _Type.BOOL, str.startswith, null_result=False),),
    "endswith": (_Function((_S, _S), _Type.BOOL, str.endswith, null_result=False),),
    "indexof": (_Function((_S, _S), _Type.INT, str.find, null_result=-1),),
    "concat": (_Function((_S, _S), _Type.STRING, _concat, accepts_null=True),),
    "substring": (
        _Function((_S, _I), _Type.STRING, _substring),
        _Function((_S, _I, _I), _Type.STRING, _substring),
    ),
}


def _call(node: FunctionCall) -> _Term:
    if node.function not in _FUNCTIONS:
        raise FilterError(node, f"Token '{node}' is not supported.")
    terms = [_compile(argument, node) for argument in node.arguments]
    for function in _FUNCTIONS[node.function]:
        if len(function.parameters) == len(terms):
            return _apply(function, terms, node)
    raise FilterError(node, f"Invalid token '{node}'.")


def _apply(function: _Function, terms: list[_Term], node: FunctionCall) -> _Term:
    for term, types in zip(terms, function.parameters, strict=True):
        if term.type is not _Type.NULL and term.type not in types:
            raise FilterError(node, f"Type '{term.type}', expect '{types[0]}'.")
    evaluates = [term.evaluate for term in terms]

    def evaluate(subject: Connection) -> Any:  # noqa: ANN401 - a value of the type `function.result`
        values = [evaluate(subject) for evaluate in evaluates]
        if None in values and not function.accepts_null:
            return function.null_result
        return function.call(*values)

    return _Term(function.result, evaluate)
