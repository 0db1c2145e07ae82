"""The target of an action, and single values, as text."""

import json
from collections.abc import Mapping

from wps_run import text as visible_text
from wps_run.actions.request import Value

CUT_AT = 60
"""Columns. On a terminal, longer values are cut; machine formats and pages have them whole."""

_SPECIAL = set(" \"'=,[]\\")
"""Characters that end a word, or have a meaning of their own in it."""


def whole_target(target: Mapping[str, Value]) -> str:
    """Return `userId=ada group=launch`, whatever the values contain."""
    return " ".join(f"{name}={whole_value(value)}" for name, value in target.items())


def whole_value(value: Value) -> str:
    """Return a value as text; a tuple in brackets."""
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


def action_text(name: str, target: Mapping[str, Value], label: str, columns: int | None) -> str:
    """Return an action with its target and label on one line for a terminal.

    Args:
        name: The name of the action.
        target: Its target.
        label: What the user calls it; "" for nothing.
        columns: How wide the line may be, None for any width. Long names are shortened in the
            middle until it fits; the label gets the columns that are left.
    """
    if columns is None:
        shown = visible_text.truncate_middle(label, CUT_AT)
        return f"{name} {target_text(target)}".rstrip() + (f"  ({shown})" if shown else "")
    text = name
    for width in _WIDTHS:
        text = f"{name} {target_text(target, width)}".rstrip()
        left = columns - visible_text.display_width(text)
        if left >= 0:
            shown = visible_text.truncate_middle(label, min(left - len("  ()"), CUT_AT))
            is_shown = label and visible_text.display_width(shown) >= min(len(label), _SHORT_LABEL)
            return f"{text}  ({shown})" if is_shown else text
    return visible_text.truncate(text, max(columns, _WIDTHS[-1]))


_WIDTHS = (CUT_AT, 40, 30, 24, 20, 16, 12, 8)
"""The widths to which names are shortened, one after the other, until a line fits."""

_SHORT_LABEL = 6
"""Columns. A longer label is left out where there is less room."""


def target_text(target: Mapping[str, Value], width: int = CUT_AT) -> str:
    """Return the target on one line for a terminal: `userId=ada group=launch`.

    Args:
        target: The target.
        width: How wide a name may be.
    """
    return " ".join(f"{name}={value_text(value, width)}" for name, value in target.items())


def value_text(value: Value, width: int = CUT_AT) -> str:
    """Return a value on one line for a terminal, quoted unless it reads as one word.

    Args:
        value: The value.
        width: How wide a name may be; a longer one is shortened in the middle.
    """
    if isinstance(value, tuple):
        return "[" + ", ".join(value_text(item, width) for item in value) + "]"
    text = str(value)
    if (
        text
        and not set(text) & _SPECIAL
        and text[0] not in "(:#"
        and visible_text.escape_invisible(text) == text
    ):
        return visible_text.truncate_middle(text, width)
    quoted = visible_text.escape_invisible(json.dumps(text, ensure_ascii=False))
    return visible_text.truncate_middle(quoted, width)


def cut(text: str) -> str:
    """Return the text, or its first `CUT_AT` columns with an ellipsis."""
    return visible_text.truncate(text, CUT_AT)
