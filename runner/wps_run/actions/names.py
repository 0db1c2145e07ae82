"""The rules for the names of users, groups, connections and hubs, with their sources."""

import json
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

HUB_PATTERN = r"^[A-Za-z][A-Za-z0-9_`,.\[\]]{0,127}$(?!\n)"
"""The pattern of hub names. Source: the OpenAPI document."""

SETTING_NAME = r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}"
"""A setting's name. It excludes connection strings, which contain `=`, `;` and `/`."""

HUB_REFERENCE_PATTERN = (
    rf"^(?:[A-Za-z]|%{SETTING_NAME}%)(?:[A-Za-z0-9_`,.\[\]]|%{SETTING_NAME}%){{0,127}}$(?!\n)"
)
"""The pattern of hub names in which settings may be named as `%NAME%`, as in the binding."""

BLANKS = r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
r"""White space except control characters. `\s` differs between Python and ECMAScript."""

NAME_PATTERN = rf"^(?!\.{{1,2}}$(?!\n))(?![{BLANKS}]+$(?!\n))[^\u0000-\u001f\u007f-\u009f]+$(?!\n)"
"""The pattern of names in the JSON Schemas: not `.` or `..`, not blank, no control characters.

`$(?!\\n)` matches only at the end; in Python, `$` alone also matches before a final line break.
"""

NO_SLASH_PATTERN = r"^[^/]*$"
"""The pattern of names in a path, unless the playbook has `slashInNames: allow`."""

_HUB = re.compile(HUB_PATTERN)

_UPPER_CASE = re.compile("[A-Z]")


def argument_name(property_name: str) -> str:
    """Return the name in Python of a property of an action: `user_id` for `userId`."""
    return _UPPER_CASE.sub(lambda letter: f"_{letter[0].lower()}", property_name)


def class_name(action_name: str) -> str:
    """Return the name in Python of an action: `SendToGroup` for `sendToGroup`."""
    return action_name[:1].upper() + action_name[1:]


def name_error(name: str, limit: int | None) -> str | None:
    """Return what is wrong with a name, as the predicate of a sentence, or None.

    Args:
        name: The name, with variables substituted.
        limit: The maximum length in UTF-16 units, or None.

    Source: limits of the service. `.` and `..` are refused because HTTP stacks remove such path
    segments, so that a send to the group `..` would reach the whole hub.
    """
    if not name.strip():
        return "is empty" if not name else "is blank"
    if name in {".", ".."}:
        return f"is `{name}`, which HTTP libraries remove; the request would have another target"
    for character in name:
        if unicodedata.category(character) == "Cc":
            return f"has a control character (U+{ord(character):04X})"
        if unicodedata.category(character) == "Cs":
            return (
                f"has half of a surrogate pair (U+{ord(character):04X}), which is not a character"
            )
    units = len(name) + sum(character > "\uffff" for character in name)
    if limit is not None and units > limit:
        return f"is {units} UTF-16 units long, at most {limit} are allowed"
    return None


_BY_FILTER = MappingProxyType(
    {
        "sendToGroup": "sendToAll",
        "sendToUser": "sendToAll",
        "sendToConnection": "sendToAll",
        "addUserToGroup": "addConnectionsToGroups",
        "addConnectionToGroup": "addConnectionsToGroups",
        "removeUserFromGroup": "removeConnectionsFromGroups",
        "removeConnectionFromGroup": "removeConnectionsFromGroups",
    }
)
"""The action that does the same by a filter, where a name may have a `/`."""


def slash_error(action: str, values: Mapping[str, object]) -> str:
    """Return what is wrong with a `/` in a name that is sent in the path, and the way round.

    Args:
        action: The name of the action.
        values: Its properties, as the message may show them.
    """
    names = {key: value for key, value in values.items() if isinstance(value, str)}
    person = next((key for key in ("userId", "connectionId") if key in names), None)
    way = ""
    if action == "sendToGroup" and "group" in names:
        way = f"; `sendToAll` with `filter: {_quoted(_literal(names['group']) + ' in groups')}` "
        way += "reaches those who joined it by token"
    elif action in _BY_FILTER and person:
        way = f"; use `{_BY_FILTER[action]}` with "
        if "group" in names:
            way += f"`groups: [{_quoted(names['group'])}]` and "
        way += f"`filter: {_quoted(f'{person} eq {_literal(names[person])}')}`"
    return (
        "has a `/`: the service reads it as `%2F`, so it would not reach the clients with this "
        f"name{way} (`slashInNames: allow` sends it anyway)"
    )


def _literal(text: str) -> str:
    """Return a string of a filter."""
    return "'" + text.replace("'", "''") + "'"


def _quoted(text: str) -> str:
    """Return a text in double quotes, as YAML and JSON have it."""
    return json.dumps(text, ensure_ascii=False)


def hub_error(hub: str) -> str | None:
    """Return what is wrong with a hub's name, as the predicate of a sentence, or None."""
    if _HUB.fullmatch(hub):
        return None
    return (
        "must begin with a letter and hold at most 128 letters, digits and ``_`,.[]``"
        if hub
        else "is empty"
    )
