"""One written action, its variables and its rows become filled-in actions, each of them checked."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from wps_run.actions.fields import FieldType
from wps_run.actions.payload import encode_message
from wps_run.document.document import Path
from wps_run.document.scalars import resolve_plain
from wps_run.playbook.compiled_schema import Predicate
from wps_run.playbook.constraints import Finding, compile_predicates, data_type_of
from wps_run.playbook.foreach import invalid_references, missing_column_error
from wps_run.playbook.model import ActionTemplate, Playbook
from wps_run.playbook.rows import InputError, Row, Rows, inline_rows
from wps_run.playbook.schema import SchemaForm
from wps_run.playbook.validator import default_validator
from wps_run.playbook.variables import (
    NotYetKnownError,
    Template,
    UndefinedError,
    VariableScope,
    parse_template,
    reference_problem,
    substitute,
)
from wps_run.problems import Position, Problem

KEPT = 16
"""How many messages from files are kept, so that a file is not read again for every row."""

_PROPERTY = re.compile(r"^`(\w+)`")
_DIGITS = 18
"""The longest text that is read as a number; no limit of the table is near it."""

_STANDS_FOR_DATA = {"text": "", "json": "0", "binary": ""}

Filler = Callable[[Mapping[str, str]], Any]


class ExpandedAction(NamedTuple):
    """One expanded action, or what is wrong with it. A tuple, as its row is.

    Attributes:
        written: The action it was made from.
        item: The number of its row, from 0; None without rows, and for what is wrong with the
            action itself and so told once, whatever the row.
        position: Where the row is, or else the action.
        values: Its properties, filled in; `data` is bytes when they come from a file.
        label: Its label, filled in.
        problems: What is wrong; then its values are of no use.
    """

    written: ActionTemplate
    item: int | None
    position: Position
    values: Mapping[str, Any]
    label: str | None
    problems: tuple[Problem, ...] = ()


class Expansion:
    """Fills in one action of a playbook, row by row.

    What does not change from row to row is filled in and checked once. What changes is asked
    of predicates, and of the full check when one of them says no.
    """

    def __init__(self, playbook: Playbook, written: ActionTemplate, scope: VariableScope) -> None:
        self._playbook = playbook
        self._document = playbook.document
        self._written = written
        self._scope = scope
        self._known = True
        self._found: list[Problem] = []
        self._constant: dict[str, Any] = {}
        self._fillers: dict[str, Filler] = {}
        self._columns: dict[str, str] = {}
        self._judged: tuple[tuple[str, Predicate], ...] | None = None
        self._message = lru_cache(maxsize=KEPT)(self._read_message)
        for key, value in self._texts().items():
            self._prepare(key, value)

    def __iter__(self) -> Iterator[ExpandedAction]:
        if self._found:
            yield self._wrong(self._found)
        elif self._written.for_each is None:
            row = Row({}, self._document.position(self._written.path))
            yield from self._first(row, None)
        else:
            yield from self._each()

    def _texts(self) -> dict[str, Any]:
        """All that variables are filled into: properties, label, the file of the message."""
        texts = {**self._written.values, "name": self._written.label}
        if self._written.data_file is not None:
            texts["dataFile"] = self._written.data_file
        return texts

    def _prepare(self, key: str, value: object) -> None:
        """Fill in the variables of one property, and note the columns that it takes."""
        path = (*self._written.path, key)
        if isinstance(value, str):
            parts = [self._template(value, path)]
        elif isinstance(value, list):
            parts = [self._template(text, (*path, place)) for place, text in enumerate(value)]
        else:
            self._constant[key] = value
            return
        columns = [column for part in parts for column in part.columns]
        filler = _filler(parts, whole=isinstance(value, str), number=self._is_number(key))
        if columns:
            self._columns[key] = columns[0]
            self._fillers[key] = filler
        else:
            self._constant[key] = filler({}) if "${" in str(value) else value

    def _is_number(self, key: str) -> bool:
        fields = self._written.action.fields
        return any(one.name == key and one.type is FieldType.INTEGER for one in fields)

    def _template(self, text: str, path: Path) -> Template:
        try:
            return parse_template(text, self._scope)
        except UndefinedError as error:
            self._undefined(path, error)
        except NotYetKnownError:
            self._known = False
        return Template((text,))

    def _undefined(self, path: Path, error: UndefinedError) -> None:
        self._found.append(
            reference_problem(
                self._document, path, error.reference, error.message, "undefined-variable"
            )
        )

    def _each(self) -> Iterator[ExpandedAction]:
        """A value for each row."""
        begun = False
        try:
            for item, row in enumerate(self._rows()):
                if isinstance(row, Problem):
                    yield ExpandedAction(self._written, item, _place(row), {}, None, (row,))
                elif begun:
                    yield self._next(row, item)
                elif misused := self._misused(row):
                    yield self._wrong(misused)
                    return
                else:
                    yield from self._first(row, item)
                    begun = True
        except InputError as error:
            path = (*self._written.path, "forEach", "file")
            yield self._wrong([self._document.problem(str(error), "file", path)])
        if self._found:
            yield self._wrong(self._found)

    def _rows(self) -> Rows:
        path = (*self._written.path, "forEach")
        for_each = self._written.for_each
        if isinstance(for_each, dict) and "file" in for_each:
            try:
                return self._scope.inputs.rows(substitute(for_each["file"], self._scope))
            except UndefinedError as error:
                self._undefined((*path, "file"), error)
            except NotYetKnownError:
                pass
            return iter(())
        return inline_rows(self._document, path, self._cell)

    def _cell(self, text: str, path: Path) -> str:
        """A cell that stands in the playbook, with its variables."""
        try:
            return substitute(text, self._scope)
        except UndefinedError as error:
            self._undefined(path, error)
        except NotYetKnownError:
            self._known = False
        return text

    def _misused(self, row: Row) -> list[Problem]:
        """The columns that the action takes and the rows have not."""
        for_each = self._written.for_each
        file = for_each.get("file") if isinstance(for_each, dict) else None
        path = self._written.path
        return [
            reference_problem(
                self._document, (*path, *below), reference, message, "undefined-variable"
            )
            for below, reference, message in invalid_references(
                self._document.value_at(path), list(row.cells), file
            )
        ]

    def _first(self, row: Row, item: int | None) -> Iterator[ExpandedAction]:
        """The first row decides, by the full check, on all that no row changes."""
        values = self._constant | {key: fill(row.cells) for key, fill in self._fillers.items()}
        constant = []
        if self._known and not self._found:
            constant = [self._at_property(one) for one in self._faults(values, varying=False)]
        if constant:
            yield self._wrong(constant)
            if self._constant.pop("dataFile", None):  # it may be that which is wrong
                self._constant["data"] = ""
        data_type = data_type_of(self._constant)
        if "dataType" not in self._fillers and "dataFile" not in self._fillers:
            judged = compile_predicates(
                self._written.action,
                [key for key in self._fillers if key != "name"],
                data_type,
                slash_in_names=self._playbook.slash_in_names,
            )
            self._judged = tuple(judged.items())
        if not constant or item is not None:
            yield self._next(row, item)

    def _next(self, row: Row, item: int | None) -> ExpandedAction:
        values = self._constant.copy()
        try:
            for key, filler in self._fillers.items():
                values[key] = filler(row.cells)
        except KeyError as error:
            lack = missing_column_error(error.args[0], row.cells)
            return self._bad(row, item, [Finding((), lack, "row")])
        if not self._passes(values):
            faults = list(self._faults(values, varying=True))
            if faults:
                return self._bad(row, item, faults)
        label = values.pop("name")
        if "dataFile" in values:
            name = values.pop("dataFile")
            if self._known:
                values["data"] = self._message(name, data_type_of(values))
        return ExpandedAction(self._written, item, row.position, values, label)

    def _passes(self, values: Mapping[str, Any]) -> bool:
        """Whether what a row has changed is right for certain, or not known yet."""
        if not self._known:
            return True
        if self._judged is None:
            return False
        for key, accepts in self._judged:  # noqa: SIM110 -- `all` takes twice as long
            if not accepts(values[key]):
                return False
        return True

    def _faults(self, values: Mapping[str, Any], *, varying: bool) -> Iterator[Finding]:
        """What the full check finds in that which the rows change, or in all the rest."""
        mapping = {key: value for key, value in values.items() if key not in {"name", "dataFile"}}
        mapping["actionName"] = self._written.action.name
        if "dataFile" in values:
            mapping["data"] = _STANDS_FOR_DATA[data_type_of(values)]
        slash = self._playbook.slash_in_names
        for finding in default_validator().validate_action(
            mapping, SchemaForm.EXPANDED, slash_in_names=slash
        ):
            if self._varies(finding.path) is varying:
                yield finding
        if "dataFile" in values and self._varies(("dataFile",)) is varying:
            try:
                self._message(values["dataFile"], data_type_of(values))
            except InputError as error:
                yield Finding(("dataFile",), str(error), "file")

    def _varies(self, path: Path) -> bool:
        """Whether what is said of this place may be another thing in another row."""
        by_type = path[:1] in {("data",), ("dataFile",)} and "dataType" in self._fillers
        return by_type or any(key in self._fillers for key in path[:1])

    def _read_message(self, name: str, data_type: str) -> bytes:
        """The bytes of a message that is in a file, checked by the rules of its type."""
        raw = self._scope.inputs.data(name)
        if data_type == "binary":
            return raw
        try:
            return encode_message(raw.decode("utf-8-sig"), data_type)
        except UnicodeDecodeError as error:
            reason = f"is not UTF-8 (byte {error.start + 1}), which `{data_type}` has to be"
            raise InputError(f"`{name}` {reason}") from None
        except ValueError as error:
            raise InputError(str(error).replace("`data`", f"`{name}`", 1)) from None

    def _wrong(self, problems: list[Problem]) -> ExpandedAction:
        """What is wrong with the action itself."""
        position = self._document.position(self._written.path)
        return ExpandedAction(self._written, None, position, {}, None, tuple(problems))

    def _bad(self, row: Row, item: int | None, findings: list[Finding]) -> ExpandedAction:
        problems = tuple(self._at_row(row, finding) for finding in findings)
        return ExpandedAction(self._written, item, row.position, {}, None, problems)

    def _at_row(self, row: Row, finding: Finding) -> Problem:
        """A problem of one row, at the row; of one in the playbook, at the cell."""
        message = _PROPERTY.sub(r"\1", finding.message)
        column = self._columns.get(str(finding.path[0])) if finding.path else None
        if not row.paths:
            return Problem(message, finding.rule, row.position)
        path = row.paths.get(column or "", next(iter(row.paths.values())))
        return self._document.problem(message, finding.rule, path)

    def _at_property(self, finding: Finding) -> Problem:
        path = (*self._written.path, *finding.path)
        filled = "${" in str(self._texts().get(str(finding.path[0]), "")) if finding.path else False
        suffix = " (after its variables are filled in)" if filled else ""
        return self._document.problem(
            finding.message + suffix, finding.rule, path, at_key=finding.at_key
        )


def _filler(parts: list[Template], *, whole: bool, number: bool) -> Filler:
    if not whole:
        return lambda cells: [part.fill(cells) for part in parts]
    text = parts[0]
    if number:
        return lambda cells: _number(text.fill(cells))
    return itemgetter(*text.columns) if text.is_single_cell else text.fill


def _number(text: str) -> str | int | float:
    """The number that a filled-in string is, by the rules of a written one: `60.0` is 60."""
    value = resolve_plain(text) if len(text) <= _DIGITS else text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _place(problem: Problem) -> Position:
    return problem.position or Position("", 0)
