"""Filter expressions: which connections a send or a bulk change selects.

A filter is checked as a whole before it is used: a wrong type is refused even where evaluation
would never come to it. Its cost per connection is then a few function calls.

Source: the service's OData filter reference. Text is compared with case; names of fields are
not. Lengths and positions count characters.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, assert_never

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


class Subject(Protocol):
    """What a filter can ask of a connection."""

    @property
    def connection_id(self) -> str:
        """Its ID."""

    @property
    def user_id(self) -> str | None:
        """Whose it is."""

    @property
    def protocol(self) -> str | None:
        """The subprotocol it speaks."""

    @property
    def groups(self) -> Collection[str]:
        """The groups it is in."""


class _Type(StrEnum):
    NULL = "null"
    BOOL = "bool"
    STRING = "string"
    INT = "int"
    COLLECTION = "collection"


_Run = Callable[[Subject], Any]


@dataclass(frozen=True, slots=True)
class _Term:
    """A checked expression. `run` gives a value of the type, or None where a part is null."""

    type: _Type
    run: _Run


def compile_filter(text: str) -> Callable[[Subject], bool]:
    """Read and check a filter.

    Returns:
        A function that says whether a connection is selected. It never raises.

    Raises:
        FilterError: The filter is wrong; the message says where and why, as the service does.
    """
    node = parse(text)
    term = _compile(node, text)
    _require(term, _Type.BOOL, node)
    return term.run


def _compile(node: Node, context: Node | str) -> _Term:
    """Check one expression; `context` is the expression around it, which errors quote."""
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


def _require(term: _Term, wanted: _Type, context: Node) -> None:
    if term.type is not wanted:
        raise FilterError(context, f"Type '{term.type}', expect '{wanted}'.")


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
    run = operand.run
    return _Term(_Type.BOOL, lambda subject: not run(subject))


def _junction(node: Junction) -> _Term:
    terms = [_compile(operand, node) for operand in node.operands]
    for term in terms:
        _require(term, _Type.BOOL, node)
    runs = [term.run for term in terms]
    if node.operator == "and":
        return _Term(_Type.BOOL, lambda subject: all(run(subject) for run in runs))
    return _Term(_Type.BOOL, lambda subject: any(run(subject) for run in runs))


def _comparison(node: Comparison) -> _Term:
    left, right = _compile(node.left, node), _compile(node.right, node)
    run, other = left.run, right.run
    if node.operator in {"eq", "ne"}:
        equal = _equality(left, right)
        wanted = node.operator == "eq"
        return _Term(_Type.BOOL, lambda subject: equal(subject) is wanted)
    for term in (left, right):
        if term.type is not _Type.NULL:
            _require(term, _Type.INT, node)
    holds = _ORDERS[node.operator]

    def compare(subject: Subject) -> bool:
        a, b = run(subject), other(subject)
        return a is not None and b is not None and holds(a, b)

    return _Term(_Type.BOOL, compare)


_ORDERS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}


def _equality(left: _Term, right: _Term) -> Callable[[Subject], bool]:
    """Values of two types are never equal (Python's 1 and True are), null and null are."""
    run, other = left.run, right.run
    if left.type is right.type or _Type.NULL in {left.type, right.type}:
        return lambda subject: bool(run(subject) == other(subject))
    return lambda subject: run(subject) is None and other(subject) is None


def _membership(node: In) -> _Term:
    left = _compile(node.left, node)
    run = left.run
    if isinstance(node.right, tuple):
        values = {(type(item.value), item.value) for item in node.right}

        def listed(subject: Subject) -> bool:
            value = run(subject)
            return isinstance(value, str | int | None) and (type(value), value) in values

        return _Term(_Type.BOOL, listed)
    right = _compile(node.right, node)
    _require(right, _Type.COLLECTION, node)
    within = right.run

    def contained(subject: Subject) -> bool:
        value = run(subject)
        return isinstance(value, str) and value in within(subject)

    return _Term(_Type.BOOL, contained)


@dataclass(frozen=True, slots=True)
class _Function:
    """One signature: each argument may be one of its types, or null.

    Attributes:
        takes: For each argument, the types it may have; the first is named in errors.
        gives: The type of the result.
        run: Carries it out.
        null: The result when any value is None.
        takes_null: Whether `run` is called even then.
    """

    takes: tuple[tuple[_Type, ...], ...]
    gives: _Type
    run: Callable[..., Any]
    null: Any = None
    takes_null: bool = False


_S, _I, _C = (_Type.STRING,), (_Type.INT,), (_Type.STRING, _Type.COLLECTION)


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    """The part of a text, or None when it would reach beyond the text."""
    end = len(text) if length is None else start + length
    return text[start:end] if 0 <= start <= end <= len(text) else None


def _concat(left: str | None, right: str | None) -> str | None:
    """Null counts as an empty text, but two nulls make null."""
    return None if left is None and right is None else (left or "") + (right or "")


_FUNCTIONS: dict[str, tuple[_Function, ...]] = {
    "tolower": (_Function((_S,), _Type.STRING, str.lower),),
    "toupper": (_Function((_S,), _Type.STRING, str.upper),),
    "trim": (_Function((_S,), _Type.STRING, str.strip),),
    "length": (_Function((_C,), _Type.INT, len),),
    "contains": (_Function((_S, _S), _Type.BOOL, str.__contains__, null=False),),
    "startswith": (_Function((_S, _S), _Type.BOOL, str.startswith, null=False),),
    "endswith": (_Function((_S, _S), _Type.BOOL, str.endswith, null=False),),
    "indexof": (_Function((_S, _S), _Type.INT, str.find, null=-1),),
    "concat": (_Function((_S, _S), _Type.STRING, _concat, takes_null=True),),
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
        if len(function.takes) == len(terms):
            return _applied(function, terms, node)
    raise FilterError(node, f"Invalid token '{node}'.")


def _applied(function: _Function, terms: list[_Term], node: FunctionCall) -> _Term:
    for term, types in zip(terms, function.takes, strict=True):
        if term.type is not _Type.NULL and term.type not in types:
            raise FilterError(node, f"Type '{term.type}', expect '{types[0]}'.")
    runs = [term.run for term in terms]

    def apply(subject: Subject) -> Any:  # noqa: ANN401 - a value of the type `function.gives`
        values = [run(subject) for run in runs]
        if None in values and not function.takes_null:
            return function.null
        return function.run(*values)

    return _Term(function.gives, apply)
