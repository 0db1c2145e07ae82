"""Make text fit to show: width, styles, escapes for invisible characters, masks for secrets.

Patterns are compiled when they are first used, since `--help` imports this module and uses none.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum


class Style(StrEnum):
    """What a piece of text is; a terminal shows each in its own color."""

    LOCATION = "location"
    ERROR = "error"
    WARNING = "warning"
    GUTTER = "gutter"
    SUCCESS = "success"
    UNKNOWN = "unknown"
    HINT = "hint"
    LOCAL = "local"


Styler = Callable[[Style, str], str]
"""Adds the color of a style to a text, and changes nothing else."""


def unstyled(style: Style, text: str) -> str:
    """Return the text as it is: the `Styler` where no color is shown."""
    del style
    return text


ELLIPSIS = "…"


def display_width(text: str) -> int:
    """Return how many terminal columns a text takes; control characters take none.

    Joined emoji count as one picture, two columns wide. Terminals differ about them.
    """
    if _is_narrow(text):
        return len(text)
    from wcwidth import width  # noqa: PLC0415 -- a third of the start-up; few texts need its tables

    return width(text, control_codes="ignore")


def _is_narrow(text: str) -> bool:
    """Whether each character is one column wide, as in most names in Latin script."""
    return bool(re.fullmatch(r"[\x20-\x7e\xa0-\xac\xae-\u02ff…]*", text))


def truncate(text: str, width: int) -> str:
    """Shorten a text to at most `width` columns, with an ellipsis where it is cut."""
    if len(text) * 2 <= width or display_width(text) <= width:
        return text
    if width <= 0:
        return ""
    if _is_narrow(text):
        return text[: width - 1] + ELLIPSIS
    from wcwidth import iter_graphemes  # noqa: PLC0415 -- as above

    remaining, kept = width - 1, []
    for grapheme in iter_graphemes(text):
        remaining -= display_width(grapheme)
        if remaining < 0:
            break
        kept.append(grapheme)
    return "".join(kept) + ELLIPSIS


def pad(text: str, width: int) -> str:
    """Append spaces up to a width in columns."""
    return text + " " * (width - display_width(text))


_JOINER, _EMOJI_STYLE = "\u200d", "\ufe0f"
_EMOJI_CATEGORIES = {"So", "Sk"}
"""Symbols, and the modifiers of their skin color."""

_CONTROLS = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
"""Control characters, and those that have no width or change the direction of writing."""

_SURROGATE = "[\ud800-\udfff]"
_INVISIBLE = rf"[{_CONTROLS}\u200c\u200d\ud800-\udfff]+"


def escape_invisible(text: str) -> str:
    r"""Escape invisible characters, and those that a terminal executes, as `\u001b` or `\u202e`.

    A name can then neither forge other output nor look like another name. Joiners between two
    emoji stay, and so do combining marks.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or (character == _JOINER and _joins_emoji(text, index))
        else _escape(character)
        for index, character in enumerate(text)
    )


def escape_controls(text: str) -> str:
    r"""Escape control and direction characters as `\u202e`, for a web page.

    Joiners stay, since scripts need them. Lone surrogates, which UTF-8 cannot encode, become
    U+FFFD.
    """
    return re.sub(f"[{_CONTROLS}]", lambda match: _escape(match[0]), replace_surrogates(text))


def has_surrogate(text: str) -> bool:
    """Check for halves of surrogate pairs, which are no characters and which UTF-8 lacks."""
    return not text.isascii() and re.search(_SURROGATE, text) is not None


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, by U+FFFD."""
    return text if text.isascii() else re.sub(_SURROGATE, "\ufffd", text)


def replace_invisible(text: str) -> str:
    """Replace tabs and line breaks by spaces, and other invisible characters by U+FFFD.

    The length stays, so that positions in the text stay valid.
    """
    return "".join(c if c.isprintable() else " " if c in "\t\r\n" else "\ufffd" for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 -- four digits


def _joins_emoji(text: str, index: int) -> bool:
    """Whether the joiner at this index stands between two emoji."""
    from unicodedata import category  # noqa: PLC0415 -- as for wcwidth

    before = text[:index].rstrip(_EMOJI_STYLE)[-1:]
    after = text[index + 1 : index + 2]
    return all(char and category(char) in _EMOJI_CATEGORIES for char in (before, after))


MASK = "***"

SHORTEST_SECRET = 8
"""Characters; masking shorter values would remove ordinary words from the text."""

_SENSITIVE_NAME = r"(?i)connectionstring|secret|password|token|key"
_CONNECTION_STRING = r"(?i)accesskey\s*="
_ACCESS_KEY = r"(?i:(?P<name>accesskey\s*=\s*))[^;\s\"'`]+"
_SECRETS = (
    _ACCESS_KEY,
    r"(?i:(?P<name>bearer\s+))[^\s\"'`,]+",
    r"(?P<name>)\beyJ[\w-]{4,}(\.[\w-]*){0,2}",
    # A key by itself, from a settings file: base64 of 30 bytes or more, and no path.
    (
        r"(?P<name>)(?<![\w+/.-])(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*[0-9])"
        r"[A-Za-z0-9+][A-Za-z0-9+/]{39,}={0,2}"
    ),
)


def mask_secrets(text: str, environment: Mapping[str, str]) -> str:
    """Mask keys, tokens and connection strings.

    Args:
        text: What is to be shown, such as a traceback.
        environment: Settings by name. Values that are connection strings, or whose name is that
            of a secret, are masked wherever they occur.
    """
    values = {value.strip() for name, value in environment.items() if _is_secret(name, value)}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    for pattern in _SECRETS:
        text = re.sub(pattern, rf"\g<name>{MASK}", text)
    return text


def _is_secret(name: str, value: str) -> bool:
    named = re.search(_SENSITIVE_NAME, name) and len(value.strip()) >= SHORTEST_SECRET
    return bool(named or re.search(_CONNECTION_STRING, value))


def mask_access_keys(text: str) -> str:
    """Replace the access keys of connection strings by asterisks; the length stays."""
    return re.sub(_ACCESS_KEY, lambda match: match["name"].ljust(len(match[0]), "*"), text)


def clean_line(text: str | None, secrets: tuple[str, ...], length: int) -> str | None:
    """Turn text of a server into one line without secrets and invisible characters.

    Invisible characters are removed first, secrets masked next, and the length limited last: in
    another order, half a secret could stay. A secret that is broken by spaces masks the whole text.

    Args:
        text: The text, or None.
        secrets: Values to mask; none is empty.
        length: The most characters of the result.

    Returns:
        The line, or None when nothing is left.
    """
    escape_invisible = re.sub(_INVISIBLE, "", " ".join((text or "").split()))
    line = " ".join(escape_invisible.split())
    for secret in secrets:
        line = line.replace(secret, MASK)
    packed = line.replace(" ", "")
    if any(secret in packed for secret in secrets):
        return MASK
    return (line if len(line) <= length else line[: length - 1] + ELLIPSIS) or None
