"""Workflow commands: lines that GitHub Actions takes out of a log, and shows beside the code.

Source: "Workflow commands for GitHub Actions" in GitHub's documentation; the escapes are those of
its own toolkit (`actions/toolkit`, `packages/core/src/command.ts`).
"""

import re
from collections.abc import Mapping

MOST = 10
"""GitHub shows so many annotations of each kind a step, and silently drops the rest."""


_NEW_FORM = re.compile(r"^([ \t]*)::", re.MULTILINE)
"""What begins a command in a line that may be indented."""

_OLD_FORM = "##["
"""What begins a command of the older form, anywhere in a line
(`actions/runner`, `src/Runner.Common/ActionCommand.cs`)."""


def inert(text: str) -> str:
    """A log in which nothing is a command, whatever names are in it.

    The sign that would make one is written as an escape, which JSON reads as the same sign.
    """
    return _NEW_FORM.sub(r"\1\\u003a:", text).replace(_OLD_FORM, r"##\u005b")


def command(kind: str, properties: Mapping[str, str | int], message: str) -> str:
    """One command, with its line break.

    Args:
        kind: `error`, `warning` or `notice`.
        properties: Such as `file`, `line` and `title`, in the order in which they are shown.
        message: What to say; it may have several lines.
    """
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {said}::{_escaped(message)}\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str | int) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")
