"""Make text fit to show: width, styles, escapes for invisible characters.

Patterns are compiled when they are first used, since `--help` imports this module and uses none.
"""

import re
from collections.abc import Callable
from enum import StrEnum


class Style(StrEnum):
    """What a piece of text is; a terminal shows each in its own color."""

    LOCATION = "location"
    ERROR = "error"
    WARNING = "warning"
    GUTTER = "gutter"
    SUCCESS = "success"
    UNKNOWN = "unknown"
    NOTE = "note"
    HINT = "hint"
    LOCAL = "local"


Styler = Callable[[Style, str], str]
"""Adds the color of a style to a text, and changes nothing else."""


def unstyled(style: Style, text: str) -> str:
    """Return the text as it is: the `Styler` where no color is shown."""
    del style
    return text


class Label(StrEnum):
    """The first word of a diagnostic; each has the color of the style of its name."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    HINT = "hint"


def labeled(label: Label, message: str, styler: Styler = unstyled) -> str:
    """Return `error: message`, the form of all diagnostics."""
    return f"{styler(Style(label), f'{label}:')} {message}"


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


def truncate_middle(text: str, width: int) -> str:
    """Shorten a text to at most `width` columns, with an ellipsis in its middle."""
    if display_width(text) <= width or width <= 1:
        return truncate(text, width)
    tail = (width - 1) // 2
    head = truncate(text, width - tail)
    if _is_narrow(text):
        return head + text[len(text) - tail :]
    from wcwidth import iter_graphemes  # noqa: PLC0415 -- as above

    kept: list[str] = []
    for grapheme in reversed(list(iter_graphemes(text))):
        tail -= display_width(grapheme)
        if tail < 0:
            break
        kept.append(grapheme)
    return head + "".join(reversed(kept))


def wrap(text: str, width: int, indent: str = "") -> str:
    """Break a line between words, so that no row is wider than `width` columns if words allow it.

    Args:
        text: The line, without a line break at its end.
        width: The width of a row.
        indent: What each further row begins with.
    """
    rows = [""]
    for word in text.split(" "):
        extended = f"{rows[-1]} {word}"
        if not rows[-1].strip() or display_width(extended) <= width:
            rows[-1] = extended
        else:
            rows.append(indent + word)
    return "\n".join([rows[0][1:], *rows[1:]])


def wrap_lines(text: str, width: int | None, indent: str) -> str:
    """Break each line of a text as `wrap` does; None is any width."""
    if width is None:
        return text
    return "\n".join(wrap(line, width, indent) for line in text.split("\n"))


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


def one_line(text: str) -> str:
    """Remove invisible characters, and make each run of white space one space."""
    return " ".join(re.sub(_INVISIBLE, "", " ".join(text.split())).split())


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 -- four digits


def _joins_emoji(text: str, index: int) -> bool:
    """Whether the joiner at this index stands between two emoji."""
    from unicodedata import category  # noqa: PLC0415 -- as for wcwidth

    before = text[:index].rstrip(_EMOJI_STYLE)[-1:]
    after = text[index + 1 : index + 2]
    return all(char and category(char) in _EMOJI_CATEGORIES for char in (before, after))
