"""The syntax of filter expressions: parse a text into a tree.

Source: the service's OData filter reference. Operators by precedence, highest first: `in`, `not`,
comparisons, `and`, `or`. The error messages are those of Microsoft's OData library, which the
service returns.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

DEPTH_LIMIT = 100
"""The maximum nesting of expressions; chains of `and` or `or` do not nest."""

INT_MIN, INT_MAX = -(2**31), 2**31 - 1

COMPARISONS = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})


class FilterError(Exception):
    """A filter is invalid; the message is that of the service."""

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
        return f"not {_parenthesize(self.operand)}"


@dataclass(frozen=True, slots=True)
class Junction:
    """`a and b and c`, or the same with `or`: at least two operands."""

    operator: str
    operands: tuple["Node", ...]

    def __str__(self) -> str:
        return f" {self.operator} ".join(map(_parenthesize, self.operands))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left eq right`, or another comparison."""

    operator: str
    left: "Node"
    right: "Node"

    def __str__(self) -> str:
        return f"{_parenthesize(self.left)} {self.operator} {_parenthesize(self.right)}"


@dataclass(frozen=True, slots=True)
class In:
    """`left in right`; the right side is an expression or a list of literals."""

    left: "Node"
    right: "Node | tuple[Literal, ...]"

    def __str__(self) -> str:
        right = self.right
        text = f"({','.join(map(str, right))})" if isinstance(right, tuple) else str(right)
        return f"{self.left} in {text}"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`function(a, b)`."""

    function: str
    arguments: tuple["Node", ...]

    def __str__(self) -> str:
        return f"{self.function}({','.join(map(str, self.arguments))})"


Node = Literal | Name | Not | Junction | Comparison | In | FunctionCall


def _parenthesize(node: Node) -> str:
    compound = isinstance(node, Not | Junction | Comparison | In)
    return f"({node})" if compound else str(node)


class _TokenKind(Enum):
    WORD = auto()
    TEXT = auto()
    NUMBER = auto()
    MARK = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _TokenKind
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"(?P<WORD>[^\W\d]\w*)|(?P<NUMBER>-?[0-9]+)|(?P<TEXT>'(?:[^']+|'')*+')|(?P<MARK>[(),])"
)
_BLANK = re.compile(r"\s*+")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_NOT_PRECEDENCE = 4
_PRECEDENCES = {"or": 1, "and": 2, **dict.fromkeys(COMPARISONS, 3), "in": 5}
"""The precedence of each binary operator."""


def _tokenize(text: str) -> Iterator[_Token]:
    position = 0
    while True:
        blank = _BLANK.match(text, position)
        position = blank.end() if blank else position
        if position == len(text):
            yield _Token(_TokenKind.END, "", position, position)
            return
        match = _TOKEN.match(text, position)
        if match is None:
            raise _invalid_token(text, position)
        position = match.end()
        yield _Token(_TokenKind[match.lastgroup or "END"], match[0], match.start(), position)


def _invalid_token(text: str, position: int) -> FilterError:
    if text[position] == "'":
        detail = f"There is an unterminated string literal at position {len(text)} in '{text}'."
    else:
        detail = (
            f"Syntax error: character '{text[position]}' is not valid "
            f"at position {position} in '{text}'."
        )
    return FilterError(text, detail)


def parse(text: str) -> Node:
    """Parse a filter.

    Raises:
        FilterError: The text is invalid, or nests deeper than `DEPTH_LIMIT`.
    """
    return _Parser(text).parse()


class _Parser:
    """Parses by precedence climbing, whose few frames a level stay below the recursion limit."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokenize(text)
        self._token = next(self._tokens)
        self._depth = 0

    def parse(self) -> Node:
        node = self._expression(0)
        if self._token.kind is not _TokenKind.END:
            raise self._syntax_error()
        return node

    def _expression(self, minimum: int) -> Node:
        """Parse an expression whose operators have a precedence above `minimum`."""
        depth = self._depth
        self._descend()
        node = self._operand()
        while (precedence := self._precedence()) > minimum:
            self._descend()  # `a eq b eq c` nests to the left
            node = self._operation(node, self._next().text, precedence)
        self._depth = depth
        return node

    def _precedence(self) -> int:
        is_word = self._token.kind is _TokenKind.WORD
        return _PRECEDENCES.get(self._token.text, 0) if is_word else 0

    def _operation(self, left: Node, operator: str, precedence: int) -> Node:
        if operator == "in":
            is_list = self._accept(_TokenKind.MARK, "(")
            return In(left, self._list() if is_list else self._expression(precedence))
        if operator in COMPARISONS:
            return Comparison(operator, left, self._expression(precedence))
        operands = [left, self._expression(precedence)]
        while self._accept(_TokenKind.WORD, operator):
            operands.append(self._expression(precedence))
        return Junction(operator, tuple(operands))

    def _operand(self) -> Node:
        if self._accept(_TokenKind.WORD, "not"):
            return Not(self._expression(_NOT_PRECEDENCE))
        if self._accept(_TokenKind.MARK, "("):
            node = self._expression(0)
            self._expect(")", "')' or operator")
            return node
        literal = self._literal()
        if literal is not None:
            return literal
        if self._token.kind is not _TokenKind.WORD:
            start = self._token.start
            raise self._error(f"Expression expected at position {start} in '{self._text}'.")
        word = self._next().text
        return self._call(word) if self._accept(_TokenKind.MARK, "(") else Name(word)

    def _literal(self) -> Literal | None:
        token = self._token
        match token.kind:
            case _TokenKind.TEXT:
                value: str | int | bool | None = token.text[1:-1].replace("''", "'")
            case _TokenKind.NUMBER:
                value = self._number(token.text)
            case _TokenKind.WORD if token.text in _CONSTANTS:
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
        if self._accept(_TokenKind.MARK, ")"):
            return FunctionCall(function, ())
        arguments = [self._expression(0)]
        while self._accept(_TokenKind.MARK, ","):
            arguments.append(self._expression(0))
        self._expect(")", "')' or ','")
        return FunctionCall(function, tuple(arguments))

    def _list(self) -> tuple[Literal, ...]:
        items: list[Literal] = []
        while not self._accept(_TokenKind.MARK, ")"):
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

    def _accept(self, kind: _TokenKind, text: str) -> bool:
        is_next = self._token.kind is kind and self._token.text == text
        if is_next:
            self._next()
        return is_next

    def _expect(self, mark: str, expected: str) -> None:
        if not self._accept(_TokenKind.MARK, mark):
            start = self._token.start
            raise self._error(f"{expected} expected at position {start} in '{self._text}'.")

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self._error("Recursion depth exceeded allowed limit.")

    def _syntax_error(self) -> FilterError:
        """Name the end of the unexpected token, as Microsoft's library does."""
        return self._error(f"Syntax error at position {self._token.end} in '{self._text}'.")

    def _error(self, detail: str) -> FilterError:
        return FilterError(self._text, detail)
