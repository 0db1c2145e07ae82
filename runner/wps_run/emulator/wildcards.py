r"""Patterns over the names of groups, as roles write them.

Source: the service's documentation of wildcard roles. `*` stands for any characters but a dot,
`**` for any at all, `?` for one that is no dot; `\` takes the meaning from `*`, `?` and `\`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from wps_run.emulator.names import utf16_units

LENGTH_LIMIT = 1024
"""The most UTF-16 units a pattern may have."""

STAR_LIMIT = 5
"""The most unescaped stars a pattern may have; those of `**` count each."""


class PatternError(ValueError):
    """A text is no pattern; says why."""


class _Wild(Enum):
    ONE = "?"
    SEGMENT = "*"
    ANY = "**"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern.

    A bit stands for each place in the pattern; those that may have been reached are followed
    through the name at once, so that no name takes longer than its length.

    Attributes:
        text: As it was written.
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
        """Whether it stands for this name, compared with case."""
        reached = self._past_stars(1)
        for letter in name:
            step = reached & self._letters.get(letter, 0)
            stay = reached & self._anys
            if letter != ".":
                step |= reached & self._ones
                stay |= reached & self._segments
            reached = self._past_stars(step << 1 | stay)
            if not reached:
                return False
        return bool(reached & self._end)

    def _past_stars(self, reached: int) -> int:
        """A star may stand for nothing. Two are never neighbours, so one step is enough."""
        return reached | (reached & (self._segments | self._anys)) << 1


def compile_pattern(text: str) -> Pattern:
    """Make a pattern of a text.

    Raises:
        PatternError: It is empty, too long, has too many stars, or a backslash before a character
            that has no special meaning.
    """
    if not text:
        raise PatternError("The pattern is empty.")
    if utf16_units(text) > LENGTH_LIMIT:
        raise PatternError(f"The pattern is longer than {LENGTH_LIMIT} characters.")
    tokens = tuple(_tokens(text))
    letters: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if isinstance(token, str):
            letters[token] = letters.get(token, 0) | 1 << place
    return Pattern(
        text,
        _literal(tokens),
        letters,
        _places(tokens, _Wild.ONE),
        _places(tokens, _Wild.SEGMENT),
        _places(tokens, _Wild.ANY),
        1 << len(tokens),
    )


def _places(tokens: Iterable[str | _Wild], wild: _Wild) -> int:
    return sum(1 << place for place, token in enumerate(tokens) if token is wild)


def _literal(tokens: tuple[str | _Wild, ...]) -> str | None:
    letters = [token for token in tokens if isinstance(token, str)]
    return "".join(letters) if len(letters) == len(tokens) else None


def _tokens(text: str) -> Iterator[str | _Wild]:
    """The pattern's letters and wildcards; a run of stars is one wildcard."""
    stars = run = 0
    characters = iter(text)
    for character in characters:
        if character == "*":
            stars += 1
            run += 1
            continue
        if run:
            yield _stars(run)
            run = 0
        if character == "?":
            yield _Wild.ONE
        elif character == "\\":
            yield _escaped(next(characters, ""))
        else:
            yield character
    if run:
        yield _stars(run)
    if stars > STAR_LIMIT:
        raise PatternError(f"The pattern has more than {STAR_LIMIT} stars.")


def _stars(run: int) -> _Wild:
    return _Wild.SEGMENT if run == 1 else _Wild.ANY


def _escaped(character: str) -> str:
    if character not in ("*", "?", "\\"):
        raise PatternError(r"A backslash stands only before `*`, `?` and `\`.")
    return character
