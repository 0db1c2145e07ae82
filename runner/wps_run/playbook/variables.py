"""`${name}` in a string, filled in: plain substitution, no expressions, no code."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from wps_run.document.document import Document, Path
from wps_run.playbook.rows import Inputs, NoInputs
from wps_run.problems import Position, Problem, did_you_mean

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^}\n]*)(?P<end>\}?)")


@dataclass(frozen=True, slots=True)
class VariableScope:
    """What `${…}` may name.

    Attributes:
        variables: Name to value, the strongest source already in front.
        environment: What `${env.NAME}` reads, or None when that is known only at run time.
        inputs: The files that the playbook names.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = field(default_factory=dict, repr=False)
    inputs: Inputs = field(default_factory=NoInputs, repr=False)


_BARE = 3
"""How many parts a text has that is one `${each.…}`; both of its literals are empty."""


class UndefinedError(Exception):
    """A `${…}` that names nothing.

    Attributes:
        reference: The reference as written, `${…}`.
        message: What is wrong with it and what to write instead.
    """

    def __init__(self, reference: str, message: str) -> None:
        self.reference = reference
        self.message = message
        super().__init__(message)


class NotYetKnownError(Exception):
    """A `${env.…}` whose value is known only at run time."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text whose variables are filled in, and into which a row is yet to be.

    Attributes:
        parts: By turns a literal text and the name of a column; a literal text comes last.
    """

    parts: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names; "" for a bare `${each}`."""
        return self.parts[1::2]

    @property
    def is_bare(self) -> bool:
        """Whether it is one cell and nothing else."""
        return len(self.parts) == _BARE and self.parts[0] == self.parts[2] == ""

    def fill(self, cells: Mapping[str, str]) -> str:
        """The text for one row.

        Raises:
            KeyError: The row has no such column.
        """
        filled = list(self.parts)
        filled[1::2] = [cells[column] for column in self.parts[1::2]]
        return "".join(filled)


def parse_template(text: str, scope: VariableScope) -> Template:
    """Fill in every `${…}` of a text but for those of a row.

    Raises:
        UndefinedError: A reference names nothing.
        NotYetKnownError: It names an environment variable, and the environment is not known.
    """
    parts: list[str] = []
    literal: list[str] = []
    end = 0
    for found in _REFERENCE.finditer(text):
        literal.append(text[end : found.start()])
        end = found.end()
        column = _column(found)
        if column is None:
            literal.append(_replacement(found, scope))
        else:
            parts += ("".join(literal), column)
            literal = []
    literal.append(text[end:])
    return Template((*parts, "".join(literal)))


def row_references(text: str) -> Iterator[tuple[str, str]]:
    """Each reference to a row in a text, and the column that it names; "" for `${each}`."""
    if "${" in text:
        for found in _REFERENCE.finditer(text):
            column = _column(found)
            if column is not None:
                yield found[0], column


def _column(found: re.Match[str]) -> str | None:
    name = found["name"]
    if name is None or not found["end"]:
        return None
    if name == "each":
        return ""
    return name.removeprefix("each.") if name.startswith("each.") else None


def reference_problem(
    document: Document, path: Path, reference: str, message: str, rule: str
) -> Problem:
    """A problem with one `${…}` in the text at a path, at the reference's own place."""
    problem = document.problem(message, rule, path)
    position = problem.position
    at = problem.line.find(reference, position.column - 1) if position else -1
    if position is None or at < 0:
        return problem
    place = Position(position.file, position.line, at + 1)
    return replace(problem, position=place, width=len(reference))


def fill(text: str, scope: VariableScope) -> str:
    """Fill in every `${…}` of a text.

    `$${` writes a literal `${`. What is filled in is not read again.

    Raises:
        UndefinedError: A reference names nothing.
        NotYetKnownError: It names an environment variable, and the environment is not known.
    """
    if "${" not in text:
        return text
    return _REFERENCE.sub(lambda found: _replacement(found, scope), text)


def referenced_names(text: str) -> Iterator[str]:
    """The names that `${…}` reads in a text, in order."""
    for found in _REFERENCE.finditer(text) if "${" in text else ():
        if found["end"]:
            yield found["name"]


def _replacement(found: re.Match[str], scope: VariableScope) -> str:
    reference = found[0]
    if reference == "$${":
        return "${"
    name = found["name"]
    if not found["end"]:
        raise UndefinedError(reference, "`${` has no `}`; a literal `${` is written `$${`")
    if name.startswith("env."):
        return _from_environment(reference, name.removeprefix("env."), scope.environment)
    value = scope.variables.get(name)
    if value is None:
        raise UndefinedError(reference, _undefined(reference, name, scope.variables))
    return value


def _from_environment(reference: str, name: str, environment: Mapping[str, str] | None) -> str:
    if environment is None:
        raise NotYetKnownError(name)
    if name not in environment:
        raise UndefinedError(reference, f"the environment variable `{name}` is not set")
    return environment[name]


def _undefined(reference: str, name: str, variables: Mapping[str, str]) -> str:
    bare = name.strip()
    if bare != name and (bare in variables or bare == "each" or bare.startswith(("each.", "env."))):
        return f"`{reference}` has blanks in it; write `${{{name.strip()}}}`"
    if not name.strip():
        return f"`{reference}` names no variable; a literal `${{` is written `$${{`"
    near = did_you_mean(name, list(variables))
    return f"`{reference}` names no variable{near or '; add it to `vars`, or give --var'}"
