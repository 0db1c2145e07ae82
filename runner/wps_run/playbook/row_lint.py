"""Warnings about the rows of an action, and about its values with the variables filled in."""

from collections.abc import Iterator, Mapping
from typing import Any

from wps_run.actions.fields import Field, FieldLocation, FieldType
from wps_run.actions.request import percent_encode
from wps_run.actions.table import ACTIONS
from wps_run.playbook.expansion import ExpandedAction, Expansion
from wps_run.playbook.foreach import columns_of
from wps_run.playbook.groups import PRUNE
from wps_run.playbook.live import live_sources
from wps_run.playbook.model import ActionTemplate
from wps_run.playbook.placeholders import find_column_placeholders
from wps_run.playbook.rows import Row
from wps_run.problems import Problem, Severity

ADD_BY_FILTER = ACTIONS["addConnectionsToGroups"].name
"""The action that adds the connections that match a filter, which it has in the body."""

FILTER_LIMIT = 8192
"""The most bytes of a filter in a URL. Many servers refuse a longer URL."""


class RowLint:
    """Finds the warnings about the rows of one action, and about its values filled in.

    There is at most one for each column and rule, at the first place, with the count.
    """

    def __init__(self, template: ActionTemplate, expansion: Expansion) -> None:
        self._template = template
        self._expansion = expansion
        self._is_live = any(live_sources(template.for_each))
        self._keys = {
            column: field.name
            for field in filter(takes_no_blanks, template.action.fields)
            for column in expansion.columns.get(field.name, ())
            if not self._is_live  # they are as the service has them
        }
        """Each column whose cells are checked, with a property that uses it."""
        self._filters = filters_in_url(template)
        self._first: Row | None = None
        self._blank: dict[str, tuple[Row, int]] = {}
        """By column, the first row with a blank, and the number of such rows."""
        self._long: dict[str, Problem] = {}
        self._has_more = True

    def check(self, expanded: ExpandedAction) -> None:
        """Check a valid action. This is done for each of what may be millions of rows."""
        row = expanded.row
        cells = row.cells
        for column in self._keys:
            cell = cells[column]
            if cell.strip() != cell:
                first, count = self._blank.get(column, (row, 0))
                self._blank[column] = first, count + 1
        if self._has_more:
            self._check_filters(row, expanded.values)

    def _check_filters(self, row: Row, values: Mapping[str, Any]) -> None:
        """Check the first row, and later ones if there are filters that vary and were not long."""
        self._first = self._first or row
        columns = self._expansion.columns
        for name in self._filters:
            if message := filter_message(name, values[name]):
                cells = columns.get(name, [])
                self._long[name] = self._cell_warning(row, name, cells, message, "long-filter")
        self._filters = [
            name for name in self._filters if name in columns and name not in self._long
        ]
        self._has_more = bool(self._filters)

    def warnings(self, rows: int) -> Iterator[Problem]:
        """Yield the warnings when all rows were read, good and bad ones."""
        if rows == 0 and not self._may_be_empty():
            yield self._no_rows()
        for column, (row, count) in self._blank.items():
            message = (
                "this cell has blanks around it"
                if count == 1
                else f"{count:,} rows from here on have blanks around this cell"
            )
            yield self._cell_warning(
                row, self._keys[column], [column], f"{message}, {BLANKS}", "blanks"
            )
        yield from self._long.values()
        if self._first is not None and columns_of(self._template.for_each) is None:
            columns = self._first.cells
            yield from find_column_placeholders(self._template, columns)

    def _may_be_empty(self) -> bool:
        """Whether the rows are not known, or may be none on purpose."""
        is_pruned = self._template.part.document.value_at(self._template.path).get(PRUNE)
        return not self._expansion.has_known_rows or self._is_live or bool(is_pruned)

    def _cell_warning(
        self, row: Row, key: str, columns: list[str], message: str, rule: str
    ) -> Problem:
        problem = self._expansion.cell_problem(row, key, columns, message, rule)
        return problem._replace(severity=Severity.WARNING)

    def _no_rows(self) -> Problem:
        for_each = self._template.for_each
        path = self._template.rows_path
        if isinstance(for_each, dict):
            is_matrix = "matrix" in for_each
            path = (*path, "matrix" if is_matrix else "file")
            what = "the matrix has" if is_matrix else f"`{for_each['file']}` has"
        else:
            what = f"`{for_each}` has" if isinstance(for_each, str) else f"`{path[-1]}` has"
        message = f"{what} no rows, so this action does nothing; add rows, or leave it out"
        return self._template.part.document.problem(
            message, "no-rows", path, severity=Severity.WARNING
        )


BLANKS = "which are part of the name; remove them"


def takes_no_blanks(field: Field) -> bool:
    """Return whether blanks around a value, or a part of it, are hardly meant."""
    return field.is_name or field.is_expression or field.type is FieldType.STRINGS


def filters_in_url(template: ActionTemplate) -> list[str]:
    """Return the properties of an action that are expressions in the URL."""
    return [
        field.name
        for field in template.action.fields_in(FieldLocation.QUERY)
        if field.is_expression and field.name in template.values
    ]


def filter_message(name: str, value: str) -> str | None:
    """Return what is wrong with a filter that is too long for a URL, or None."""
    if len(value) <= FILTER_LIMIT // _ENCODED_BYTES:
        return None
    size = len(percent_encode(value))
    if size <= FILTER_LIMIT:
        return None
    return (
        f"`{name}` takes {size:,} bytes of the URL, and many servers refuse more than "
        f"{FILTER_LIMIT // 1024} KiB; add the receivers to a group with `{ADD_BY_FILTER}`, and "
        "send to the group"
    )


_ENCODED_BYTES = 12
"""The most bytes that a character takes in a URL."""
