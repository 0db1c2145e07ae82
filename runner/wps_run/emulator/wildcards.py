r"""Wildcard patterns over group names, as used in roles.

Source: the service's documentation of wildcard roles. `*` matches any characters except a dot,
`**` any characters, `?` one character except a dot; `\` escapes `*`, `?` and `\`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from wps_run.emulator.names import utf16_units

LENGTH_LIMIT = 1024
"""The maximum length of a pattern, in UTF-16 units."""

STAR_LIMIT = 5
"""The maximum number of unescaped stars in a pattern; `**` counts as two."""


class PatternError(ValueError):
    """A text is not a valid pattern; the message says why."""


class _Wildcard(Enum):
    ONE = "?"
    SEGMENT = "*"
    ANY = "**"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern.

    Each bit stands for a position in the pattern. `matches` advances all reachable positions
    together, so its time is linear in the length of the name.

    Attributes:
        text: The source text.
        literal: The only name it matches when it has no wildcard, or None.
    """

    text: str
    literal: str | None
    _letters: dict[str, int]
    _ones: int
    _segments: int
    _anys: int
    _end: int

    def matches(self, name: str) -> bool:
        """Whether the pattern matches a name, compared with case."""
        reached = self._skip_stars(1)
        for letter in name:
            advanced = reached & self._letters.get(letter, 0)
            stayed = reached & self._anys
            if letter != ".":
                advanced |= reached & self._ones
                stayed |= reached & self._segments
            reached = self._skip_stars(advanced << 1 | stayed)
            if not reached:
                return False
        return bool(reached & self._end)

    def _skip_stars(self, reached: int) -> int:
        """Let each star match nothing. No two stars are adjacent, so one shift is enough."""
        return reached | (reached & (self._segments | self._anys)) << 1


def compile_pattern(text: str) -> Pattern:
    """Compile a pattern.

    Raises:
        PatternError: The text is empty, too long, has too many stars, or a backslash before a
            character that needs no escape.
    """
    if not text:
        raise PatternError("The pattern is empty.")
    if utf16_units(text) > LENGTH_LIMIT:
        raise PatternError(f"The pattern is longer than {LENGTH_LIMIT} characters.")
    tokens = tuple(_tokenize(text))
    letters: dict[str, int] = {}
    for position, token in enumerate(tokens):
        if isinstance(token, str):
            letters[token] = letters.get(token, 0) | 1 << position
    return Pattern(
        text,
        _literal(tokens),
        letters,
        _positions(tokens, _Wildcard.ONE),
        _positions(tokens, _Wildcard.SEGMENT),
        _positions(tokens, _Wildcard.ANY),
        1 << len(tokens),
    )


def _positions(tokens: Iterable[str | _Wildcard], wildcard: _Wildcard) -> int:
    return sum(1 << position for position, token in enumerate(tokens) if token is wildcard)


def _literal(tokens: tuple[str | _Wildcard, ...]) -> str | None:
    letters = [token for token in tokens if isinstance(token, str)]
    return "".join(letters) if len(letters) == len(tokens) else None


def _tokenize(text: str) -> Iterator[str | _Wildcard]:
    """Yield the letters and wildcards of a pattern; a run of stars is one wildcard."""
    stars = run = 0
    characters = iter(text)
    for character in characters:
        if character == "*":
            stars += 1
            run += 1
            continue
        if run:
            yield _star(run)
            run = 0
        if character == "?":
            yield _Wildcard.ONE
        elif character == "\\":
            yield _unescape(next(characters, ""))
        else:
            yield character
    if run:
        yield _star(run)
    if stars > STAR_LIMIT:
        raise PatternError(f"The pattern has more than {STAR_LIMIT} stars.")


def _star(run: int) -> _Wildcard:
    return _Wildcard.SEGMENT if run == 1 else _Wildcard.ANY


def _unescape(character: str) -> str:
    if character not in ("*", "?", "\\"):
        raise PatternError(r"A backslash stands only before `*`, `?` and `\`.")
    return character
