"""The syntax of filter expressions: text to a tree, or the place where it goes wrong.

Source: the service's OData filter reference. Binding, strongest first: `in`, `not`,
comparisons, `and`, `or`. The wording of the errors is that of Microsoft's OData library, which
the service passes on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

DEPTH_LIMIT = 100
"""How deep expressions may nest; chains of `and` or `or` do not nest."""

INT_MIN, INT_MAX = -(2**31), 2**31 - 1

COMPARISONS = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})


class FilterError(Exception):
    """A filter is wrong; the message is the one the service answers with."""

    def __init__(self, expression: object, detail: str) -> None:
        super().__init__(f"Invalid syntax for '{expression}': {detail} (Parameter 'filter')")


@dataclass(frozen=True, slots=True)
class Literal:
    """`'text'`, `3`, `true` or `null`."""

    value: str | int | bool | None

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return f"'{self.value}'"
        return "null" if self.value is None else str(self.value)


@dataclass(frozen=True, slots=True)
class Name:
    """A bare word, such as `userId`."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`."""

    operand: "Node"

    def __str__(self) -> str:
        return f"not {_wrapped(self.operand)}"


@dataclass(frozen=True, slots=True)
class Junction:
    """`a and b and c`, or the same with `or`: at least two operands."""

    operator: str
    operands: tuple["Node", ...]

    def __str__(self) -> str:
        return f" {self.operator} ".join(map(_wrapped, self.operands))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left eq right` and its like."""

    operator: str
    left: "Node"
    right: "Node"

    def __str__(self) -> str:
        return f"{_wrapped(self.left)} {self.operator} {_wrapped(self.right)}"


@dataclass(frozen=True, slots=True)
class In:
    """`left in right`; the right side is an expression or a list of literals."""

    left: "Node"
    right: "Node | tuple[Literal, ...]"

    def __str__(self) -> str:
        right = self.right
        shown = f"({','.join(map(str, right))})" if isinstance(right, tuple) else str(right)
        return f"{self.left} in {shown}"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`function(a, b)`."""

    function: str
    arguments: tuple["Node", ...]

    def __str__(self) -> str:
        return f"{self.function}({','.join(map(str, self.arguments))})"


Node = Literal | Name | Not | Junction | Comparison | In | FunctionCall


def _wrapped(node: Node) -> str:
    compound = isinstance(node, Not | Junction | Comparison | In)
    return f"({node})" if compound else str(node)


class _Kind(Enum):
    WORD = auto()
    TEXT = auto()
    NUMBER = auto()
    MARK = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"(?P<WORD>[^\W\d]\w*)|(?P<NUMBER>-?[0-9]+)|(?P<TEXT>'(?:[^']+|'')*+')|(?P<MARK>[(),])"
)
_BLANK = re.compile(r"\s*+")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_NOT = 4
_STRENGTHS = {"or": 1, "and": 2, **dict.fromkeys(COMPARISONS, 3), "in": 5}
"""How strongly an operator binds what is left and right of it; `_NOT` stands between."""


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while True:
        blank = _BLANK.match(text, position)
        position = blank.end() if blank else position
        if position == len(text):
            yield _Token(_Kind.END, "", position, position)
            return
        found = _TOKEN.match(text, position)
        if found is None:
            raise _unreadable(text, position)
        position = found.end()
        yield _Token(_Kind[found.lastgroup or "END"], found[0], found.start(), position)


def _unreadable(text: str, position: int) -> FilterError:
    if text[position] == "'":
        detail = f"There is an unterminated string literal at position {len(text)} in '{text}'."
    else:
        detail = (
            f"Syntax error: character '{text[position]}' is not valid "
            f"at position {position} in '{text}'."
        )
    return FilterError(text, detail)


def parse(text: str) -> Node:
    """Read a filter.

    Raises:
        FilterError: It is not one, or nests deeper than `DEPTH_LIMIT`.
    """
    return _Parser(text).whole()


class _Parser:
    """Precedence climbing: few frames a level, so that the limit comes before Python's own."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._token = next(self._tokens)
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression(0)
        if self._token.kind is not _Kind.END:
            raise self._syntax_error()
        return node

    def _expression(self, floor: int) -> Node:
        """What follows, as far as operators bind more strongly than `floor`."""
        depth = self._depth
        self._descend()
        node = self._operand()
        while (strength := self._strength()) > floor:
            self._descend()  # `a eq b eq c` nests to the left
            node = self._operation(node, self._next().text, strength)
        self._depth = depth
        return node

    def _strength(self) -> int:
        word = self._token.kind is _Kind.WORD
        return _STRENGTHS.get(self._token.text, 0) if word else 0

    def _operation(self, left: Node, operator: str, strength: int) -> Node:
        if operator == "in":
            listed = self._takes(_Kind.MARK, "(")
            return In(left, self._list() if listed else self._expression(strength))
        if operator in COMPARISONS:
            return Comparison(operator, left, self._expression(strength))
        operands = [left, self._expression(strength)]
        while self._takes(_Kind.WORD, operator):
            operands.append(self._expression(strength))
        return Junction(operator, tuple(operands))

    def _operand(self) -> Node:
        if self._takes(_Kind.WORD, "not"):
            return Not(self._expression(_NOT))
        if self._takes(_Kind.MARK, "("):
            node = self._expression(0)
            self._expect(")", "')' or operator")
            return node
        literal = self._literal()
        if literal is not None:
            return literal
        if self._token.kind is not _Kind.WORD:
            start = self._token.start
            raise self._error(f"Expression expected at position {start} in '{self._text}'.")
        word = self._next().text
        return self._call(word) if self._takes(_Kind.MARK, "(") else Name(word)

    def _literal(self) -> Literal | None:
        token = self._token
        match token.kind:
            case _Kind.TEXT:
                value: str | int | bool | None = token.text[1:-1].replace("''", "'")
            case _Kind.NUMBER:
                value = self._number(token.text)
            case _Kind.WORD if token.text in _CONSTANTS:
                value = _CONSTANTS[token.text]
            case _:
                return None
        self._next()
        return Literal(value)

    def _number(self, text: str) -> int:
        if len(text) > len(str(INT_MIN)) or not INT_MIN <= int(text) <= INT_MAX:
            raise self._error(f"Token '{text}' is not supported.")
        return int(text)

    def _call(self, function: str) -> FunctionCall:
        if self._takes(_Kind.MARK, ")"):
            return FunctionCall(function, ())
        arguments = [self._expression(0)]
        while self._takes(_Kind.MARK, ","):
            arguments.append(self._expression(0))
        self._expect(")", "')' or ','")
        return FunctionCall(function, tuple(arguments))

    def _list(self) -> tuple[Literal, ...]:
        items: list[Literal] = []
        while not self._takes(_Kind.MARK, ")"):
            literal = self._literal()
            if literal is None:
                raise self._syntax_error()
            items.append(literal)
            if self._token.text != ")":
                self._expect(",", "')' or ','")
        return tuple(items)

    def _next(self) -> _Token:
        token, self._token = self._token, next(self._tokens)
        return token

    def _takes(self, kind: _Kind, text: str) -> bool:
        fits = self._token.kind is kind and self._token.text == text
        if fits:
            self._next()
        return fits

    def _expect(self, mark: str, shown: str) -> None:
        if not self._takes(_Kind.MARK, mark):
            start = self._token.start
            raise self._error(f"{shown} expected at position {start} in '{self._text}'.")

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self._error("Recursion depth exceeded allowed limit.")

    def _syntax_error(self) -> FilterError:
        """Microsoft's library counts to the end of the token that does not fit."""
        return self._error(f"Syntax error at position {self._token.end} in '{self._text}'.")

    def _error(self, detail: str) -> FilterError:
        return FilterError(self._text, detail)
