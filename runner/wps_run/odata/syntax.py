"""The syntax of filter expressions: parse a text into a tree.

Source: the service's OData filter reference. Operators by precedence, highest first: `in`, `not`,
comparisons, `and`, `or`. The error messages are those of Microsoft's OData library, which the
service returns.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

DEPTH_LIMIT = 100
"""The maximum nesting of expressions; chains of `and` or `or` do not nest."""

INT_MIN, INT_MAX = -(2**31), 2**31 - 1

COMPARISONS = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})


class FilterError(Exception):
    """A filter is invalid; the message is that of the service.

    Attributes:
        explanation: What is wrong, for the author. It contains no text in quotes, since the
            text may come from a variable.
        start: The offset in the filter where it is wrong.
        width: The number of characters that are wrong, at least 1.
    """

    def __init__(
        self, expression: object, detail: str, explanation: str, start: int, width: int = 1
    ) -> None:
        super().__init__(f"Invalid syntax for '{expression}': {detail} (Parameter 'filter')")
        self.explanation = explanation
        self.start = start
        self.width = max(width, 1)


def _start() -> int:
    """Declare the offset of a node in the filter; it is no part of the node's value."""
    return field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """`'text'`, `3`, `true` or `null`."""

    value: str | int | bool | None
    start: int = _start()

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return f"'{self.value}'"
        return "null" if self.value is None else str(self.value)


@dataclass(frozen=True, slots=True)
class Name:
    """A bare word, such as `userId`."""

    text: str
    start: int = _start()

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`."""

    operand: "Node"
    start: int = _start()

    def __str__(self) -> str:
        return f"not {_parenthesize(self.operand)}"


@dataclass(frozen=True, slots=True)
class Junction:
    """`a and b and c`, or the same with `or`: at least two operands."""

    operator: str
    operands: tuple["Node", ...]
    start: int = _start()

    def __str__(self) -> str:
        return f" {self.operator} ".join(map(_parenthesize, self.operands))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left eq right`, or another comparison."""

    operator: str
    left: "Node"
    right: "Node"
    start: int = _start()

    def __str__(self) -> str:
        return f"{_parenthesize(self.left)} {self.operator} {_parenthesize(self.right)}"


@dataclass(frozen=True, slots=True)
class In:
    """`left in right`; the right side is an expression or a list of literals."""

    left: "Node"
    right: "Node | tuple[Literal, ...]"
    start: int = _start()

    def __str__(self) -> str:
        right = self.right
        text = f"({','.join(map(str, right))})" if isinstance(right, tuple) else str(right)
        return f"{self.left} in {text}"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`function(a, b)`."""

    function: str
    arguments: tuple["Node", ...]
    start: int = _start()

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
PRECEDENCES = {"or": 1, "and": 2, **dict.fromkeys(COMPARISONS, 3), "in": 5}
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


_SYMBOL = re.compile(r"[=!<>&|]+")
_SYMBOLS = {
    "=": "eq",
    "==": "eq",
    "===": "eq",
    "!=": "ne",
    "<>": "ne",
    ">": "gt",
    ">=": "ge",
    "<": "lt",
    "<=": "le",
    "&": "and",
    "&&": "and",
    "|": "or",
    "||": "or",
    "!": "not",
}
"""The operators of other languages, with those of OData."""

_QUOTES = frozenset('"\u201c\u201d\u201e\u2018\u2019`')


_NUMBERS = f"numbers are whole, from {INT_MIN} to {INT_MAX}"


def _invalid_token(text: str, position: int) -> FilterError:
    if text[position] == "'":
        detail = f"There is an unterminated string literal at position {len(text)} in '{text}'."
        explanation = "this text has no closing quote; a quote in a text is written `''`"
        return FilterError(text, detail, explanation, position)
    character = text[position]
    detail = (
        f"Syntax error: character '{character}' is not valid at position {position} in '{text}'."
    )
    symbol = _SYMBOL.match(text, position)
    shown = symbol[0] if symbol else character
    explanation = f"`{shown}` is not part of the filter language"
    if shown in _SYMBOLS:
        explanation += f"; write `{_SYMBOLS[shown]}`"
    elif character in _QUOTES:
        explanation = "texts are written in single quotes, `'…'`"
    elif character == "[":
        explanation += "; a list is written in parentheses, `('a', 'b')`"
    elif character == "." and text[position - 1 : position].isdecimal():
        explanation = _NUMBERS
    elif character == "/":
        explanation += "; who is in a group is `'…' in groups`"
    return FilterError(text, detail, explanation, position, len(shown))


_REMEDIES = {
    **dict.fromkeys(("is", "equals", "equal", "like"), "`eq`"),
    "gte": "`ge`",
    "lte": "`le`",
    "neq": "`ne`",
    **{
        word: f"`{word}(userId, '…')`, or `'…' in groups`"
        for word in ("contains", "startswith", "endswith")
    },
    **dict.fromkeys(("has", "includes"), "`'…' in groups`"),
    "not": "`not (…)` around the whole condition",
}
"""Words between two values, in lower case, and what to write instead."""

_OPERATORS = ", ".join(f"`{word}`" for word in ("eq", "ne", "gt", "ge", "lt", "le", "in", "and"))
_OPERATORS += " and `or`"


_MISSING_OPERATOR = "an operator such as `and` or `eq` is missing before"


def missing_before(operator: str) -> str:
    """Return the explanation of an operator where a value is needed."""
    return f"a value is missing before `{operator}`"


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
        self._misplaced: Name | None = None  # the first operator where a value is needed

    def parse(self) -> Node:
        node = self._expression(0)
        if self._token.kind is not _TokenKind.END:
            raise self._syntax_error()
        return node

    def _expression(self, minimum: int) -> Node:
        """Parse an expression whose operators have a precedence above `minimum`."""
        depth = self._depth
        self._descend()
        start = self._token.start
        node = self._operand()
        while (precedence := self._precedence()) > minimum:
            self._descend()  # `a eq b eq c` nests to the left
            node = self._operation(node, self._next().text, precedence, start)
        self._depth = depth
        return node

    def _precedence(self) -> int:
        is_word = self._token.kind is _TokenKind.WORD
        return PRECEDENCES.get(self._token.text, 0) if is_word else 0

    def _operation(self, left: Node, operator: str, precedence: int, start: int) -> Node:
        if operator == "in":
            is_list = self._accept(_TokenKind.MARK, "(")
            right = self._list() if is_list else self._expression(precedence)
            return In(left, right, start)
        if operator in COMPARISONS:
            return Comparison(operator, left, self._expression(precedence), start)
        operands = [left, self._expression(precedence)]
        while self._accept(_TokenKind.WORD, operator):
            operands.append(self._expression(precedence))
        return Junction(operator, tuple(operands), start)

    def _operand(self) -> Node:
        start = self._token.start
        if self._accept(_TokenKind.WORD, "not"):
            return Not(self._expression(_NOT_PRECEDENCE), start)
        if self._accept(_TokenKind.MARK, "("):
            node = self._expression(0)
            self._expect(")", "')' or operator", "`)` is missing here")
            return node
        literal = self._literal()
        if literal is not None:
            return literal
        if self._token.kind is not _TokenKind.WORD:
            detail = f"Expression expected at position {start} in '{self._text}'."
            raise self._error(detail, "a value is missing here")
        word = self._next().text
        if self._accept(_TokenKind.MARK, "("):
            return self._call(word, start)
        name = Name(word, start)
        if word in PRECEDENCES:
            self._misplaced = self._misplaced or name
        return name

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
        return Literal(value, token.start)

    def _number(self, text: str) -> int:
        if len(text) > len(str(INT_MIN)) or not INT_MIN <= int(text) <= INT_MAX:
            raise self._error(f"Token '{text}' is not supported.", _NUMBERS)
        return int(text)

    def _call(self, function: str, start: int) -> FunctionCall:
        if self._accept(_TokenKind.MARK, ")"):
            return FunctionCall(function, (), start)
        arguments = [self._expression(0)]
        while self._accept(_TokenKind.MARK, ","):
            arguments.append(self._expression(0))
        self._expect(")", "')' or ','", "`,` or `)` is missing here")
        return FunctionCall(function, tuple(arguments), start)

    def _list(self) -> tuple[Literal, ...]:
        items: list[Literal] = []
        while not self._accept(_TokenKind.MARK, ")"):
            literal = self._literal()
            if literal is None:
                raise self._syntax_error("a list has texts in quotes, or numbers: `('a', 'b')`")
            items.append(literal)
            if self._token.text != ")":
                self._expect(",", "')' or ','", "`,` is missing here")
        return tuple(items)

    def _next(self) -> _Token:
        token, self._token = self._token, next(self._tokens)
        return token

    def _accept(self, kind: _TokenKind, text: str) -> bool:
        is_next = self._token.kind is kind and self._token.text == text
        if is_next:
            self._next()
        return is_next

    def _expect(self, mark: str, expected: str, explanation: str) -> None:
        if not self._accept(_TokenKind.MARK, mark):
            detail = f"{expected} expected at position {self._token.start} in '{self._text}'."
            raise self._error(detail, explanation)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            explanation = f"expressions are nested more than {DEPTH_LIMIT} deep"
            raise self._error("Recursion depth exceeded allowed limit.", explanation)

    def _syntax_error(self, explanation: str = "") -> FilterError:
        """Name the end of the unexpected token, as Microsoft's library does."""
        detail = f"Syntax error at position {self._token.end} in '{self._text}'."
        if self._misplaced:
            word, start = self._misplaced.text, self._misplaced.start
            return FilterError(self._text, detail, missing_before(word), start, len(word))
        return self._error(detail, explanation or self._explain_unexpected())

    def _explain_unexpected(self) -> str:
        token = self._token
        if self._text[token.start - 1] == "'" and token.kind is not _TokenKind.MARK:
            return "an operator such as `and` is missing here; a quote in a text is written `''`"
        match token.kind:
            case _TokenKind.WORD:
                return self._explain_word(token.text)
            case _TokenKind.MARK if token.text == ")":
                return "this `)` has no `(`"
            case _TokenKind.MARK if token.text == ",":
                return "a `,` is only between arguments, and in a list such as `('a', 'b')`"
        found = "`(`" if token.kind is _TokenKind.MARK else f"this {token.kind.name.lower()}"
        return f"{_MISSING_OPERATOR} {found}"

    def _explain_word(self, word: str) -> str:
        lower = word.lower()
        if lower != word and lower in PRECEDENCES:
            return f"operators are written in lower case, `{lower}`"
        if lower in _REMEDIES:
            return f"`{word}` is not an operator; write {_REMEDIES[lower]}"
        if word not in _CONSTANTS and self._is_before_value():
            return f"`{word}` is not an operator; there are {_OPERATORS}"
        return f"{_MISSING_OPERATOR} `{word}`"

    def _is_before_value(self) -> bool:
        """Whether a value follows the current token. The parser ends here."""
        try:
            following = next(self._tokens, self._token)
        except FilterError:
            return False
        is_operator = following.kind is _TokenKind.WORD and following.text in PRECEDENCES
        return following.kind not in {_TokenKind.END, _TokenKind.MARK} and not is_operator

    def _error(self, detail: str, explanation: str) -> FilterError:
        token = self._token
        return FilterError(self._text, detail, explanation, token.start, token.end - token.start)
