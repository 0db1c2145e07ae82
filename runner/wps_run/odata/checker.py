"""Check the names and types of a filter expression.

A filter is checked as a whole: a wrong type is an error even in a part that would never be
evaluated.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from wps_run.odata.syntax import (
    COMPARISONS,
    PRECEDENCES,
    Comparison,
    FilterError,
    FunctionCall,
    In,
    Junction,
    Literal,
    Name,
    Node,
    Not,
    missing_before,
    parse,
)
from wps_run.problems import did_you_mean


class FilterType(StrEnum):
    """The type of an expression."""

    NULL = "null"
    BOOL = "bool"
    STRING = "string"
    INT = "int"
    COLLECTION = "collection"


class Signature(NamedTuple):
    """One signature of a function: the types of each argument but null, and of the result.

    Error messages name the first type of an argument.
    """

    parameters: tuple[tuple[FilterType, ...], ...]
    result: FilterType


_FIELDS: Mapping[str, FilterType] = {
    "connectionId": FilterType.STRING,
    "userId": FilterType.STRING,
    "protocol": FilterType.STRING,
    "groups": FilterType.COLLECTION,
}
_FOLDED_FIELDS = {name.lower(): type_ for name, type_ in _FIELDS.items()}

_S, _I = (FilterType.STRING,), (FilterType.INT,)
_C = (FilterType.STRING, FilterType.COLLECTION)
_FUNCTIONS: Mapping[str, tuple[Signature, ...]] = {
    "tolower": (Signature((_S,), FilterType.STRING),),
    "toupper": (Signature((_S,), FilterType.STRING),),
    "trim": (Signature((_S,), FilterType.STRING),),
    "length": (Signature((_C,), FilterType.INT),),
    "contains": (Signature((_S, _S), FilterType.BOOL),),
    "startswith": (Signature((_S, _S), FilterType.BOOL),),
    "endswith": (Signature((_S, _S), FilterType.BOOL),),
    "indexof": (Signature((_S, _S), FilterType.INT),),
    "concat": (Signature((_S, _S), FilterType.STRING),),
    "substring": (
        Signature((_S, _I), FilterType.STRING),
        Signature((_S, _I, _I), FilterType.STRING),
    ),
}
_LITERALS: Mapping[type, FilterType] = {
    type(None): FilterType.NULL,
    bool: FilterType.BOOL,
    str: FilterType.STRING,
    int: FilterType.INT,
}


def check_filter(text: str) -> Node:
    """Parse and check a filter.

    Raises:
        FilterError: The filter is invalid.
    """
    node = parse(text)
    _check(node, text)
    _require(node, FilterType.BOOL, node)
    return node


def type_of(node: Node) -> FilterType:
    """Return the type of an expression that has been checked."""
    match node:
        case Literal(value):
            return _LITERALS[type(value)]
        case Name(text):
            return _FOLDED_FIELDS[text.lower()]
        case FunctionCall(function):
            return _FUNCTIONS[function][0].result
        case _:
            return FilterType.BOOL


def _check(node: Node, context: Node | str) -> None:
    """Check one expression; `context` is the expression around it, for error messages."""
    match node:
        case Name(text) if text.lower() not in _FOLDED_FIELDS:
            raise _unknown_field(node, context)
        case Not(operand):
            _check(operand, context)
            _require(operand, FilterType.BOOL, node)
        case Junction():
            _check_junction(node)
        case Comparison():
            _check_comparison(node)
        case In():
            _check_membership(node)
        case FunctionCall():
            _check_call(node)
        case _:
            pass


def _check_junction(node: Junction) -> None:
    for operand in node.operands:
        _check(operand, node)
    for operand in node.operands:
        _require(operand, FilterType.BOOL, node)


def _check_membership(node: In) -> None:
    _check(node.left, node)
    if not isinstance(node.right, tuple):
        _check(node.right, node)
        _require(node.right, FilterType.COLLECTION, node)


def _check_comparison(node: Comparison) -> None:
    operands = (node.left, node.right)
    for operand in operands:
        _check(operand, node)
    if node.operator not in {"eq", "ne"}:
        for operand in operands:
            if type_of(operand) is not FilterType.NULL:
                _require(operand, FilterType.INT, node)


def _check_call(node: FunctionCall) -> None:
    width = len(node.function)
    if node.function not in _FUNCTIONS:
        explanation = f"there is no function `{node.function}`"
        folded = node.function.lower()
        near = f"; write `{folded}`" if folded in _FUNCTIONS else _near(folded, _FUNCTIONS)
        if folded in COMPARISONS or folded in {"and", "or", "in", "not"}:
            near = f"; the operator is written `{folded}`, in lower case"
        detail = f"Token '{node}' is not supported."
        raise FilterError(node, detail, explanation + near, node.start, width)
    for argument in node.arguments:
        _check(argument, node)
    counts = []
    for signature in _FUNCTIONS[node.function]:
        if len(signature.parameters) == len(node.arguments):
            for argument, types in zip(node.arguments, signature.parameters, strict=True):
                if type_of(argument) not in {FilterType.NULL, *types}:
                    raise _wrong_type(argument, types[0], node)
            return
        counts.append(str(len(signature.parameters)))
    plural = "" if counts == ["1"] else "s"
    explanation = f"`{node.function}` takes {' or '.join(counts)} argument{plural}"
    raise FilterError(node, f"Invalid token '{node}'.", explanation, node.start, width)


def _require(node: Node, expected: FilterType, context: Node) -> None:
    if type_of(node) is not expected:
        raise _wrong_type(node, expected, context)


def _wrong_type(node: Node, expected: FilterType, context: Node) -> FilterError:
    found = type_of(node)
    explanation = f"this is {_TYPE_NAMES[found]}, where {_TYPE_NAMES[expected]} is needed"
    if isinstance(context, Not) and isinstance(node, Literal | Name):
        explanation += "; `not` needs parentheses: `not (…)`"
    elif expected is FilterType.COLLECTION:
        explanation += ", `groups`, or a list such as `('a', 'b')`"
    elif expected is FilterType.STRING and found is FilterType.COLLECTION:
        explanation += "; who is in a group is `'…' in groups`"
    elif expected is FilterType.BOOL:
        explanation += ", such as `userId eq 'ada'`"
    detail = f"Type '{found}', expect '{expected}'."
    width = len(str(node)) if isinstance(node, Name) else 1
    return FilterError(context, detail, explanation, node.start, width)


_TYPE_NAMES = {
    FilterType.NULL: "`null`",
    FilterType.BOOL: "a condition",
    FilterType.STRING: "a text",
    FilterType.INT: "a number",
    FilterType.COLLECTION: "a collection",
}


def _unknown_field(node: Name, context: Node | str) -> FilterError:
    word = node.text
    explanation = f"there is no field `{word}`"
    if word in PRECEDENCES:
        explanation, remedy = missing_before(word), ""
    elif word.lower() in {"true", "false", "null"}:
        remedy = f"; write `{word.lower()}`, in lower case"
    else:
        remedy = _near(word, _FIELDS) or f"; for a text write `'{word}'`"
    detail = f"Token '{node}' is not supported."
    return FilterError(context, detail, explanation + remedy, node.start, len(word))


def _near(word: str, names: Collection[str]) -> str:
    return did_you_mean(word, list(names))
