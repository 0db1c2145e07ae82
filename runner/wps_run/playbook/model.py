"""Read and check a playbook; its errors are collected, not raised."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from wps_run.actions.fields import FieldType
from wps_run.actions.table import ACTIONS, Action
from wps_run.document.document import Document, Path
from wps_run.document.loader import load, parse
from wps_run.input_limits import PROBLEMS
from wps_run.playbook.batch import is_batch, normalize_batch
from wps_run.playbook.constraints import Finding
from wps_run.playbook.expectations import EXPECT
from wps_run.playbook.foreach import invalid_references
from wps_run.playbook.groups import (
    ALLOW_EMPTY,
    CONNECTIONS,
    GROUP_OPTIONS,
    GROUPS,
    PRUNE,
    ROLES,
    USERS,
    row_references_of,
)
from wps_run.playbook.includes import (
    INCLUDE,
    NOT_INCLUDED,
    Include,
    include_errors,
    is_include,
    read_include,
    wrong_references,
)
from wps_run.playbook.options import OPTIONS
from wps_run.playbook.recognition import foreign_file, foreign_text
from wps_run.playbook.references import reference_problem
from wps_run.playbook.schema import FINALLY, SchemaForm
from wps_run.playbook.selection import TAGS
from wps_run.playbook.validator import default_validator
from wps_run.playbook.variables import (
    Declaration,
    ListVariable,
    PlacedText,
    VariableValue,
    read_declarations,
    read_value,
)
from wps_run.problems import (
    PlaybookError,
    Position,
    Problem,
    Severity,
    limited,
    sort_problems,
)

_BY_FOLDED_NAME = {name.lower(): action for name, action in ACTIONS.items()}


@dataclass(frozen=True, slots=True, eq=False)
class PlaybookPart:
    """What is the same for all that one file adds to a playbook.

    Attributes:
        document: The data of the file with its positions.
        name: The name in the file, or None.
        variables: The values in its `vars`, defaults included.
        declarations: What its `vars` says of each variable in addition to its value.
        slash_in_names: Whether names in the URL path may contain `/`.
        is_bare: Whether it is a bare batch.
        expectations: Its entries of `expect` without errors, as in the source, by index.
        include: The entry that includes the file, or None for the playbook's own.
        parent: The part with this entry, or None.
    """

    document: Document
    name: str | None
    variables: Mapping[str, VariableValue]
    declarations: Mapping[str, Declaration]
    slash_in_names: bool
    is_bare: bool
    expectations: Mapping[int, Mapping[str, Any]]
    include: Include | None = None
    parent: "PlaybookPart | None" = None

    @property
    def tags(self) -> frozenset[str]:
        """The tags of the entry that includes the file, and of those around it."""
        own = self.include.tags if self.include else frozenset()
        return own | self.parent.tags if self.parent else own

    @property
    def is_final(self) -> bool:
        """Whether all of it runs in `finally`."""
        in_finally = self.include is not None and self.include.path[0] == FINALLY
        return in_finally or (self.parent is not None and self.parent.is_final)


class ActionTemplate(NamedTuple):
    """An action of a playbook before `${…}` is filled in and rows are expanded.

    Attributes:
        part: The part of the playbook that has it.
        action: Its row of the action table.
        values: Its properties, as in the source.
        label: The author's name for it, or None.
        options: Its own options (`onError`, `delivery`, `timeout`, `onMissing`), as in the source.
        path: Its path in the document: `("actions", 2)`, in a bare batch `(2,)`, or `()`; that of
            the entry, `("groups", "red")`, if it was made from one.
        has_templates: Whether a string in it contains `${`, or it has one of `_EXPANDED_KEYS`,
            so that it is checked again when expanded. False in a bare batch.
        for_each: Its `forEach`, as in the source, or None.
        data_file: The name of the file that replaces `data`, as in the source, or None.
        rows_key: The key below its path that has its rows.
        prunes: Whether its rows are the connections in a group that is pruned which are not
            listed.
        may_be_empty: Whether it may remove all of them.
        tags: The tags by which it is selected.
        roles: What the entry of `groups` lets its members do in the group.
    """

    part: PlaybookPart
    action: Action
    values: Mapping[str, Any]
    label: str | None
    options: Mapping[str, Any]
    path: Path
    has_templates: bool
    for_each: Any = None
    data_file: str | None = None
    rows_key: str = "forEach"
    prunes: bool = False
    may_be_empty: bool = False
    tags: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()

    @property
    def has_listed_rows(self) -> bool:
        """Whether its rows are the connections in a live group whose users the entry lists."""
        return self.rows_key == ROLES

    @property
    def rows_path(self) -> Path:
        """The path of its rows in the document."""
        return (*self.path, self.rows_key)

    @property
    def entry(self) -> tuple[PlaybookPart, Path]:
        """What identifies the entry that it was made from, an action or one of `groups`."""
        return self.part, self.path

    @property
    def position(self) -> Position:
        """Where it begins."""
        return self.part.document.position(self.path)

    def problem(
        self,
        message: str,
        rule: str,
        *below: str | int,
        at_key: bool = False,
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """Make a problem with the value at a path below it, or with the key of that value."""
        path = (*self.path, *below)
        return self.part.document.problem(message, rule, path, at_key=at_key, severity=severity)


class Playbook(NamedTuple):
    """A playbook or a bare batch. What has errors is left out.

    Attributes:
        parts: What each file of it adds, that of the playbook itself first.
        hub: The hub, or None.
        connection: The name of the setting that holds the connection string, or None.
        options: The values of the keys of `OPTIONS`, as in the source.
        actions: The actions without errors, in their order; those of `groups` come first.
        finally_actions: Those of `finally`, likewise.
        problems: Every error, by position.
        includes: The entries of `actions` and `finally` whose files were not read yet.
    """

    parts: tuple[PlaybookPart, ...]
    hub: str | None
    connection: str | None
    options: Mapping[str, Any]
    actions: tuple[ActionTemplate, ...]
    finally_actions: tuple[ActionTemplate, ...]
    problems: tuple[Problem, ...]
    includes: tuple[Include, ...] = ()

    @property
    def document(self) -> Document:
        """The data of its own file with its positions."""
        return self.parts[0].document

    @property
    def name(self) -> str | None:
        """Its name in reports, or None."""
        return self.parts[0].name

    @property
    def is_bare(self) -> bool:
        """Whether it is a bare batch."""
        return self.parts[0].is_bare

    @property
    def group_entries(self) -> tuple[ActionTemplate, ...]:
        """The first action of each entry of `groups`; the last part of its path is the name."""
        entries = {item.entry: item for item in reversed(self.actions) if is_of_group(item)}
        return tuple(reversed(entries.values()))

    @property
    def tags(self) -> frozenset[str]:
        """The tags of everything in it."""
        templates = (*self.actions, *self.finally_actions)
        of_expectations = (
            part.tags.union(entry.get(TAGS, ()))
            for part in self.parts
            for entry in part.expectations.values()
        )
        return frozenset().union(*(each.tags for each in templates), *of_expectations)

    @property
    def final_phase(self) -> "Playbook":
        """The actions of `finally` as a playbook of their own."""
        return self._replace(actions=self.finally_actions, finally_actions=(), problems=())

    @property
    def phases(self) -> "tuple[Playbook, ...]":
        """The playbook and, if it has `finally`, these actions: they run one after the other."""
        return (self, self.final_phase) if self.finally_actions else (self,)


def read_playbook(text: str, file: str) -> Playbook:
    """Read and check a playbook or a bare batch in YAML or JSON; `file` is its name in problems.

    Raises:
        PlaybookError: The text is not YAML. All other errors are in `problems`.
    """
    try:
        document = parse(text, file)
    except PlaybookError as error:
        raise _explained(error, text) from None
    return check_document(document)


def _explained(error: PlaybookError, text: str) -> PlaybookError:
    """Say of a text that cannot be parsed what it is, or what to write in an empty file."""
    first = error.problems[0]
    if first.rule == "empty":
        message = (
            f"{first.message}; write `actions:` and below it, for each action, "
            "`  - actionName: …` with its properties"
        )
        return PlaybookError([first._replace(message=message)])
    foreign = foreign_text(text)
    problem = first._replace(message=foreign, rule="foreign-file")
    return PlaybookError([problem]) if foreign else error


def check_document(document: Document) -> Playbook:
    """Check a playbook or a bare batch. A file of another kind has this as its only problem."""
    data = document.data
    foreign = foreign_file(data)
    if foreign:
        data, findings, problems = {}, [foreign], []
    else:
        findings = default_validator().validate_document(data, document.source_text)
        problems = list(document.problems)
    is_bare = is_batch(data)
    keys = {} if is_bare or not isinstance(data, dict) else dict(data)
    for path in (finding.path for finding in findings if not _is_entry(finding.path)):
        keys.pop(str(path[0]) if path else "", None)
    groups = _valid_entries(keys, GROUPS, findings)
    values, declarations = _read_vars(document, keys, findings)
    if any(finding.path == ("connection",) for finding in findings):
        document.mask(("connection",))
    part = PlaybookPart(
        document=document,
        name=keys.get("name"),
        variables=values,
        declarations=declarations,
        slash_in_names=keys.get("slashInNames") == "allow",
        is_bare=is_bare,
        expectations=_valid_expectations(keys, findings),
    )
    references = list(islice(row_references_of(groups), PROBLEMS.value + 1))
    wrong = {reference.path[0] for reference in references}
    valid_groups = {name: entry for name, entry in groups.items() if name not in wrong}
    of_groups = tuple(_group_templates(part, valid_groups))
    problems += problems_of(document, findings)
    problems += [
        reference_problem(
            document,
            (GROUPS, *each.path),
            each.text,
            each.message,
            "undefined-variable",
            at_key=each.is_in_key,
        )
        for each in references
    ]
    if is_bare:
        problems += normalize_batch(document)
    lists: dict[str, _Items] = {}
    for key, before in (("actions", len(of_groups)), (FINALLY, 0)):
        written = data if is_bare and key == "actions" else keys.get(key, [])
        lists[key] = _read_items(part, _items(written, key, is_bare=is_bare), before)
        problems += lists[key].problems
    return Playbook(
        parts=(part,),
        hub=keys.get("hub"),
        connection=keys.get("connection"),
        options={key: keys[key] for key in OPTIONS if key in keys},
        actions=(*of_groups, *lists["actions"].actions),
        finally_actions=tuple(lists[FINALLY].actions),
        # An alias can lead to the same problem again.
        problems=tuple(limited(sort_problems(dict.fromkeys(problems)))),
        includes=tuple(include for read in lists.values() for include in read.includes),
    )


class _Items(NamedTuple):
    """What was read of a list of actions."""

    actions: list[ActionTemplate]
    includes: list[Include]
    problems: list[Problem]


def _read_items(part: PlaybookPart, items: Iterable[tuple[Path, Any]], before: int) -> _Items:
    """Check the items of a list of actions.

    Args:
        part: The part of the playbook that has the list.
        items: The items with their paths.
        before: How many actions of `groups` come before the list.
    """
    read = _Items([], [], [])
    for path, item in items:
        if is_include(item) and not part.is_bare:
            errors = _include_problems(part.document, path, item)
            if not errors:
                read.includes.append(read_include(item, path, before + len(read.actions)))
        else:
            form = SchemaForm.BATCH if part.is_bare else _form_of(item)
            errors = _action_problems(part, path, item, form)
            if not errors:
                read.actions.append(_action_template(part, item, path, form))
        read.problems.extend(errors)
        if len(read.problems) > PROBLEMS.value:
            break
    return read


def included_problems(playbook: Playbook) -> Iterator[Problem]:
    """Yield a problem for each thing that an included file must not have."""
    document = playbook.document
    if playbook.is_bare:
        message = "a bare batch cannot be included; put the list under `actions:`"
        yield document.problem(message, INCLUDE, ())
    for key in document.data if isinstance(document.data, dict) else ():
        if key in NOT_INCLUDED:
            message = f"`{key}` is for the playbook that includes this file; move it there"
            yield document.problem(message, INCLUDE, (key,), at_key=True)


def _group_templates(
    part: PlaybookPart, groups: Mapping[str, Mapping[str, Any]]
) -> Iterator[ActionTemplate]:
    """Make the actions that entries of `groups` are expanded to."""
    for name, entry in groups.items():
        path = (GROUPS, name)
        options = {key: entry[key] for key in GROUP_OPTIONS if key in entry}
        tags = frozenset(entry.get(TAGS, ()))
        for key, action, id_field in (
            (USERS, "addUserToGroup", "userId"),
            (CONNECTIONS, "addConnectionToGroup", "connectionId"),
        ):
            if key in entry:
                yield ActionTemplate(
                    part,
                    ACTIONS[action],
                    {id_field: "${each}", "group": name},
                    label=None,
                    options=options,
                    path=path,
                    has_templates=True,
                    for_each=entry[key],
                    rows_key=key,
                    tags=tags,
                    roles=_roles_of(entry),
                )
        yield from _grant_templates(part, name, entry, options, tags)
        if entry.get(PRUNE):
            yield ActionTemplate(
                part,
                ACTIONS["removeConnectionFromGroup"],
                {"connectionId": "${each.connectionId}", "group": name},
                label=None,
                options=options,
                path=path,
                has_templates=True,
                for_each={"group": name},
                rows_key=PRUNE,
                prunes=True,
                may_be_empty=entry.get(ALLOW_EMPTY, False),
                tags=tags,
            )


def _grant_templates(
    part: PlaybookPart,
    name: str,
    entry: Mapping[str, Any],
    options: Mapping[str, Any],
    tags: frozenset[str],
) -> Iterator[ActionTemplate]:
    """Make the actions that grant the roles of an entry of `groups`, which need connection IDs."""
    listed = ("${each}", entry.get(CONNECTIONS), CONNECTIONS)
    # Who has left since the group was read needs no permission.
    live = ("${each.connectionId}", {"group": name} if USERS in entry else None, ROLES)
    for role in _roles_of(entry):
        for connection, rows, key in (listed, live):
            if rows is not None:
                yield ActionTemplate(
                    part,
                    ACTIONS["grantPermission"],
                    {"connectionId": connection, "permission": role, "targetName": name},
                    label=None,
                    options={"onMissing": "skip", **options} if key == ROLES else options,
                    path=(GROUPS, name),
                    has_templates=True,
                    for_each=rows,
                    rows_key=key,
                    tags=tags,
                )


def _roles_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entry.get(ROLES, ())))


def is_of_group(template: ActionTemplate) -> bool:
    """Whether an action was made from an entry of `groups`."""
    return template.path[:1] == (GROUPS,)


def _is_entry(path: Path) -> bool:
    """Whether something is wrong with one entry of a key, so that the others are still valid."""
    return path[:1] in {("vars",), (GROUPS,), (EXPECT,)} and len(path) > 1


def _valid_entries(
    keys: Mapping[str, Any], key: str, findings: Iterable[Finding]
) -> Mapping[str, Any]:
    wrong = {finding.path[1] for finding in findings if finding.path[:1] == (key,) != finding.path}
    return {name: entry for name, entry in keys.get(key, {}).items() if name not in wrong}


def _valid_expectations(
    keys: Mapping[str, Any], findings: Iterable[Finding]
) -> Mapping[int, Mapping[str, Any]]:
    paths = [finding.path for finding in findings if finding.path[:1] == (EXPECT,)]
    wrong = {path[1] for path in paths if len(path) > 1}
    entries = enumerate(keys.get(EXPECT, ()))
    return {index: entry for index, entry in entries if index not in wrong}


def _read_vars(
    document: Document, keys: Mapping[str, Any], findings: Iterable[Finding]
) -> tuple[dict[str, VariableValue], dict[str, Declaration]]:
    """Return values and declarations; a wrong entry only declares that there is a variable."""
    valid = _valid_entries(keys, "vars", findings)
    wrong = keys.get("vars", {}).keys() - valid.keys()
    values, declarations = read_declarations(document, valid)
    return values, declarations | dict.fromkeys(wrong, Declaration(None, is_valid=False))


def variable_findings(data: object) -> list[Finding]:
    """Return what is wrong with variables that are not in a playbook."""
    findings = []
    if isinstance(data, dict):
        for name in [name for name, value in data.items() if isinstance(value, dict)]:
            message = (
                f"`{name}` is a mapping; here are single values and lists, and declarations are in "
                "the `vars` of a playbook"
            )
            findings.append(Finding((name,), message, "value"))
        data = {name: value for name, value in data.items() if not isinstance(value, dict)}
    others = default_validator().validate_document({"vars": data, "actions": []})
    return [*findings, *(finding._replace(path=finding.path[1:]) for finding in others)]


def variables_from(document: Document, path: Path = ()) -> dict[str, VariableValue]:
    """Return the variables at a path of a file that is no playbook, each as the source has it.

    Raises:
        PlaybookError: There is no mapping of names to single values or lists of rows.
    """
    findings = variable_findings(document.value_at(path))
    if findings:
        raise PlaybookError(
            limited(
                _problem_of(document, finding._replace(path=(*path, *finding.path)))
                for finding in findings
            )
        )
    values = {name: read_value(document, (*path, name)) for name in document.value_at(path)}
    return {
        name: PlacedText(value, document.position((*path, name)))
        if isinstance(value, str)
        else value
        for name, value in values.items()
    }


def variables_of(values: Mapping[str, Any]) -> dict[str, VariableValue]:
    """Return variables given as Python values; those of other types than str as in a file.

    Raises:
        PlaybookError: A value is none that a file of variables may have.
    """
    others = {
        name: value for name, value in values.items() if not isinstance(value, str | ListVariable)
    }
    return {**values, **(variables_from(load(json.dumps(others), "variables")) if others else {})}


def _items(data: Any, key: str, *, is_bare: bool) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401 -- what YAML has
    """Yield the actions of a list of a playbook, or of a bare batch, with their paths."""
    if isinstance(data, dict):
        yield (), data
    else:
        parent = () if is_bare else (key,)
        for index, item in enumerate(data):
            yield (*parent, index), item


_EXPANDED_KEYS = frozenset({"forEach", "dataFile", "dataJson"})
"""Keys that are replaced when an action is expanded."""


def _form_of(item: object) -> SchemaForm:
    has_source = isinstance(item, dict) and not _EXPANDED_KEYS.isdisjoint(item)
    return SchemaForm.TEMPLATE if has_source or _has_template(item) else SchemaForm.EXPANDED


def _has_template(item: object) -> bool:
    """Return whether a value, but no key, contains `${`."""
    if isinstance(item, str):
        return "${" in item
    if isinstance(item, dict):
        return any(map(_has_template, item.values()))
    return isinstance(item, list) and any(map(_has_template, item))


def _action_problems(
    part: PlaybookPart,
    path: Path,
    item: Any,  # noqa: ANN401 -- what YAML has
    form: SchemaForm,
) -> list[Problem]:
    document = part.document
    findings = default_validator().validate_action(
        item,
        form,
        slash_in_names=part.slash_in_names,
        source_text=lambda below: document.source_text((*path, *below)),
    )
    if findings or form is not SchemaForm.TEMPLATE:
        return problems_of(
            document, [finding._replace(path=(*path, *finding.path)) for finding in findings]
        )
    return [
        reference_problem(document, (*path, *below), reference, message, "undefined-variable")
        for below, reference, message in islice(invalid_references(item), PROBLEMS.value + 1)
    ]


def _include_problems(document: Document, path: Path, item: Mapping[str, Any]) -> list[Problem]:
    findings = [
        Finding((*path, *below), message, "value", at_key)
        for below, message, at_key in islice(include_errors(item), PROBLEMS.value + 1)
    ]
    return problems_of(document, findings) or [
        reference_problem(document, (*path, *below), reference, message, "undefined-variable")
        for below, reference, message in islice(wrong_references(item), PROBLEMS.value + 1)
    ]


def problems_of(document: Document, findings: Iterable[Finding]) -> list[Problem]:
    """Return the problems of findings; of one that follows from a problem of the text, that one."""
    return [
        problem
        for finding in findings
        for problem in _causes(document, finding) or (_problem_of(document, finding),)
    ]


_HIDING_KEYS = frozenset({"alias", "merge"})
"""What is wrong with a text such that keys of the mapping around it are unknown."""


def _causes(document: Document, finding: Finding) -> list[Problem]:
    """Return the problems of the text because of which there is a finding."""
    if finding.at_key or not document.problems:
        return []
    problems = document.problems_within(finding.path)
    if finding.rule.startswith("missing"):
        return [problem for problem in problems if problem.rule in _HIDING_KEYS]
    is_container = isinstance(document.value_at(finding.path), dict | list)
    return [] if is_container else list(problems)


def _problem_of(document: Document, finding: Finding) -> Problem:
    if finding.span:
        return document.problem_in_string(
            finding.message, finding.rule, finding.path, *finding.span
        )
    return document.problem(finding.message, finding.rule, finding.path, at_key=finding.at_key)


def _action_template(
    part: PlaybookPart, item: Mapping[str, Any], path: Path, form: SchemaForm
) -> ActionTemplate:
    """Make the template of a valid action; `60.0` becomes 60 where an integer is required."""
    action = _BY_FOLDED_NAME[item["actionName"].lower()]
    values = {field.name: item[field.name] for field in action.fields if field.name in item}
    for field in action.fields:
        if field.type is FieldType.INTEGER and isinstance(values.get(field.name), float):
            values[field.name] = int(values[field.name])
    return ActionTemplate(
        part,
        action,
        values,
        label=item.get("name"),
        options={key: item[key] for key in OPTIONS if key in item},
        path=path,
        has_templates=form is SchemaForm.TEMPLATE,
        for_each=item.get("forEach"),
        data_file=item.get("dataFile"),
        tags=frozenset(item.get(TAGS, ())),
    )
