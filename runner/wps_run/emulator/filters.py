"""Compile a checked filter expression to a predicate on connections.

Evaluating it costs a few function calls a connection.

Source: the service's OData filter reference. Text is compared with case, field names without.
Lengths and positions count characters.
"""

import operator
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, assert_never

from wps_run.emulator.hub import Connection, Predicate
from wps_run.odata.checker import FilterType, check_filter, type_of
from wps_run.odata.syntax import Comparison, FunctionCall, In, Junction, Literal, Name, Node, Not

_Evaluate = Callable[[Connection], Any]
"""Returns the value of an expression, or None if a part of it is null."""


def compile_filter(text: str) -> Predicate:
    """Parse, check and compile a filter to a predicate that never raises.

    Raises:
        FilterError: The filter is invalid; the message is that of the service.
    """
    return _compile(check_filter(text))


def _compile(node: Node) -> _Evaluate:  # noqa: PLR0911 -- one for each kind of node
    match node:
        case Literal(value):
            return lambda _: value
        case Name(text):
            return _FIELDS[text.lower()]
        case Not(operand):
            evaluate = _compile(operand)
            return lambda subject: not evaluate(subject)
        case Junction():
            return _junction(node)
        case Comparison():
            return _comparison(node)
        case In():
            return _membership(node)
        case FunctionCall():
            return _call(node)
        case _:
            assert_never(node)


_FIELDS: Mapping[str, _Evaluate] = {
    "connectionid": lambda subject: subject.connection_id,
    "userid": lambda subject: subject.user_id,
    "protocol": lambda subject: subject.protocol,
    "groups": lambda subject: subject.groups,
}


def _junction(node: Junction) -> _Evaluate:
    evaluates = [_compile(operand) for operand in node.operands]
    combine = all if node.operator == "and" else any
    return lambda subject: combine(evaluate(subject) for evaluate in evaluates)


def _comparison(node: Comparison) -> _Evaluate:
    left, right = _compile(node.left), _compile(node.right)
    if node.operator in {"eq", "ne"}:
        types = {type_of(node.left), type_of(node.right)}
        is_equal = _equality(left, right, types)
        expected = node.operator == "eq"
        return lambda subject: is_equal(subject) is expected
    holds = _ORDERINGS[node.operator]

    def compare(subject: Connection) -> bool:
        a, b = left(subject), right(subject)
        return a is not None and b is not None and holds(a, b)

    return compare


_ORDERINGS: dict[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def _equality(
    left: _Evaluate, right: _Evaluate, types: AbstractSet[FilterType]
) -> Callable[[Connection], bool]:
    """Compare values: two types are never equal (in Python, 1 and True are), but two nulls are."""
    if len(types) == 1 or FilterType.NULL in types:
        return lambda subject: bool(left(subject) == right(subject))
    return lambda subject: left(subject) is None and right(subject) is None


def _membership(node: In) -> _Evaluate:
    left = _compile(node.left)
    if isinstance(node.right, tuple):
        values = {(type(item.value), item.value) for item in node.right}

        def is_listed(subject: Connection) -> bool:
            value = left(subject)
            return isinstance(value, str | int | None) and (type(value), value) in values

        return is_listed
    right = _compile(node.right)

    def is_contained(subject: Connection) -> bool:
        value = left(subject)
        return isinstance(value, str) and value in right(subject)

    return is_contained


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    """Return a part of a text, or None when it would extend beyond the text."""
    end = len(text) if length is None else start + length
    return text[start:end] if 0 <= start <= end <= len(text) else None


def _concat(left: str | None, right: str | None) -> str | None:
    """Concatenate two texts: one null is an empty text, two nulls are null."""
    return None if left is None and right is None else (left or "") + (right or "")


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "tolower": str.lower,
    "toupper": str.upper,
    "trim": str.strip,
    "length": len,
    "contains": str.__contains__,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "indexof": str.find,
    "concat": _concat,
    "substring": _substring,
}
_NULL_RESULTS = {"contains": False, "startswith": False, "endswith": False, "indexof": -1}
"""The result of a function when an argument is null, if it is not null."""


def _call(node: FunctionCall) -> _Evaluate:
    evaluates = [_compile(argument) for argument in node.arguments]
    call = _FUNCTIONS[node.function]
    accepts_null = node.function == "concat"
    null_result = _NULL_RESULTS.get(node.function)

    def evaluate(subject: Connection) -> Any:  # noqa: ANN401 - a value of the function's type
        values = [evaluate(subject) for evaluate in evaluates]
        if None in values and not accepts_null:
            return null_result
        return call(*values)

    return evaluate
