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


def target_text(target: Mapping[str, Value]) -> str:
    """Return the target on one line for a terminal: `userId=ada group=launch`."""
    return " ".join(f"{name}={value_text(value)}" for name, value in target.items())


def value_text(value: Value) -> str:
    """Return a value on one line for a terminal, cut, and quoted unless it reads as one word."""
    if isinstance(value, tuple):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    text = str(value)
    if (
        text
        and not set(text) & _SPECIAL
        and text[0] not in "(:#"
        and visible_text.escape_invisible(text) == text
    ):
        return cut(text)
    return cut(visible_text.escape_invisible(json.dumps(text, ensure_ascii=False)))


def cut(text: str) -> str:
    """Return the text, or its first `CUT_AT` columns with an ellipsis."""
    return visible_text.truncate(text, CUT_AT)
