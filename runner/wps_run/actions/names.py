"""The rules for the names of users, groups, connections and hubs, and why each stands."""

import re
import unicodedata

HUB_PATTERN = r"^[A-Za-z][A-Za-z0-9_`,.\[\]]{0,127}$(?!\n)"
"""What a hub may be called. Source: the OpenAPI document."""

BLANKS = r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
r"""White space that is no control character; `\s` is not the same in Python and ECMAScript."""

NAME_PATTERN = rf"^(?!\.{{1,2}}$(?!\n))(?![{BLANKS}]+$(?!\n))[^\u0000-\u001f\u007f-\u009f]+$(?!\n)"
"""What a JSON Schema can say of a name: not `.` or `..`, not blank, no control characters.

`$(?!\\n)` is the very end in Python too, whose bare `$` also matches before a last line break.
"""

NO_SLASH_PATTERN = r"^[^/]*$"
"""What it says of a name in a path, unless the playbook has `slashInNames: allow`."""

_HUB = re.compile(HUB_PATTERN)


def name_error(name: str, limit: int | None) -> str | None:
    """What is wrong with a name, as the end of a sentence, or None.

    Args:
        name: The name, variables filled in.
        limit: The most UTF-16 units it may have, or None.

    Source: limits of the service; `.` and `..` because HTTP stacks fold them away, so that a
    send to the group `..` would reach the whole hub.
    """
    if not name.strip():
        return "is empty" if not name else "is blank"
    if name in {".", ".."}:
        return f"is `{name}`, which HTTP stacks fold away, so the request would go elsewhere"
    for character in name:
        if unicodedata.category(character) == "Cc":
            return f"has a control character (U+{ord(character):04X})"
        if unicodedata.category(character) == "Cs":
            return f"has half of a surrogate pair (U+{ord(character):04X}), which is no character"
    units = len(name) + sum(character > "\uffff" for character in name)
    if limit is not None and units > limit:
        return f"is {units} UTF-16 units long, at most {limit} are allowed"
    return None


SLASH_ERROR = (
    "has a `/`: the service reads it as `%2F`, so nobody who joined under this name would be "
    "reached (`slashInNames: allow` sends it all the same)"
)
"""What is wrong with a `/` in a name that travels in a path."""


def hub_error(hub: str) -> str | None:
    """What is wrong with a hub's name, as the end of a sentence, or None."""
    if _HUB.fullmatch(hub):
        return None
    return (
        "must begin with a letter and hold at most 128 letters, digits and ``_`,.[]``"
        if hub
        else "is empty"
    )
