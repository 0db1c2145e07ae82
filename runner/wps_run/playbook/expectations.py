"""The key `expect`: what must hold after the actions. Its schema, its errors and its values.

An entry is one condition on the hub. Its form is chosen by a key that only this form has: `group`,
`user`, `permission`, `connection`, `message` or `closed`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from wps_run.actions.fields import CONNECTION_ID, GROUP, PERMISSION, TARGET_NAME, USER_ID, Field
from wps_run.actions.names import NAME_PATTERN, NO_SLASH_PATTERN, name_error
from wps_run.document.document import Document, Path
from wps_run.input_limits import EXPECTATIONS, PROBLEMS
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.foreach import COLUMN_SCHEMA, column_source_errors, row_format
from wps_run.playbook.messages import (
    closest_key,
    join_names,
    string_error,
    text_error,
    unknown_key,
    value_error,
)
from wps_run.playbook.options import DURATION, parse_duration
from wps_run.playbook.references import (
    NotYetKnownError,
    UnusableReferenceError,
    list_of,
    reference_problem,
    row_references,
)
from wps_run.playbook.rows import Axis, InputError, Row, Rows, inline_rows, read_axis, single_values
from wps_run.playbook.selection import TAGS, TAGS_SCHEMA, tags_errors
from wps_run.playbook.templates import substitute
from wps_run.playbook.variables import VariableScope
from wps_run.problems import Position, Problem, did_you_mean

EXPECT = "expect"
"""The key of a playbook."""

_FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "group": GROUP,
        "user": USER_ID,
        "connection": CONNECTION_ID,
        "targetName": TARGET_NAME,
        "has": USER_ID,
        "hasNot": USER_ID,
        "users": USER_ID,
        "connections": CONNECTION_ID,
        "receivedBy": USER_ID,
        "closed": USER_ID,
    }
)
"""The keys that hold names, each with the property of an action that has the same names."""

_IN_PATHS = ("group", "user", "connection")
"""The names that are part of the URL path of a read."""

_TEMPLATE = {"type": "string", "pattern": r"\$\{"}


def _name(key: str, description: str) -> dict[str, Any]:
    limit = _FIELDS[key].limit
    name = {"type": "string", "pattern": NAME_PATTERN} | ({"maxLength": limit} if limit else {})
    return {"description": description, "anyOf": [name, dict(_TEMPLATE)]}


def _names(description: str) -> dict[str, Any]:
    return {
        "description": f"{description}: a list, a variable with a list (`${{names}}`), or a column "
        "of a file (`{file: names.csv, column: id}`).",
        **COLUMN_SCHEMA,
    }


def _form(
    description: str,
    required: Sequence[str],
    properties: Mapping[str, Any],
    alternatives: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the schema of one form; it must have one of the alternatives, if there are any."""
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "additionalProperties": False,
        "properties": {
            **properties,
            "within": {
                "description": "How long it may take until this holds: it is checked again until "
                "then. Default: it is checked once.",
                **DURATION,
            },
            TAGS: dict(TAGS_SCHEMA),
        },
        **(
            {"anyOf": [{"type": "object", "required": [key]} for key in alternatives]}
            if alternatives
            else {}
        ),
    }


_CONNECTED = {"type": "boolean", "description": "Whether there is a connection."}

FORMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "group": _form(
            "Who is in a group.",
            ["group"],
            {
                "group": _name("group", "The group's name."),
                "has": _names("Users, or connections, who are in the group, among others"),
                "hasNot": _names("Users, or connections, who are not in the group"),
                "users": _names("The users who are in the group, and nobody else"),
                "connections": _names(
                    "The connections in the group in addition to those of `users`, and no others"
                ),
            },
            ["has", "hasNot", "users", "connections"],
        ),
        "user": _form(
            "Whether a user is connected.",
            ["user", "connected"],
            {"user": _name("user", "The user's ID."), "connected": _CONNECTED},
        ),
        "permission": _form(
            "Whether a connection has a permission.",
            ["connection", "permission", "targetName"],
            {
                "connection": _name("connection", "The connection's ID."),
                "permission": {
                    "description": PERMISSION.summary,
                    "anyOf": [{"type": "string", "enum": list(PERMISSION.choices)}, _TEMPLATE],
                },
                "targetName": _name("targetName", "The group that the permission is for."),
                "allowed": {
                    "type": "boolean",
                    "description": "Whether the connection has the permission. Default: true.",
                },
            },
        ),
        "connection": _form(
            "Whether a connection is open.",
            ["connection", "connected"],
            {"connection": _name("connection", "The connection's ID."), "connected": _CONNECTED},
        ),
        "message": _form(
            "Who received a message. Only in a rehearsal; elsewhere it is skipped.",
            ["message", "receivedBy"],
            {
                "message": {"type": "string", "description": "The text of the message."},
                "receivedBy": _names("Users, or connections, who received it, among others"),
            },
        ),
        "closed": _form(
            "Whose connections were closed. Only in a rehearsal; elsewhere it is skipped.",
            ["closed"],
            {
                "closed": _names("Users, or connections, that were closed, among others"),
                "reason": {"type": "string", "description": "The reason that they received."},
            },
        ),
    }
)
"""The key that selects a form to the schema of the form. The first key that an entry has counts."""

_SUBJECTS = ("group", "user", "connection", "message", "closed")
"""The keys with which an entry begins, for messages."""

_EXAMPLE = "{group: launch-red, has: [ada, grace]}"


def _entry_schema() -> dict[str, Any]:
    chain: dict[str, Any] = {
        "type": "object",
        "anyOf": [{"type": "object", "required": [key]} for key in _SUBJECTS],
    }
    for key, form in reversed(tuple(FORMS.items())):
        chain = {"if": {"type": "object", "required": [key]}, "then": dict(form), "else": chain}
    return chain


EXPECT_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "array",
        "description": "What must hold after the actions. Each entry is checked by reading from "
        "the service, or in a rehearsal from the emulator, and has a result of its own.",
        "maxItems": EXPECTATIONS.value,
        "items": _entry_schema(),
    }
)

NO_SLASH_EXPECTATIONS: Mapping[str, Any] = MappingProxyType(
    {
        "type": "array",
        "items": {
            "type": "object",
            "patternProperties": {
                f"^({'|'.join(_IN_PATHS)})$(?!\\n)": {"type": "string", "pattern": NO_SLASH_PATTERN}
            },
        },
    }
)
"""The schema that refuses `/` in names that are part of the URL path of a read."""


class EntryError(NamedTuple):
    """What is wrong with an entry as it is written.

    Attributes:
        path: The path below the entry.
        message: What is wrong and what to write instead.
        at_key: Whether it is about the key.
    """

    path: Path
    message: str
    at_key: bool = False


def form_of(entry: Mapping[str, Any]) -> str | None:
    """Return the key that selects the form of an entry, or None if it has none."""
    return next((key for key in FORMS if key in entry), None)


ShownValue: TypeAlias = Callable[[Path, object], str]
"""Returns the value at a path below an entry, as the source has it."""


def entry_errors(entry: Any, shown: ShownValue) -> Iterator[EntryError]:  # noqa: ANN401 -- any data
    """Explain why an entry does not match its schema."""
    if not isinstance(entry, dict):
        yield EntryError((), f"an entry of `expect` is a mapping, such as `{_EXAMPLE}`")
        return
    key = form_of(entry)
    if key is None:
        yield _no_subject(entry)
        return
    properties = FORMS[key]["properties"]
    for name, value in entry.items():
        if name not in properties:
            yield EntryError((name,), _unknown_key(name, key), at_key=True)
        elif not compile_schema(properties[name])(value):
            yield from _value_errors(name, properties[name], value, shown)
    yield from _missing_keys(key, entry)


def _value_errors(
    name: str, schema: Mapping[str, Any], value: object, shown: ShownValue
) -> Iterator[EntryError]:
    if name == TAGS:
        yield from (EntryError((name, *path), message) for path, message in tags_errors(value))
    elif schema.get("anyOf") == COLUMN_SCHEMA["anyOf"]:
        for path, message in column_source_errors(name, value):
            yield EntryError((name, *path), message)
    else:
        yield _value_error(name, schema, value, shown((name,), value))


def _no_subject(entry: Mapping[str, Any]) -> EntryError:
    for name in entry:
        if near := did_you_mean(name, FORMS):
            message = f"`{name}` is not a key of an expectation{near}"
            return EntryError((name,), message, at_key=True)
    return EntryError(
        (),
        f"this expectation is about nothing; it needs {join_names(_SUBJECTS)}, such as "
        f"`{_EXAMPLE}`",
    )


def _unknown_key(name: str, form: str) -> str:
    if name in FORMS:
        return f"an expectation is about `{form}` or about `{name}`; write two entries"
    owners = [key for key, schema in FORMS.items() if name in schema["properties"]]
    if owners:
        return f"`{name}` is for an expectation with {join_names(owners)}, not with `{form}`"
    return unknown_key(name, FORMS[form]["properties"], f"an expectation with `{form}`")


def _value_error(name: str, schema: Mapping[str, Any], value: object, shown: str) -> EntryError:
    if schema.get("type") == "boolean":
        return EntryError((name,), f"`{name}` must be true or false")
    if name == "permission":
        message = value_error(name, schema["anyOf"][0], value, shown)
    elif name in _FIELDS and isinstance(value, str):
        message = text_error(_FIELDS[name]._replace(name=name), value) or ""
    elif name in _FIELDS:
        message = string_error(f"`{name}`", value, shown)
    else:
        message = value_error(name, schema, value, shown)
    return EntryError((name,), message or f"`{name}` is not valid: {schema['description']}")


def _missing_keys(form: str, entry: Mapping[str, Any]) -> Iterator[EntryError]:
    schema = FORMS[form]
    needed = [[key] for key in schema["required"]]
    if "anyOf" in schema:
        needed.append([key for part in schema["anyOf"] for key in part["required"]])
    known = schema["properties"]
    for keys in needed:
        misspelled = any(closest_key(name, keys) for name in entry if name not in known)
        if not misspelled and not any(key in entry for key in keys):
            yield EntryError((), f"an expectation with `{form}` needs {join_names(keys)}")


# Values.


class GroupCondition(NamedTuple):
    """Who is in a group.

    Attributes:
        group: The group.
        has: Users or connections that are in it.
        has_not: Users or connections that are not.
        users: The users of exactly those connections that are in it, or None.
        connections: The other connections that are in it; None if all are of `users`.
    """

    group: str
    has: tuple[str, ...] = ()
    has_not: tuple[str, ...] = ()
    users: tuple[str, ...] | None = None
    connections: tuple[str, ...] | None = None

    @property
    def is_exact(self) -> bool:
        """Whether nobody else may be in the group."""
        return self.users is not None or self.connections is not None


class UserCondition(NamedTuple):
    """Whether a user has a connection."""

    user: str
    connected: bool


class ConnectionCondition(NamedTuple):
    """Whether a connection is open."""

    connection: str
    connected: bool


class PermissionCondition(NamedTuple):
    """Whether a connection has a permission for a group."""

    connection: str
    permission: str
    target_name: str
    allowed: bool


class MessageCondition(NamedTuple):
    """Which clients of a rehearsal received a message, at least."""

    message: str
    received_by: tuple[str, ...]


class ClosedCondition(NamedTuple):
    """Which clients of a rehearsal were closed, at least; with any reason if it is None."""

    clients: tuple[str, ...]
    reason: str | None


Condition: TypeAlias = (
    GroupCondition
    | UserCondition
    | ConnectionCondition
    | PermissionCondition
    | MessageCondition
    | ClosedCondition
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A condition that must hold after the actions of a run.

    Attributes:
        index: Its number among all expectations of the run, from 0.
        condition: The condition.
        statement: The condition as a sentence, for readers, with secrets masked.
        recorded_statement: The same without a message, for a journal.
        source: `file:line`.
        within: How long it may take until the condition holds, in seconds.
        document: The file that has it.
        path: Its path in the file.
        tags: The tags by which it is selected.
    """

    index: int
    condition: Condition
    statement: str
    recorded_statement: str
    source: str
    within: float
    document: Document
    path: Path
    tags: frozenset[str] = frozenset()


class ExpectationCheck(NamedTuple):
    """The result of checking the expectations of a playbook.

    Attributes:
        problems: What is wrong with them, in order.
        expectations: Those whose values are known, in order.
    """

    problems: tuple[Problem, ...]
    expectations: tuple[Expectation, ...]


def check_expectations(
    document: Document,
    entries: Mapping[int, Mapping[str, Any]],
    scope: VariableScope,
    *,
    slash_in_names: bool,
    first: int = 0,
) -> ExpectationCheck:
    """Fill in the variables of expectations, and read their lists.

    Args:
        document: The playbook.
        entries: Its valid entries of `expect`, by their index in the list.
        scope: The variables and files.
        slash_in_names: Whether names in the URL path may contain `/`.
        first: The number of the first one.
    """
    problems: list[Problem] = []
    known: list[Expectation] = []
    for number, (index, entry) in enumerate(entries.items(), start=first):
        reader = _EntryReader(document, (EXPECT, index), entry, scope, slash_in_names)
        condition = reader.condition()
        problems += reader.problems
        if len(problems) > PROBLEMS.value:
            break
        if condition is not None:
            position = document.position((EXPECT, index))
            mask = scope.secrets.mask
            known.append(
                Expectation(
                    number,
                    condition,
                    mask(statement_of(_masked(condition, mask))),
                    mask(statement_of(condition, shows_message=False)),
                    f"{position.file}:{position.line}",
                    parse_duration(entry.get("within", 0)),
                    document,
                    (EXPECT, index),
                    frozenset(entry.get(TAGS, ())),
                )
            )
    return ExpectationCheck(tuple(problems), tuple(known))


def _masked(condition: Condition, mask: Callable[[str], str]) -> Condition:
    """Mask secrets in a message before it is cut, which could leave a part of one."""
    if isinstance(condition, MessageCondition):
        return condition._replace(message=mask(condition.message))
    return condition


class _EntryReader:
    """Reads the values of one entry, and collects what is wrong with them."""

    def __init__(
        self,
        document: Document,
        path: Path,
        entry: Mapping[str, Any],
        scope: VariableScope,
        slash_in_names: bool,  # noqa: FBT001 -- private
    ) -> None:
        self._document = document
        self._path = path
        self._entry = entry
        self._scope = scope
        self._slash_in_names = slash_in_names
        self._is_known = True
        self.problems: list[Problem] = []

    def condition(self) -> Condition | None:
        """Return the condition; None if a value is wrong, or known only at run time."""
        condition = self._condition()
        return condition if self._is_known and not self.problems else None

    def _condition(self) -> Condition:
        entry = self._entry
        match form_of(entry):
            case "group":
                return GroupCondition(
                    self._name("group"),
                    self._some("has"),
                    self._some("hasNot"),
                    self._list("users"),
                    self._list("connections"),
                )
            case "user":
                return UserCondition(self._name("user"), entry["connected"])
            case "permission":
                return PermissionCondition(
                    self._name("connection"),
                    self._permission(),
                    self._name("targetName"),
                    entry.get("allowed", True),
                )
            case "connection":
                return ConnectionCondition(self._name("connection"), entry["connected"])
            case "message":
                message = self._fill(entry["message"], (*self._path, "message"))
                return MessageCondition(message, self._some("receivedBy"))
            case _:
                reason = entry.get("reason")
                if reason is not None:
                    reason = self._fill(reason, (*self._path, "reason"))
                return ClosedCondition(self._some("closed"), reason)

    def _permission(self) -> str:
        path = (*self._path, "permission")
        permission = self._fill(self._entry["permission"], path)
        if self._is_known and not self.problems and permission not in PERMISSION.choices:
            message = f"`permission` must be {join_names(PERMISSION.choices)}"
            self._add(message + _filled_in(self._entry["permission"]), path)
        return permission

    def _name(self, key: str) -> str:
        path = (*self._path, key)
        name = self._fill(self._entry[key], path)
        if self._is_known and not self.problems:
            error = self._name_error(key, name)
            if error:
                self._add(f"`{key}` {error}{_filled_in(self._entry[key])}", path)
        return name

    def _name_error(self, key: str, name: str) -> str | None:
        if key in _IN_PATHS and "/" in name and not self._slash_in_names:
            return (
                "has a `/`: the service reads it as `%2F`, so nobody with this name would be found "
                "(`slashInNames: allow` reads it anyway)"
            )
        return name_error(name, _FIELDS[key].limit)

    def _some(self, key: str) -> tuple[str, ...]:
        """Return the names of a list that must not be written as an empty one."""
        if self._entry.get(key) == []:
            other = "; `users: []` says that the group is empty" if key == "has" else ""
            self._add(f"`{key}` is empty, so that it says nothing{other}", (*self._path, key))
        return self._list(key) or ()

    def _list(self, key: str) -> tuple[str, ...] | None:
        """Return the names of a list without repeats, or None if the entry has no such list."""
        if key not in self._entry:
            return None
        path = (*self._path, key)
        axis = self._axis(key, path)
        seen: dict[str, int] = {}
        for number, name in enumerate(axis.values if self._is_known else ()):
            error = name_error(name, _FIELDS[key].limit)
            if error:
                self._add_at(f"a name in `{key}` {error}", axis.place_of(number), path)
            elif name in seen and isinstance(self._entry[key], list):
                self._add_at(f"`{key}` has this name twice", axis.place_of(number), path)
            seen[name] = number
            if len(self.problems) > PROBLEMS.value:
                break
        return tuple(seen)

    def _axis(self, key: str, path: Path) -> Axis:
        source = self._entry[key]
        if isinstance(source, list):
            rows = inline_rows(self._document, path, self._fill)
            values = [cell for row in rows for cell in row.cells.values()]
            return Axis(values, lambda index: (*path, index))
        name, column, place = str(source), None, path
        if isinstance(source, dict):
            name, column, place = source["file"], source.get("column"), (*path, "file")
        name = f"`{name}`"
        try:
            rows = self._usable(single_values(self._rows(source, path), column, name), place)
            return read_axis(rows, name)
        except InputError as error:
            self._add(str(error), place, "file")
        except UnusableReferenceError as error:
            self._add_unusable(path, error)
        except NotYetKnownError:
            self._is_known = False
        return Axis((), lambda _: path)

    def _rows(self, source: Any, path: Path) -> Rows:  # noqa: ANN401 -- what the schema allows
        if isinstance(source, str):
            return list_of(source, self._scope).rows()
        name = self._fill(source["file"], (*path, "file"))
        if not self._is_known or self.problems:
            return iter(())
        return self._scope.inputs.rows(name, row_format(source))

    def _usable(self, rows: Rows, path: Path) -> Iterator[Row]:
        for row in rows:
            if isinstance(row, Row):
                yield row
            elif len(self.problems) <= PROBLEMS.value:
                self.problems.append(row._replace(related=self._document.position(path)))

    def _fill(self, text: str, path: Path) -> str:
        if reference := next((reference for reference, _ in row_references(text)), None):
            message = f"`{reference}` stands for a row of `forEach`; an expectation has none"
            self._add_unusable(path, UnusableReferenceError(reference, message))
            return text
        try:
            return substitute(text, self._scope)
        except UnusableReferenceError as error:
            self._add_unusable(path, error)
        except NotYetKnownError:
            self._is_known = False
        return text

    def _add(self, message: str, path: Path, rule: str = "value") -> None:
        message = self._scope.secrets.mask(message)
        self.problems.append(self._document.problem(message, rule, path))

    def _add_at(self, message: str, place: Position | Path, path: Path) -> None:
        if isinstance(place, Position):
            related = self._document.position(path)
            message = self._scope.secrets.mask(message)
            self.problems.append(Problem(message, "value", place, related=related))
        else:
            self._add(message, place)

    def _add_unusable(self, path: Path, error: UnusableReferenceError) -> None:
        self.problems.append(
            reference_problem(self._document, path, error.reference, error.message, error.rule)
        )


def _filled_in(text: str) -> str:
    return " (after its variables are filled in)" if "${" in text else ""


# Statements.

_PLAIN = re.compile(r"[^\s\"',\[\](){}]+")
_SHOWN_NAMES = 8
_SHOWN_MESSAGE = 60


def statement_of(condition: Condition, *, shows_message: bool = True) -> str:
    """Return a condition as a sentence; long lists are counted instead of shown in full."""
    match condition:
        case GroupCondition():
            return f"group {quoted(condition.group)} {' and '.join(_group_parts(condition))}"
        case UserCondition(user, connected):
            return f"user {quoted(user)} is {connected_text(connected)}"
        case ConnectionCondition(connection, connected):
            return f"connection {quoted(connection)} is {connected_text(connected)}"
        case PermissionCondition(connection, permission, target_name, allowed):
            may = "may" if allowed else "may not"
            return f"connection {quoted(connection)} {may} {permission} {quoted(target_name)}"
        case MessageCondition(message, received_by):
            shown = f"of {len(message.encode(errors='replace')):,} bytes"
            if shows_message:
                cut = message[:_SHOWN_MESSAGE]
                shown = json.dumps(cut + ("…" if cut != message else ""), ensure_ascii=False)
            return f"message {shown} is received by {shown_names(received_by)}"
        case ClosedCondition(clients, reason):
            why = "" if reason is None else f" with the reason {quoted(reason)}"
            return f"closed{why}: {shown_names(clients)}"


def _group_parts(condition: GroupCondition) -> Iterator[str]:
    if condition.is_exact:
        connections = [f"connection {quoted(name)}" for name in condition.connections or ()]
        members = [*map(quoted, condition.users or ()), *connections]
        yield f"has exactly {_joined(members)}" if members else "is empty"
    if condition.has:
        yield f"has {shown_names(condition.has)}"
    if condition.has_not:
        yield f"does not have {shown_names(condition.has_not)}"
    if not (condition.is_exact or condition.has or condition.has_not):
        yield "has everybody in an empty list"


def shown_names(names: Iterable[str]) -> str:
    """Return names for readers: the first ones, and the number of the others."""
    return _joined([*map(quoted, names)]) or "everybody in an empty list"


def _joined(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def quoted(name: str) -> str:
    """Return a name for readers, in quotes if it would be read as something else."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def connected_text(connected: bool) -> str:  # noqa: FBT001 -- a state
    """Return the predicate of a connection's state."""
    return "connected" if connected else "not connected"
