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
from wps_run.playbook.templates import substitute
from wps_run.playbook.variables import VariableScope
from wps_run.problems import Position, Problem, did_you_mean, limited

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
                    "The connections that are in the group besides those of `users`, and no others"
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
        elif compile_schema(properties[name])(value):
            continue
        elif properties[name].get("anyOf") == COLUMN_SCHEMA["anyOf"]:
            for path, message in column_source_errors(name, value):
                yield EntryError((name, *path), message)
        else:
            yield _value_error(name, properties[name], value, shown((name,), value))
    yield from _missing_keys(key, entry)


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
        path: Its path in the playbook.
    """

    index: int
    condition: Condition
    statement: str
    recorded_statement: str
    source: str
    within: float
    path: Path


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
) -> ExpectationCheck:
    """Fill in the variables of expectations, read their lists, and find contradictions.

    Args:
        document: The playbook.
        entries: Its valid entries of `expect`, by their index in the list.
        scope: The variables and files.
        slash_in_names: Whether names in the URL path may contain `/`.
    """
    problems: list[Problem] = []
    known: list[Expectation] = []
    for number, (index, entry) in enumerate(entries.items()):
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
                    (EXPECT, index),
                )
            )
    found = contradictions((document, (), expectation) for expectation in known)
    problems += (problem._replace(message=scope.secrets.mask(problem.message)) for problem in found)
    return ExpectationCheck(tuple(limited(problems)), tuple(known))


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
            return f"group {_quoted(condition.group)} {' and '.join(_group_parts(condition))}"
        case UserCondition(user, connected):
            return f"user {_quoted(user)} is {_connected(connected)}"
        case ConnectionCondition(connection, connected):
            return f"connection {_quoted(connection)} is {_connected(connected)}"
        case PermissionCondition(connection, permission, target_name, allowed):
            may = "may" if allowed else "may not"
            return f"connection {_quoted(connection)} {may} {permission} {_quoted(target_name)}"
        case MessageCondition(message, received_by):
            shown = f"of {len(message.encode(errors='replace')):,} bytes"
            if shows_message:
                cut = message[:_SHOWN_MESSAGE]
                shown = json.dumps(cut + ("…" if cut != message else ""), ensure_ascii=False)
            return f"message {shown} is received by {shown_names(received_by)}"
        case ClosedCondition(clients, reason):
            why = "" if reason is None else f" with the reason {_quoted(reason)}"
            return f"closed{why}: {shown_names(clients)}"


def _group_parts(condition: GroupCondition) -> Iterator[str]:
    if condition.is_exact:
        connections = [f"connection {_quoted(name)}" for name in condition.connections or ()]
        members = [*map(_quoted, condition.users or ()), *connections]
        yield f"has exactly {_joined(members)}" if members else "is empty"
    if condition.has:
        yield f"has {shown_names(condition.has)}"
    if condition.has_not:
        yield f"does not have {shown_names(condition.has_not)}"
    if not (condition.is_exact or condition.has or condition.has_not):
        yield "has everybody in an empty list"


def shown_names(names: Iterable[str]) -> str:
    """Return names for readers: the first ones, and the number of the others."""
    return _joined([*map(_quoted, names)]) or "everybody in an empty list"


def _joined(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _connected(connected: bool) -> str:  # noqa: FBT001 -- a state
    return "connected" if connected else "not connected"


# Contradictions.

_Fact: TypeAlias = tuple[str, ...]
"""What is true or false: who is connected, who is in a group, who has a permission."""

Placed: TypeAlias = tuple[Document, tuple[str, ...], Expectation]
"""An expectation, with its playbook and what names its hub."""


def contradictions(placed: Iterable[Placed]) -> Iterator[Problem]:
    """Yield a problem for each expectation that cannot hold, or that its playbook already states.

    It contradicts itself or an earlier one of the same hub.
    """
    by_hub: dict[tuple[str, ...], list[Placed]] = {}
    for each in placed:
        by_hub.setdefault(each[1], []).append(each)
    for expected in by_hub.values():
        checker = _ContradictionChecker(expected)
        for each in expected:
            yield from checker.check(each)


class _ExactMembers:
    """The members that a condition states exactly."""

    def __init__(self, condition: GroupCondition) -> None:
        self._condition = condition
        self._users = frozenset(condition.users or ())
        self._connections = frozenset(condition.connections or ())

    def excludes(self, key: str, name: str) -> bool:
        """Whether a name is not among them; a connection may be one of their users."""
        if name in self._users or name in self._connections:
            return False
        if key == "connections":
            return not self._users
        return self._condition.users is not None or not self._connections

    @property
    def statement(self) -> str:
        """The condition without what it states besides."""
        return statement_of(self._condition._replace(has=(), has_not=()))


class _ContradictionChecker:
    """Compares each expectation of a hub with itself and with those before it."""

    def __init__(self, expected: Iterable[Placed]) -> None:
        conditions = [expectation.condition for _, _, expectation in expected]
        self._users = {each.user for each in conditions if isinstance(each, UserCondition)}
        self._connections = {
            each.connection for each in conditions if isinstance(each, ConnectionCondition)
        }
        self._conditions: dict[tuple[object, ...], Placed] = {}
        self._facts: dict[_Fact, tuple[bool, Placed]] = {}
        self._members: dict[str, dict[tuple[str, str], Placed]] = {}
        """Group to who is in it: the key of the list, and the name."""
        self._exact: dict[str, list[tuple[_ExactMembers, Placed]]] = {}

    def check(self, placed: Placed) -> Iterator[Problem]:
        """Yield the first problem of an expectation, if there is any."""
        document, _, expectation = placed
        condition = expectation.condition
        same = self._conditions.setdefault((type(condition), *condition), placed)
        if same is not placed and same[0] is document:
            message = f"{_entry(same, placed)} states the same; leave one of them out"
            yield document.problem(message, "repeated-expectation", expectation.path)
            return
        found = self._opposite(placed)
        if isinstance(condition, GroupCondition):
            found = found or self._outsider(condition, placed)
        if found:
            path, other, statement = found
            message = f"this contradicts {_entry(other, placed)}: {statement}"
            yield document.problem(message, "contradiction", (*expectation.path, *path))

    def _opposite(self, placed: Placed) -> tuple[Path, Placed, str] | None:
        """Find a fact of which an expectation states the opposite; add its own facts."""
        for key, fact, value in self._facts_of(placed[2].condition):
            known, other = self._facts.setdefault(fact, (value, placed))
            if known is not value:
                return _item(key, fact[-1], placed), other, _fact_text(fact, value=known)
        return None

    def _facts_of(self, condition: Condition) -> Iterator[tuple[str, _Fact, bool]]:
        """Yield what a condition states, and what follows from that, each with its key."""
        match condition:
            case UserCondition(name, connected):
                yield "connected", ("user", name), connected
            case ConnectionCondition(name, connected):
                yield "connected", ("connection", name), connected
            case PermissionCondition(connection, permission, target, allowed):
                yield "permission", ("permission", connection, permission, target), allowed
                if allowed:
                    yield "connection", ("connection", connection), True
            case GroupCondition():
                yield from self._group_facts(condition)
            case _:  # a client may receive several messages, and be closed several times
                return

    def _group_facts(self, condition: GroupCondition) -> Iterator[tuple[str, _Fact, bool]]:
        for key, name in _stated_members(condition):
            yield key, ("member", condition.group, name), True
            is_user, is_connection = name in self._users, name in self._connections
            if key == "users" or (key == "has" and is_user and not is_connection):
                yield key, ("user", name), True
            if key == "connections" or (key == "has" and is_connection and not is_user):
                yield key, ("connection", name), True
        for name in condition.has_not:
            yield "hasNot", ("member", condition.group, name), False

    def _outsider(
        self, condition: GroupCondition, placed: Placed
    ) -> tuple[Path, Placed, str] | None:
        """Find who is stated to be in a group but is not among those stated exactly."""
        group = condition.group
        own = _ExactMembers(condition) if condition.is_exact else None
        if own:
            self._exact.setdefault(group, []).append((own, placed))
        for exact, other in self._exact.get(group, ()):
            for key, name in _stated_members(condition):
                if exact.excludes(key, name):
                    return _item(key, name, placed), other, exact.statement
        members = self._members.setdefault(group, {})
        for (key, name), other in members.items() if own else ():
            if own and own.excludes(key, name):
                exact_key = "users" if condition.users is not None else "connections"
                return (exact_key,), other, _fact_text(("member", group, name), value=True)
        members.update((member, placed) for member in _stated_members(condition))
        return None


def _stated_members(condition: GroupCondition) -> Iterator[tuple[str, str]]:
    """Yield each name that a condition states to be in its group, after the key of its list."""
    for key, names in (
        ("has", condition.has),
        ("users", condition.users or ()),
        ("connections", condition.connections or ()),
    ):
        for name in names:
            yield key, name


def _fact_text(fact: _Fact, *, value: bool) -> str:
    match fact:
        case ("member", group, name):
            return f"{_quoted(name)} is {'' if value else 'not '}in group {_quoted(group)}"
        case ("permission", connection, permission, target):
            return statement_of(PermissionCondition(connection, permission, target, value))
        case _:
            return f"{fact[0]} {_quoted(fact[1])} is {_connected(value)}"


def _item(key: str, name: str, placed: Placed) -> Path:
    """Return the path below an entry of a name in a list, or of the key if it is no list."""
    document, _, expectation = placed
    entry = document.value_at(expectation.path)
    is_listed = isinstance(entry[key], list) and name in entry[key]
    return (key, entry[key].index(name)) if is_listed else (key,)


def _entry(other: Placed, placed: Placed) -> str:
    """Return which entry another one is, as seen from an expectation."""
    if other is placed:
        return "itself"
    document, _, expectation = other
    position = document.position(expectation.path)
    is_near = document is placed[0]
    return f"the entry on line {position.line}" if is_near else f"the entry at {position}"
