"""The key `groups`: who belongs to a group. Its schema, its errors, and what contradicts it.

An entry is expanded to ordinary actions: one adds the users, one the connections, with `roles` some
grant permissions, and with `prune` one removes everybody else. `model` makes them, in front of
those of `actions`.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from wps_run.actions.fields import PERMISSION
from wps_run.actions.names import NAME_PATTERN, NO_SLASH_PATTERN
from wps_run.document.document import Path
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.foreach import COLUMN_SCHEMA, PlacedError, column_source_errors, strings_in
from wps_run.playbook.messages import closest_key, join_names, unknown_key, value_error
from wps_run.playbook.options import OPTIONS
from wps_run.playbook.references import row_references
from wps_run.playbook.selection import TAGS, TAGS_SCHEMA, tags_errors
from wps_run.problems import did_you_mean

GROUPS = "groups"
"""The key of a playbook."""

USERS, CONNECTIONS, ROLES = "users", "connections", "roles"
PRUNE, ALLOW_EMPTY = "prune", "allowEmpty"

GROUP_OPTIONS = ("onMissing", "onError", "timeout")
"""The options of a run that an entry may have as well. It sends no message."""

_EXAMPLE = "launch-red: {users: [ada, grace]}"


def _source(what: str) -> dict[str, Any]:
    return {
        "description": f"{what}: a list, a variable with a list (`${{names}}`), or a column of a "
        "file (`{file: names.csv, column: id}`).",
        **COLUMN_SCHEMA,
    }


ENTRY_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "additionalProperties": False,
        "anyOf": [
            {"type": "object", "required": [USERS]},
            {"type": "object", "required": [CONNECTIONS]},
        ],
        "properties": {
            USERS: _source("The IDs of the users who belong to the group"),
            CONNECTIONS: _source("The IDs of the connections that belong to the group"),
            ROLES: {
                "type": "array",
                "minItems": 1,
                "items": {"enum": list(PERMISSION.choices)},
                "description": "What the members may do in the group. A run grants it to the "
                "listed connections, and to those connections of listed users that are in the "
                "group before the run; `wps-run listen` to each connection of a listed user.",
            },
            PRUNE: {
                "type": "boolean",
                "description": "Remove every other connection from the group. Default: false.",
            },
            ALLOW_EMPTY: {
                "type": "boolean",
                "description": "With `prune`: empty the group if nobody is listed, instead of "
                "refusing to run. Default: false.",
            },
            **{
                key: {"description": OPTIONS[key].description, **OPTIONS[key].schema}
                for key in GROUP_OPTIONS
            },
            TAGS: dict(TAGS_SCHEMA),
        },
    }
)

GROUPS_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "description": "Who belongs to which group. Before the actions run, the users and "
        "connections are added to their group; with `prune`, everybody else is removed from it.",
        "propertyNames": {"pattern": NAME_PATTERN},
        "additionalProperties": dict(ENTRY_SCHEMA),
    }
)


NO_SLASH_GROUPS: Mapping[str, Any] = MappingProxyType(
    {"type": "object", "propertyNames": {"pattern": NO_SLASH_PATTERN}}
)
"""The schema that refuses `/` in the names of the groups."""


EntryError = tuple[Path, str, bool]
"""The path below an entry, the message, and whether it is about the key."""


def entry_errors(name: str, entry: Any) -> Iterator[EntryError]:  # noqa: ANN401 -- any data
    """Explain why an entry does not match its schema."""
    if not isinstance(entry, dict):
        hint = f"; write `{name}: {{users: […]}}`" if isinstance(entry, list) else ""
        yield (), f"`{name}` must be a mapping, such as `{_EXAMPLE}`{hint}", False
        return
    for key, value in entry.items():
        if key not in ENTRY_SCHEMA["properties"]:
            yield (key,), unknown_key(key, ENTRY_SCHEMA["properties"], "a group"), True
        else:
            yield from (((key, *path), message, False) for path, message in _errors(key, value))
    sources = (USERS, CONNECTIONS)
    if not any(key in sources or closest_key(key, sources) for key in entry):
        yield (), f"`{name}` needs `users` or `connections`, such as `{_EXAMPLE}`", False


def _errors(key: str, value: object) -> Iterator[PlacedError]:
    schema = ENTRY_SCHEMA["properties"][key]
    if compile_schema(schema)(value):
        return
    if key in {USERS, CONNECTIONS}:
        yield from column_source_errors(key, value)
    elif key == TAGS:
        yield from tags_errors(value)
    elif key == ROLES:
        yield from _role_errors(value, schema["items"]["enum"])
    else:
        yield (), value_error(key, schema, value, value if isinstance(value, str) else "")


def _role_errors(value: object, roles: list[str]) -> Iterator[PlacedError]:
    if not isinstance(value, list) or not value:
        hint = f"; write `[{value}]`" if value in roles else ""
        yield (), f"`{ROLES}` must be a list with {join_names(roles)}{hint}"
        return
    for index, role in enumerate(value):
        if role not in roles:
            name = role.removeprefix("webpubsub.") if isinstance(role, str) else ""
            near = f"; write `{name}`" if name in roles else did_you_mean(name, roles)
            yield (index,), f"an entry of `{ROLES}` must be {join_names(roles)}{near}"


class RowReference(NamedTuple):
    """A `${each…}` in an entry or its name, where there are no rows.

    Attributes:
        path: The path of the text below `groups`.
        text: The reference.
        is_in_key: Whether it is in the name of the group.
    """

    path: Path
    text: str
    is_in_key: bool

    @property
    def message(self) -> str:
        """What is wrong with it."""
        return f"`{self.text}` stands for a row of `forEach`; a group has none"


def row_references_of(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[RowReference]:
    """Yield each `${each…}` in valid entries and in their names."""
    for name, entry in groups.items():
        texts: list[tuple[Path, str, bool]] = [((name,), name, True)]
        texts += [((name, *path), text, False) for path, text in strings_in(entry)]
        for path, text, is_in_key in texts:
            for reference, _ in row_references(text):
                yield RowReference(path, reference, is_in_key)
