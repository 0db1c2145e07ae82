"""How many columns of a terminal a text takes, and texts made safe and short for the eye.

The widths are those of Unicode as Python's own tables have it: combining marks take none, East
Asian wide characters and emoji take two. Terminals differ about emoji that are joined to one
picture; here such a sequence is as wide as its first.

What of a text may be shown: everything but keys, tokens and connection strings.
"""

import re
import unicodedata
from collections.abc import Mapping

ELLIPSIS = "…"

_JOINER, _EMOJI_STYLE = "\u200d", "\ufe0f"
_FLAGS = range(0x1F1E6, 0x1F200)
"""The letters that make a flag in pairs."""
_SKINS = range(0x1F3FB, 0x1F400)
_JOINED = {"So", "Sk"}
"""The kinds of characters that may be joined to one picture: symbols, and what shades them."""
_NO_WIDTH = {"Mn", "Me", "Cf", "Cc", "Cs"}
_VOWELS = range(0x1160, 0x1200)
"""Those of Hangul that stand within the syllable before them."""


def cells(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, _pictures(text)))


def cut(text: str, most: int) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis; at most `most` columns."""
    if len(text) * 2 <= most or cells(text) <= most:
        return text
    room, kept = most - 1, []
    for picture in _pictures(text):
        room -= _cells(picture)
        if room < 0:
            break
        kept.append(picture)
    return "".join(kept) + ELLIPSIS if most > 0 else ""


def padded(text: str, width: int) -> str:
    """The text, with spaces up to a width in columns."""
    return text + " " * (width - cells(text))


def visible(text: str) -> str:
    r"""The text with what nobody can see, and what a terminal would obey, as escapes.

    Control characters, line breaks, what turns the direction of writing, and what takes no room
    are written as `\u001b` or `\u202e`: a name can neither forge other output nor pass for another
    name. What joins emoji to one picture stays, and so do combining marks.
    """
    if text.isprintable():
        return text
    shown = []
    for place, character in enumerate(text):
        joins = character == _JOINER and _joins(text, place)
        shown.append(character if character.isprintable() or joins else _escape(character))
    return "".join(shown)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 -- four digits


def _joins(text: str, place: int) -> bool:
    """Whether a joiner stands between two emoji."""
    before = text[:place].rstrip(_EMOJI_STYLE)[-1:]
    after = text[place + 1 : place + 2]
    return all(one and unicodedata.category(one) in _JOINED for one in (before, after))


def _pictures(text: str) -> list[str]:
    """The text in pieces that a terminal shows in one place; none is empty."""
    found: list[str] = []
    for character in text:
        if found and _belongs(found[-1], character):
            found[-1] += character
        else:
            found.append(character)
    return found


def _belongs(before: str, character: str) -> bool:
    """Whether a character is shown in the place of the piece before it."""
    code, category = ord(character), unicodedata.category(character)
    if category in _NO_WIDTH or code in _SKINS or code in _VOWELS:
        return True
    if before[-1] == _JOINER and category in _JOINED:
        return True
    return code in _FLAGS and len(before) == 1 and ord(before) in _FLAGS


def _cells(picture: str) -> int:
    first = picture[0]
    if unicodedata.category(first) in _NO_WIDTH:
        return 0
    wide = unicodedata.east_asian_width(first) in "WF" or _EMOJI_STYLE in picture
    return 2 if wide or (ord(first) in _FLAGS and len(picture) > 1) else 1


MASK = "***"

SHORTEST_SECRET = 8
"""Characters; masking shorter values would take words out of the text that are no secrets."""

_SECRET_NAME = re.compile(r"connectionstring|secret|password|token|key", re.IGNORECASE)
_CONNECTION_STRING = re.compile(r"accesskey\s*=", re.IGNORECASE)
_PATTERNS = (
    re.compile(r"(?i:(?P<kept>accesskey\s*=\s*))[^;\s\"'`]+"),
    re.compile(r"(?i:(?P<kept>bearer\s+))[^\s\"'`,]+"),
    re.compile(r"(?P<kept>)\beyJ[\w-]{4,}(\.[\w-]*){0,2}"),
    # A key by itself, from a settings file: base64 of 30 bytes or more, and no path.
    re.compile(
        r"(?P<kept>)(?<![\w+/.-])(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*[0-9])"
        r"[A-Za-z0-9+][A-Za-z0-9+/]{39,}={0,2}"
    ),
)


def redacted(text: str, environment: Mapping[str, str]) -> str:
    """The text without what lets anybody in.

    Args:
        text: What is to be shown, such as a traceback.
        environment: Settings by name. Values that are connection strings, or whose name speaks
            of a secret, are masked wherever they stand.
    """
    secrets = {value.strip() for name, value in environment.items() if _is_secret(name, value)}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<kept>{MASK}", text)
    return text


def _is_secret(name: str, value: str) -> bool:
    named = _SECRET_NAME.search(name) and len(value.strip()) >= SHORTEST_SECRET
    return bool(named or _CONNECTION_STRING.search(value))
