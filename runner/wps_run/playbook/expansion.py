"""Expand one action of a playbook: substitute its variables and rows, and check every result."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

from wps_run.actions.fields import NAME_LIMIT, FieldType
from wps_run.actions.names import name_error
from wps_run.actions.payload import encode_message
from wps_run.actions.table import OverlapKind
from wps_run.document.document import Path
from wps_run.document.scalars import resolve_plain
from wps_run.input_limits import EXPANDED, PROBLEMS
from wps_run.playbook.compiled_schema import Predicate
from wps_run.playbook.constraints import Finding, compile_predicates, data_type_of
from wps_run.playbook.foreach import invalid_references, row_format
from wps_run.playbook.live import (
    COLUMN_OF_CONNECTION,
    COLUMN_OF_USER,
    GROUP,
    LIVE_COLUMNS,
    LiveConnection,
    is_user_column,
)
from wps_run.playbook.model import ActionTemplate, Playbook, is_of_group
from wps_run.playbook.references import (
    NotYetKnownError,
    TooLongError,
    UnusableReferenceError,
    list_of,
    reference_problem,
)
from wps_run.playbook.rows import (
    VALUE_COLUMN,
    Axis,
    CellBlock,
    InputError,
    Row,
    Rows,
    inline_rows,
    matrix_rows,
    matrix_size_error,
    missing_column_error,
    read_axis,
    single_values,
)
from wps_run.playbook.schema import SchemaForm
from wps_run.playbook.templates import (
    EXPRESSION,
    JSON,
    Syntax,
    Template,
    expression_error,
    json_template,
    parse_template,
    substitute,
)
from wps_run.playbook.validator import default_validator
from wps_run.playbook.variables import VariableScope
from wps_run.problems import Position, Problem
from wps_run.text import replace_invisible

MESSAGE_CACHE_SIZE = 16
"""How many message files are cached, so that a file is not read again for every row."""

_PROPERTY = re.compile(r"^`(\w+)`")
_WHOLE = re.compile(r"\$\{[^}\n]*\}")
_UNESCAPED_JSON = Finding(
    ("data",),
    "`data` is JSON with `${…}` in it, so `dataType: json` must be written in the action; here it "
    "comes from a row",
    "json-value",
)
_MAX_DIGITS = 18
"""The longest text that is read as a number. The limits of the table are far below."""

_DATA_PLACEHOLDER = {"text": "", "json": "0", "binary": ""}
"""Valid `data` of each type, to check an action whose data is in a file."""

CellFunction = Callable[[Mapping[str, str]], Any]
"""Makes a property's value from the cells of a row."""


class ExpandedAction(NamedTuple):
    """One expanded action, or what is wrong with it. A tuple for the same reason as `Row`.

    Attributes:
        template: The action that it was made from.
        item: The index of its row; None without rows, and when the problems concern all rows.
        position: The position of the row, or else of the action.
        values: Its properties, with all variables substituted; `data` from a file is bytes.
        label: Its label, with all variables substituted.
        problems: What is wrong. If there are any, the values are not usable.
        row: Its row; one without cells when the action has no rows.
    """

    template: ActionTemplate
    item: int | None
    position: Position
    values: Mapping[str, Any]
    label: str | None
    problems: tuple[Problem, ...] = ()
    row: Row = Row(MappingProxyType({}), Position("", 0))


class MemberBlock(NamedTuple):
    """Expanded actions of an entry of `groups`, for consecutive rows with simple names.

    Attributes:
        template: The action that they were made from.
        key: The property that the rows give: `userId` or `connectionId`.
        cells: The names.
        item: The index of the first row.
        values: The other properties.
    """

    template: ActionTemplate
    key: str
    cells: CellBlock
    item: int
    values: Mapping[str, Any]

    @property
    def group(self) -> str:
        """The group."""
        return str(self.values["group"])

    def expanded(self, offset: int) -> ExpandedAction:
        """Return one of the actions."""
        name = self.cells.cells[offset]
        position = Position(self.cells.file, self.cells.line + offset)
        row = Row({VALUE_COLUMN: name}, position)
        values = {**self.values, self.key: name}
        return ExpandedAction(self.template, self.item + offset, position, values, None, (), row)


Expanded = TypeVar("Expanded", ExpandedAction, ExpandedAction | MemberBlock)

_SIMPLE_NAMES = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}\n)*")
"""Names that are valid and need no warning, each with a line feed."""

_ANY_CONNECTION = LiveConnection("connection", "user")
"""Stands for the connections in a group that was not read."""


class GroupMembers:
    """The users and connections that `groups` lists, as far as their actions were expanded.

    Those of an entry come before its removals, and before what may contradict it.

    Args:
        playbook: The playbook.
        scope: Its variables.
        is_whole: Whether all entries are recorded, in place of those with `prune` only.

    Attributes:
        is_whole: As given.
    """

    def __init__(self, playbook: Playbook, scope: VariableScope, *, is_whole: bool) -> None:
        self.is_whole = is_whole
        self._scope = scope
        self._entries = {item.entry for item in playbook.actions if _needs_list(item) or is_whole}
        self._names: dict[str, dict[str, set[str]]] = {"userId": {}, "connectionId": {}}
        self._tags: dict[str, frozenset[str]] = {}
        self._incomplete: set[str] = set()

    def record(self, template: ActionTemplate, expansion: Iterable[Expanded]) -> Iterator[Expanded]:
        """Return the expanded actions of one action; record whom they add, if it is needed."""
        is_list = is_of_group(template) and template.action.overlap.kind is OverlapKind.JOIN
        if not is_list or template.entry not in self._entries:
            return iter(expansion)
        return self._record(template, expansion)

    def _record(
        self, template: ActionTemplate, expansion: Iterable[Expanded]
    ) -> Iterator[Expanded]:
        try:
            group = substitute(template.values["group"], self._scope.of(template.part))
        except (UnusableReferenceError, NotYetKnownError, TooLongError):
            yield from expansion
            return
        key = next(key for key in self._names if key in template.values)
        names = self._names[key].setdefault(group, set())
        self._tags[group] = template.tags
        for expanded in expansion:
            if isinstance(expanded, MemberBlock):
                names.update(expanded.cells.cells)
            elif expanded.problems:
                self._incomplete.add(group)
            else:
                names.add(expanded.values[key])
            yield expanded
        if isinstance(expansion, Expansion) and not (
            expansion.is_known and expansion.has_known_rows
        ):
            self._incomplete.add(group)

    def of(self, key: str, group: str) -> AbstractSet[str]:
        """Return whom an entry adds by `userId` or `connectionId`."""
        return self._names[key].get(group, frozenset())

    def group_with(self, key: str, name: str) -> str | None:
        """Return the first group to which a user or connection is added, or None."""
        groups = self._names[key].items()
        return next((group for group, names in groups if name in names), None)

    def tags_of(self, group: str) -> frozenset[str]:
        """Return the tags of the entry of a group."""
        return self._tags[group]

    def is_complete(self, group: str) -> bool:
        """Whether everybody in an entry is known."""
        return group not in self._incomplete


def _needs_list(template: ActionTemplate) -> bool:
    """Whether the rows of an action depend on whom its entry of `groups` lists."""
    return template.prunes or template.has_listed_rows


class _SourceError(Exception):
    """The rows of an action cannot be read.

    Attributes:
        problem: Why, at its place in the playbook.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


class Expansion:
    """The expanded actions of one action template, as an iterable.

    Properties that are the same in every row are substituted and checked once. The others are
    checked for each row by predicates, and by the full validator when a predicate fails.

    Attributes:
        columns: The columns that each property uses.
        has_known_rows: False when its rows are known only at run time, or are those of a group that
            was not read; then there are none.
        is_known: False when a value is known only at run time; then values are not checked.
    """

    def __init__(
        self,
        template: ActionTemplate,
        scope: VariableScope,
        members: GroupMembers | None = None,
    ) -> None:
        self._document = template.part.document
        self._slash_in_names = template.part.slash_in_names
        self._template = template
        self._scope = scope.of(template.part)
        self._members = members
        self.is_known = True
        self._problems: list[Problem] = []
        self._constants: dict[str, Any] = {}
        self._functions: dict[str, CellFunction] = {}
        self.columns: dict[str, list[str]] = {}
        self.has_known_rows = True
        self._expressions: dict[str, Template] = {}
        """Expressions and JSON with cells outside quotes, which are checked in each row."""
        self._predicates: tuple[tuple[str, Predicate], ...] | None = None
        self._message = lru_cache(maxsize=MESSAGE_CACHE_SIZE)(self._read_message)
        properties = self._substituted_properties()
        for key in sorted(properties, key=lambda key: key != "dataType"):  # others depend on it
            self._compile(key, properties[key])

    def __iter__(self) -> Iterator[ExpandedAction]:
        if self._problems:
            yield self._rejected(self._problems)
        elif self._template.for_each is None:
            row = Row({}, self._template.position)
            yield from self._expand_first(row, None)
        else:
            rows = self._expand_rows(lambda: enumerate(self._rows()))
            yield from cast("Iterator[ExpandedAction]", rows)  # there are no blocks

    def blocks(self) -> Iterator[ExpandedAction | MemberBlock]:
        """Return the same, with rows of an entry of `groups` in blocks where names are simple."""
        source = self._template.for_each
        file = source.get("file", "${") if isinstance(source, dict) else "${"
        is_list = is_of_group(self._template) and "group" in self._template.values
        if not is_list or "${" in file or self._problems:
            return iter(self)
        return self._expand_rows(lambda: self._rows_in_blocks(source))

    def _substituted_properties(self) -> dict[str, Any]:
        """Return all values that may hold variables: properties, label, name of the data file."""
        values = {**self._template.values, "name": self._template.label}
        if self._template.data_file is not None:
            values["dataFile"] = self._template.data_file
        return values

    def _compile(self, key: str, value: object) -> None:
        """Make one property a constant, or a function of the cells of a row."""
        path = (*self._template.path, key)
        problem_count = len(self._problems)
        if key == "dataJson":
            self._compile_json(value, path)
            return
        if isinstance(value, str):
            parts = [self._parse(value, path, self._syntax_of(key, value))]
            if self._syntax_of(key, value) is EXPRESSION and len(self._problems) == problem_count:
                self._check_expression(value, path)
            if not all(parts[0].quoted):
                self._expressions[key] = parts[0]
        elif isinstance(value, list):
            parts = [self._parse(text, (*path, index)) for index, text in enumerate(value)]
        else:
            self._constants[key] = value
            return
        columns = [column for part in parts for column in part.columns]
        is_list, is_number = isinstance(value, list), self._is_number(key)
        function = _cell_function(parts, is_list=is_list, is_number=is_number)
        if columns:
            self.columns[key] = columns
            self._functions[key] = function
        else:
            self._set_constant(key, path, function, value)

    def _compile_json(self, value: object, path: Path) -> None:
        """Make `data` of the value of `dataJson`."""
        template = json_template(value, path, self._parse)
        self._constants["dataType"] = "json"
        if template.columns:
            self.columns["dataJson"] = list(template.columns)
            self._functions["data"] = template.fill
        else:
            self._set_constant("data", path, template.fill, "${")

    def _check_expression(self, text: str, path: Path) -> None:
        """Check an OData expression once for all rows; of rows, only bare cells can differ."""
        error = expression_error(text, self._scope) if text else None
        if error:
            message, offset, width = error
            message = f"`{path[-1]}` is not valid: {message}"
            self._problems.append(
                self._document.problem_in_string(message, "filter", path, offset, width)
            )

    def _set_constant(self, key: str, path: Path, function: CellFunction, value: object) -> None:
        texts = value if isinstance(value, list) else [value]
        try:
            has_templates = any("${" in str(text) for text in texts)
            self._constants[key] = function({}) if has_templates else value
        except TooLongError as error:
            self._add_unusable(path, error)

    def _syntax_of(self, key: str, text: str) -> Syntax | None:
        """Return the language of a property; None for a text, and for JSON from one variable."""
        if key == "data" and self._constants.get("dataType") == "json":
            return None if _WHOLE.fullmatch(text) else JSON
        fields = self._template.action.fields
        is_expression = any(field.name == key and field.is_expression for field in fields)
        return EXPRESSION if is_expression else None

    def _is_number(self, key: str) -> bool:
        fields = self._template.action.fields
        return any(field.name == key and field.type is FieldType.INTEGER for field in fields)

    def _parse(self, text: str, path: Path, syntax: Syntax | None = None) -> Template:
        try:
            return parse_template(text, self._scope, syntax)
        except UnusableReferenceError as error:
            self._add_unusable(path, error)
        except NotYetKnownError:
            self.is_known = False
        return Template((text,))

    def _add_unusable(self, path: Path, error: UnusableReferenceError) -> None:
        self._problems.append(
            reference_problem(self._document, path, error.reference, error.message, error.rule)
        )

    def _expand_rows(
        self, rows: Callable[[], Iterator[tuple[int, CellBlock | Row | Problem]]]
    ) -> Iterator[ExpandedAction | MemberBlock]:
        is_first = True
        try:
            for item, row in rows():
                if not isinstance(row, Row):
                    yield self._expand_block(row, item)
                elif not is_first:
                    yield self._expand(row, item)
                elif invalid := self._check_columns(row.cells):
                    yield self._rejected(invalid)
                    return
                else:
                    yield from self._expand_first(row, item)
                    is_first = False
            yield from self._check_header() if is_first else ()
        except InputError as error:
            path = (*self._template.rows_path, "file")
            yield self._rejected([self._document.problem(str(error), "file", path)])
        except _SourceError as error:
            yield self._rejected([error.problem])
        if self._problems:
            yield self._rejected(self._problems)

    def _expand_block(self, rows: CellBlock | Problem, item: int) -> ExpandedAction | MemberBlock:
        """Return the actions of several rows, or the problem of one that cannot be read."""
        if isinstance(rows, CellBlock):
            (key,) = self._functions
            values = {k: value for k, value in self._constants.items() if k != "name"}
            return MemberBlock(self._template, key, rows, item, values)
        position = rows.position or Position("", 0)
        return ExpandedAction(self._template, item, position, {}, None, (self._with_user(rows),))

    def _with_user(self, problem: Problem) -> Problem:
        """Add the place in the playbook that uses a file with a bad row."""
        path = (*self._template.rows_path, "file")
        return problem._replace(related=problem.related or self._document.position(path))

    def _rows(self) -> Rows:
        path = self._template.rows_path
        for_each = self._template.for_each
        if _needs_list(self._template):
            return self._rows_by_list(for_each[GROUP])
        if isinstance(for_each, dict) and "matrix" in for_each:
            return self._matrix_rows(for_each["matrix"], (*path, "matrix"))
        return self._source_rows(for_each, path)

    def _rows_in_blocks(
        self, source: Mapping[str, Any]
    ) -> Iterator[tuple[int, CellBlock | Row | Problem]]:
        """Yield the rows of a file of members with their numbers, blocks after the first row."""
        item, name, column = 0, source["file"], source.get("column")
        cells = self._scope.inputs.column(name, column, row_format(source))
        for row in single_values(cells, column, name):
            if not isinstance(row, CellBlock):
                yield item, row
                item += 1
            elif item and self.is_known and _SIMPLE_NAMES.fullmatch("\n".join((*row.cells, ""))):
                yield item, row
                item += len(row.cells)
            else:
                yield from enumerate(row.rows(), start=item)
                item += len(row.cells)

    def _rows_by_list(self, name: str) -> Rows:
        """Yield the connections in a live group that are not listed, or those of listed users.

        Those who are listed are those who were added before: the list is not read again, since
        a user who left it by then must not be removed. With a problem in it, nobody is.

        Raises:
            _SourceError: Nobody is listed, and nothing says that this is meant.
        """
        if not self.is_known or self._members is None:
            return
        group = substitute(name, self._scope)
        if not self._members.is_complete(group):
            return  # what is wrong is reported where it is
        users, connections = (self._members.of(key, group) for key in ("userId", "connectionId"))
        live = (self._scope.live or {}).get(group, ())
        path = self._template.rows_path
        if self._template.has_listed_rows:
            granted = [m for m in live if m[1] in users and m[0] not in connections]
            yield from self._rows_of(granted, path)
            return
        if not (users or connections or self._template.may_be_empty):
            message = (
                "nobody is listed, so that `prune` would empty the group; correct the list, or "
                "add `allowEmpty: true` if that is meant"
            )
            raise _SourceError(self._document.problem(message, "empty-group", path, at_key=True))
        removed = [m for m in live if m[0] not in connections and m[1] not in users]
        yield from self._rows_of(removed, path)

    def _source_rows(self, source: Any, path: Path) -> Rows:  # noqa: ANN401 -- what the schema allows
        """Return the rows of a list, of a variable that is one, of a file or of a live group."""
        try:
            if isinstance(source, str):
                return list_of(source, self._scope).rows()
            if isinstance(source, dict):
                key = GROUP if GROUP in source else "file"
                path = (*path, key)
                return self._named_rows(source, substitute(source[key], self._scope), path)
        except UnusableReferenceError as error:
            self._add_unusable(path, error)
            return iter(())
        except NotYetKnownError:
            self.has_known_rows = False
            return iter(())
        return inline_rows(self._document, path, self._substitute_cell)

    def _named_rows(self, source: Mapping[str, Any], name: str, path: Path) -> Rows:
        if GROUP in source:
            return self._live_rows(name, path)
        rows = self._scope.inputs.rows(name, row_format(source))
        if is_of_group(self._template):
            return single_values(rows, source.get("column"), name)
        return rows

    def _live_rows(self, group: str, path: Path) -> Rows:
        """Return a row for each connection in a group; one that stands for any if it was not read.

        Raises:
            _SourceError: The group cannot have this name.
        """
        error = name_error(group, NAME_LIMIT)
        if not error and "/" in group and not self._slash_in_names:
            error = (
                "has a `/`, which the service reads as `%2F`, so that another group would be read "
                "(`slashInNames: allow` reads it anyway)"
            )
        if error:
            raise _SourceError(self._document.problem(f"`group` {error}", "value", path))
        members: Iterable[LiveConnection] = (_ANY_CONNECTION,)
        live = self._scope.live or {}
        self.has_known_rows &= group in live  # not in there if its action is not carried out
        members = live.get(group, members)
        return self._rows_of(members, path)

    def _rows_of(self, members: Iterable[LiveConnection], path: Path) -> Iterator[Row]:
        """Yield a row for each connection of a group that is named at a path."""
        position = self._document.position(path)
        places = dict.fromkeys(LIVE_COLUMNS, path)
        for connection_id, user_id in members:
            cells = {COLUMN_OF_CONNECTION: connection_id, COLUMN_OF_USER: user_id or ""}
            yield Row(cells, position, places)

    def _matrix_rows(self, matrix: Mapping[str, Any], path: Path) -> Rows:
        """Yield all combinations, or the problems of the files that the values come from.

        Raises:
            _SourceError: A file cannot be read, or there are too many combinations.
        """
        axes: dict[str, Axis] = {}
        problems: list[Problem] = []
        for column, source in matrix.items():
            axes[column] = self._axis(source, (*path, column), problems)
        sizes = [len(axis.values) for axis in axes.values()]
        if message := matrix_size_error(sizes):
            raise _SourceError(self._document.problem(message, "too-many", path, at_key=True))
        yield from problems or islice(
            matrix_rows(self._document, axes), None if self.has_known_rows else 1
        )

    def _axis(self, source: Any, path: Path, problems: list[Problem]) -> Axis:  # noqa: ANN401
        """Read the values of one column; add the problems of its file to `problems`."""
        rows = self._source_rows(source, path)
        if isinstance(source, list):
            values = [row.cells[VALUE_COLUMN] for row in rows if isinstance(row, Row)]
            return Axis(values, lambda index: (*path, index))
        name, column = str(source), None
        if isinstance(source, dict):
            key = GROUP if GROUP in source else "file"
            name, column, path = source[key], source.get("column"), (*path, key)
        name = f"`{name}`"
        position = self._document.position(path)

        def usable_rows() -> Iterator[Row]:
            for row in single_values(rows, column, name):
                if isinstance(row, Row):
                    yield row
                elif len(problems) <= PROBLEMS.value:
                    problems.append(row._replace(related=position))

        try:
            return read_axis(usable_rows(), name)
        except InputError as error:
            raise _SourceError(self._document.problem(str(error), "file", path)) from None

    def _substitute_cell(self, text: str, path: Path) -> str:
        try:
            return substitute(text, self._scope)
        except UnusableReferenceError as error:
            self._add_unusable(path, error)
        except NotYetKnownError:
            self.is_known = False
        return text

    def _check_header(self) -> Iterator[ExpandedAction]:
        """Check the references to the columns of a CSV file without a row."""
        source = self._template.for_each
        is_file = isinstance(source, dict) and "file" in source
        if not is_file or self._problems or not self.has_known_rows:
            return
        columns = self._scope.inputs.columns.get(substitute(source["file"], self._scope))
        if columns and (invalid := self._check_columns(columns)):
            yield self._rejected(invalid)

    def _check_columns(self, columns: Collection[str]) -> list[Problem]:
        """Find references to columns other than those of the rows."""
        for_each = self._template.for_each
        is_named = isinstance(for_each, str)
        file = (
            for_each.get("file") if isinstance(for_each, dict) else for_each if is_named else None
        )
        path = self._template.path
        action = self._document.value_at(path)
        return [
            reference_problem(
                self._document, (*path, *inner_path), reference, message, "undefined-variable"
            )
            for inner_path, reference, message in islice(
                invalid_references(action, columns, file), PROBLEMS.value + 1
            )
        ]

    def _expand_first(self, row: Row, item: int | None) -> Iterator[ExpandedAction]:
        """Check everything that no row changes with the first row, and expand it."""
        try:
            filled = {key: make(row.cells) for key, make in self._functions.items()}
        except TooLongError as error:
            yield self._rejected_row(row, item, [_fill_finding(error, row)])
            return
        values = self._constants | filled
        problems = []
        if self.is_known and not self._problems:
            findings = self._check(values, varying=False)
            problems = [self._property_problem(finding) for finding in findings]
        if problems:
            yield self._rejected(problems)
            if self._constants.pop("dataFile", None):  # the problem may be the file
                self._constants["data"] = ""
        if "dataType" not in self._functions and "dataFile" not in self._functions:
            predicates = compile_predicates(
                self._template.action,
                [key for key in self._functions if key != "name"],
                data_type_of(self._constants),
                slash_in_names=self._slash_in_names,
            )
            self._predicates = tuple(predicates.items())
        if self.has_known_rows and (not problems or item is not None):
            yield self._expand(row, item)

    def _expand(self, row: Row, item: int | None) -> ExpandedAction:
        values = self._constants.copy()
        try:
            for key, make in self._functions.items():
                values[key] = make(row.cells)
        except (KeyError, TooLongError) as error:
            return self._rejected_row(row, item, [_fill_finding(error, row)])
        may_be_unusable = self._expressions or "dataType" in self._functions
        if may_be_unusable and (problem := self._unusable_cell(row, values)):
            return ExpandedAction(self._template, item, row.position, {}, None, (problem,))
        if not self._passes(values):
            findings = list(self._check(values, varying=True))
            if findings:
                return self._rejected_row(row, item, findings)
        label = values.pop("name")
        if "dataFile" in values:
            name = values.pop("dataFile")
            if self.is_known:
                values["data"] = self._message(name, data_type_of(values))
        return ExpandedAction(self._template, item, row.position, values, label, (), row)

    def _is_unescaped_json(self, values: Mapping[str, Any]) -> bool:
        """Check whether the row makes JSON of a text that was not known to be JSON."""
        source = self._template.values.get("data")
        is_mixed = isinstance(source, str) and "${" in source and not _WHOLE.fullmatch(source)
        return is_mixed and values["dataType"] == "json"

    def _passes(self, values: Mapping[str, Any]) -> bool:
        """Check the row's values by predicates; False means that the full check must decide."""
        if not self.is_known:
            return True
        if self._predicates is None:
            return False
        for key, accepts in self._predicates:  # noqa: SIM110 -- `all` takes twice as long
            if not accepts(values[key]):
                return False
        return True

    def _check(self, values: Mapping[str, Any], *, varying: bool) -> Iterator[Finding]:
        """Run the full check; yield the findings that vary from row to row, or all others."""
        mapping = {key: value for key, value in values.items() if key not in {"name", "dataFile"}}
        mapping["actionName"] = self._template.action.name
        if "dataFile" in values:
            mapping["data"] = _DATA_PLACEHOLDER[data_type_of(values)]
        findings = default_validator().validate_action(
            mapping, SchemaForm.EXPANDED, slash_in_names=self._slash_in_names
        )
        for finding in findings:
            if self._varies(finding.path) is varying:
                yield self._as_written(finding)
        if "dataFile" in values and self._varies(("dataFile",)) is varying:
            try:
                self._message(values["dataFile"], data_type_of(values))
            except InputError as error:
                yield Finding(("dataFile",), str(error), "file")

    def _as_written(self, finding: Finding) -> Finding:
        """Place a finding about `data` at `dataJson` if it was made of that."""
        if "dataJson" not in self._template.values or finding.path != ("data",):
            return finding
        message = finding.message.replace("`data`", "`dataJson`", 1)
        return finding._replace(path=("dataJson",), message=message)

    def _varies(self, path: Path) -> bool:
        """Check whether a finding at this path may differ from row to row."""
        by_type = path[:1] in {("data",), ("dataFile",)} and "dataType" in self._functions
        return by_type or any(key in self._functions for key in path[:1])

    def _read_message(self, name: str, data_type: str) -> bytes:
        """Return the content of a message file, checked by the rules of its type."""
        raw = self._scope.inputs.data(name)
        if data_type == "binary":
            return raw
        try:
            return encode_message(raw.decode("utf-8-sig"), data_type)
        except UnicodeDecodeError as error:
            message = f"is not UTF-8 (byte {error.start + 1}), which `{data_type}` must be"
            raise InputError(f"`{name}` {message}") from None
        except ValueError as error:
            raise InputError(str(error).replace("`data`", f"`{name}`", 1)) from None

    def _rejected(self, problems: list[Problem]) -> ExpandedAction:
        """Report problems of the action itself, which are the same in every row."""
        position = self._template.position
        return ExpandedAction(self._template, None, position, {}, None, tuple(problems))

    def _rejected_row(self, row: Row, item: int | None, findings: list[Finding]) -> ExpandedAction:
        problems = tuple(self._row_problem(row, finding) for finding in findings)
        return ExpandedAction(self._template, item, row.position, {}, None, problems)

    def _unusable_cell(self, row: Row, values: Mapping[str, Any]) -> Problem | None:
        """Find a cell that would become another part of an expression or of JSON."""
        if "dataType" in self._functions and self._is_unescaped_json(values):
            return self._row_problem(row, _UNESCAPED_JSON)
        for key, template in self._expressions.items():
            unusable = template.expression_problem(row.cells) if self.is_known else None
            if unusable:
                column, error = unusable
                message = f"{key}: {error.message}"
                return self.cell_problem(row, key, [column], message, error.rule)
        return None

    def _row_problem(self, row: Row, finding: Finding) -> Problem:
        """Place a finding at its row, or at its cell if the rows are in the playbook."""
        message = _PROPERTY.sub(r"\1", finding.message)
        key = str(finding.path[0]) if finding.path else self._template.rows_key
        columns = self.columns.get(key, [])
        if self._is_anonymous(row, columns):
            connection = row.cells.get(COLUMN_OF_CONNECTION)
            whose = f"connection `{connection}`" if connection else "a connection in the group"
            message = (
                f"{key}: {whose} is anonymous, so it has no userId; use an action on the "
                "connection, with its connectionId"
            )
        elif self._template.prunes:
            connection = replace_invisible(row.cells[COLUMN_OF_CONNECTION])
            message = f"the connection `{connection}` cannot be removed: its {message}"
        return self.cell_problem(row, key, columns, message, finding.rule)

    def _is_anonymous(self, row: Row, columns: Iterable[str]) -> bool:
        """Whether one of the cells is the user of an anonymous connection."""
        for_each = self._template.for_each
        return any(not row.cells[name] and is_user_column(for_each, name) for name in columns)

    def cell_problem(
        self, row: Row, key: str, columns: list[str], message: str, rule: str
    ) -> Problem:
        """Make a problem with the value that a property takes from columns of a row."""
        places = row.places or {}
        default = next(iter(places.values()), row.position)
        place = places.get(columns[0], default) if columns else default
        if not isinstance(place, Position):
            return self._document.problem(message, rule, place)
        names = [self._file_column(name) for name in dict.fromkeys(columns) if name != VALUE_COLUMN]
        if names:
            message += f" (column{'s' if names[1:] else ''} {', '.join(names)})"
        related = self._document.position((*self._template.path, key))
        return Problem(message, rule, place, related=related)

    def _file_column(self, column: str) -> str:
        """Return the name that a column of a matrix has in the file that it is from."""
        for_each = self._template.for_each
        matrix = for_each.get("matrix", {}) if isinstance(for_each, dict) else {}
        source = matrix.get(column)
        return str(source.get("column", column)) if isinstance(source, dict) else column

    def _property_problem(self, finding: Finding) -> Problem:
        path = (*self._template.path, *finding.path)
        source = self._substituted_properties().get(str(finding.path[0])) if finding.path else None
        suffix = " (after its variables are filled in)" if "${" in str(source) else ""
        return self._document.problem(
            finding.message + suffix, finding.rule, path, at_key=finding.at_key
        )


def _cell_function(parts: list[Template], *, is_list: bool, is_number: bool) -> CellFunction:
    if is_list:
        return lambda cells: _fill_list(parts, cells)
    text = parts[0]
    if is_number:
        return lambda cells: _parse_number(text.fill(cells))
    return itemgetter(*text.columns) if text.is_single_cell else text.fill


def _fill_finding(error: KeyError | TooLongError, row: Row) -> Finding:
    """Explain why a row cannot be filled in."""
    if isinstance(error, TooLongError):
        return Finding((), error.message, error.rule)
    return Finding((), missing_column_error(error.args[0], row.cells), "row")


def _fill_list(parts: list[Template], cells: Mapping[str, str]) -> list[str]:
    filled: list[str] = []
    size = 0
    for part in parts:
        filled.append(part.fill(cells))
        size += len(filled[-1])
        if size > EXPANDED.value:
            raise TooLongError("${…}")
    return filled


def _parse_number(text: str) -> str | int | float:
    """Parse a number by the rules of YAML; `60.0` is 60. Other texts are returned unchanged."""
    value = resolve_plain(text) if len(text) <= _MAX_DIGITS else text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text
    return int(value) if isinstance(value, float) and value.is_integer() else value
