"""Substitute `${name}` in strings: plain text replacement, without expressions."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from wps_run.document.document import Document, Path
from wps_run.playbook.rows import NO_INPUTS, VALUE_COLUMN, Inputs
from wps_run.problems import Position, Problem, did_you_mean

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^}\n]*)(?P<end>\}?)")


class VariableScope:
    """The sources of values for `${…}`. Its repr shows no value, since some are secrets.

    Attributes:
        variables: Name to value, from all sources, overrides applied.
        environment: The variables of `${env.NAME}`; None when they are known only at run time.
        inputs: The files that the playbook names.
    """

    def __init__(
        self,
        variables: Mapping[str, str] = MappingProxyType({}),
        environment: Mapping[str, str] | None = MappingProxyType({}),
        inputs: Inputs = NO_INPUTS,
    ) -> None:
        self.variables = variables
        self.environment = environment
        self.inputs = inputs


class UndefinedError(Exception):
    """A `${…}` that names no variable.

    Attributes:
        reference: The reference as in the source, `${…}`.
        message: What is wrong with it and what to write instead.
    """

    def __init__(self, reference: str, message: str) -> None:
        self.reference = reference
        self.message = message
        super().__init__(message)


class NotYetKnownError(Exception):
    """A `${env.…}` whose value is known only at run time."""


class Template(NamedTuple):
    """A text with all variables substituted except the columns of a row.

    Attributes:
        parts: Alternately a literal text and the name of a column; the last is a literal text.
    """

    parts: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names; `VALUE_COLUMN` for a bare `${each}`."""
        return self.parts[1::2]

    @property
    def is_single_cell(self) -> bool:
        """Whether it consists of one cell and no other text."""
        return len(self.columns) == 1 and self.parts[::2] == ("", "")

    def fill(self, cells: Mapping[str, str]) -> str:
        """Return the text for one row.

        Raises:
            KeyError: The row has no such column.
        """
        filled = list(self.parts)
        filled[1::2] = [cells[column] for column in self.parts[1::2]]
        return "".join(filled)


def parse_template(text: str, scope: VariableScope) -> Template:
    """Substitute every `${…}` of a text except those of a row.

    Raises:
        UndefinedError: A reference names no variable.
        NotYetKnownError: It names an environment variable, and the environment is not known.
    """
    parts: list[str] = []
    literal: list[str] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        literal.append(text[end : match.start()])
        end = match.end()
        column = _column(match)
        if column is None:
            literal.append(_resolve(match, scope))
        else:
            parts += ("".join(literal), column)
            literal = []
    literal.append(text[end:])
    return Template((*parts, "".join(literal)))


def substitute(text: str, scope: VariableScope) -> str:
    """Substitute every `${…}` of a text.

    `$${` is a literal `${`. Substituted values are not searched for references.

    Raises:
        UndefinedError: A reference names no variable.
        NotYetKnownError: It names an environment variable, and the environment is not known.
    """
    if "${" not in text:
        return text
    return _REFERENCE.sub(lambda match: _resolve(match, scope), text)


def row_references(text: str) -> Iterator[tuple[str, str]]:
    """Yield each reference to a row in a text, and the column that it names."""
    for match in _matches(text):
        column = _column(match)
        if column is not None:
            yield match[0], column


def referenced_names(text: str) -> Iterator[str]:
    """Yield the names that the `${…}` of a text refer to, in order."""
    for match in _matches(text):
        if match["end"]:
            yield match["name"]


def reference_problem(
    document: Document, path: Path, reference: str, message: str, rule: str
) -> Problem:
    """Make a problem with one `${…}` in the text at a path, at the position of the reference."""
    problem = document.problem(message, rule, path)
    position = problem.position
    offset = problem.line.find(reference, position.column - 1) if position else -1
    if position is None or offset < 0:
        return problem
    position = Position(position.file, position.line, offset + 1)
    return problem._replace(position=position, width=len(reference))


def _matches(text: str) -> Iterator[re.Match[str]]:
    return _REFERENCE.finditer(text) if "${" in text else iter(())


def _column(match: re.Match[str]) -> str | None:
    name = match["name"]
    if name is None or not match["end"]:
        return None
    if name == "each":
        return VALUE_COLUMN
    return name.removeprefix("each.") if name.startswith("each.") else None


def _resolve(match: re.Match[str], scope: VariableScope) -> str:
    reference = match[0]
    if reference == "$${":
        return "${"
    name = match["name"]
    if not match["end"]:
        raise UndefinedError(reference, "`${` has no `}`; a literal `${` is written `$${`")
    if name.startswith("env."):
        return _from_environment(reference, name.removeprefix("env."), scope.environment)
    value = scope.variables.get(name)
    if value is None:
        raise UndefinedError(reference, _undefined_message(reference, name, scope.variables))
    return value


def _from_environment(reference: str, name: str, environment: Mapping[str, str] | None) -> str:
    if environment is None:
        raise NotYetKnownError(name)
    if name not in environment:
        raise UndefinedError(reference, f"the environment variable `{name}` is not set")
    return environment[name]


def _undefined_message(reference: str, name: str, variables: Mapping[str, str]) -> str:
    bare = name.strip()
    if bare != name and (bare in variables or bare == "each" or bare.startswith(("each.", "env."))):
        return f"`{reference}` has spaces in it; write `${{{bare}}}`"
    if not bare:
        return f"`{reference}` names no variable; a literal `${{` is written `$${{`"
    hint = did_you_mean(name, list(variables)) or "; add it to `vars`, or give --var"
    return f"`{reference}` names no variable{hint}"
