"""References in strings, `${name}`: find them, and look up their values."""

import re
import shlex
from collections.abc import Iterator, Mapping

from wps_run.document.document import Document, Path
from wps_run.input_limits import EXPANDED
from wps_run.playbook.rows import VALUE_COLUMN
from wps_run.playbook.variables import ListVariable, VariableScope
from wps_run.problems import Position, Problem, did_you_mean

REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^}\n]*)(?P<end>\}?)")


class UnusableReferenceError(Exception):
    """A `${…}` that cannot be replaced.

    Attributes:
        rule: A stable name for machines.
        reference: The reference as in the source, `${…}`.
        message: What is wrong with it and what to write instead.
    """

    rule = "undefined-variable"

    def __init__(self, reference: str, message: str) -> None:
        self.reference = reference
        self.message = message
        super().__init__(message)


class UndefinedError(UnusableReferenceError):
    """It names no variable."""


class ListReferenceError(UnusableReferenceError):
    """It names a list where a single value is needed, or the other way round."""

    rule = "list-variable"


class SecretReferenceError(UnusableReferenceError):
    """It names an environment variable that may hold a secret."""

    rule = "secret-variable"


class FilterValueError(UnusableReferenceError):
    """Its value would become another part of an OData expression."""

    rule = "filter-value"


class JsonValueError(UnusableReferenceError):
    """Its value would become another part of a JSON text."""

    rule = "json-value"


class FilterFormError(UnusableReferenceError):
    """With its value, an OData expression is not valid."""

    rule = "filter"


class TooLongError(UnusableReferenceError):
    """The text is too long with its value filled in."""

    rule = "too-long"

    def __init__(self, reference: str) -> None:
        super().__init__(reference, f"the text with `{reference}` filled in {EXPANDED.error}")


class NotYetKnownError(Exception):
    """A `${…}` whose value is known only at run time: of the environment, or without a default."""


def reference_to(column: str) -> str:
    """Return the reference to a column of a row, as in the source."""
    return f"${{each.{column}}}" if column else "${each}"


def row_references(text: str) -> Iterator[tuple[str, str]]:
    """Yield each reference to a row in a text, and the column that it names."""
    for match in find_references(text):
        column = column_of(match)
        if column is not None:
            yield match[0], column


def referenced_names(text: str) -> Iterator[str]:
    """Yield the names that the `${…}` of a text refer to, in order."""
    for match in find_references(text):
        if match["end"]:
            yield match["name"]


def reference_problem(  # noqa: PLR0913 -- what a problem is made of
    document: Document, path: Path, reference: str, message: str, rule: str, *, at_key: bool = False
) -> Problem:
    """Make a problem with one `${…}` in the text or key at a path, at its position."""
    problem = document.problem(message, rule, path, at_key=at_key)
    position = problem.position
    offset = problem.line.find(reference, position.column - 1) if position else -1
    if position is None or offset < 0:
        return problem
    position = Position(position.file, position.line, offset + 1)
    return problem._replace(position=position, width=len(reference))


def find_references(text: str) -> Iterator[re.Match[str]]:
    """Yield a match of each reference, and of each `$${`, in a text."""
    return REFERENCE.finditer(text) if "${" in text else iter(())


def column_of(match: re.Match[str]) -> str | None:
    """Return the column that a match of a reference names; None if it names no row."""
    name = match["name"]
    if name is None or not match["end"]:
        return None
    if name == "each":
        return VALUE_COLUMN
    return name.removeprefix("each.") if name.startswith("each.") else None


def resolve_reference(match: re.Match[str], scope: VariableScope) -> str:
    """Return the value of a match of a reference that names no row.

    Raises:
        UndefinedError: It names no variable.
        ListReferenceError: It names a list.
        NotYetKnownError: Its value is known only at run time.
    """
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
        if name in scope.unset:
            raise NotYetKnownError(name)
        raise UndefinedError(reference, undefined_message(reference, name, scope))
    if isinstance(value, ListVariable):
        each = "${each.column}" if value.items and isinstance(value.items[0], dict) else "${each}"
        message = (
            f"`{reference}` is a list, which cannot be part of a text; write "
            f"`forEach: {reference}` and `{each}` here"
        )
        raise ListReferenceError(reference, message)
    return value


def list_of(reference: str, scope: VariableScope) -> ListVariable:
    """Return the list that a reference such as `${teams}` names.

    Raises:
        UndefinedError: It names no variable.
        ListReferenceError: The variable is not a list.
        NotYetKnownError: The variable is declared and has no value.
    """
    name = reference.removeprefix("${").removesuffix("}")
    value = scope.variables.get(name)
    if isinstance(value, ListVariable):
        return value
    if name in scope.unset:
        raise NotYetKnownError(name)
    if value is None:
        raise UndefinedError(reference, undefined_message(reference, name, scope))
    message = (
        f"`{reference}` is a single value, and a list is needed; write it as a list in `vars`: "
        f"`{name}: [red, blue]`, or declare it: `{name}: {{type: list}}`"
    )
    raise ListReferenceError(reference, message)


def refuse_secrets(text: str, scope: VariableScope) -> None:
    """Refuse secrets of the environment, also those whose values are not known yet.

    A playbook may be from somebody else, who must not receive them.
    """
    for match in find_references(text):
        prefix, dot, name = (match["name"] or "").partition(".")
        is_environment = prefix == "env" and dot and match["end"]
        reason = scope.refusal_of(name) if is_environment else None
        if reason is None:
            continue
        message = (
            f"the environment variable `{name}` {reason}, and a playbook must not send it; if it "
            f"is meant to, allow it with `--allow-env {shlex.quote(name)}`"
        )
        raise SecretReferenceError(match[0], message)


def _from_environment(reference: str, name: str, environment: Mapping[str, str] | None) -> str:
    if environment is None:
        raise NotYetKnownError(name)
    if name not in environment:
        raise UndefinedError(reference, f"the environment variable `{name}` is not set")
    return environment[name]


def undefined_message(reference: str, name: str, scope: VariableScope) -> str:
    """Return what is wrong with a reference that names no variable."""
    variables = [*scope.variables, *scope.unset]
    bare = name.strip()
    if bare != name and (bare in variables or bare == "each" or bare.startswith(("each.", "env."))):
        return f"`{reference}` has spaces in it; write `${{{bare}}}`"
    if not bare:
        return f"`{reference}` names no variable; a literal `${{` is written `$${{`"
    hint = did_you_mean(name, variables) or "; add it to `vars`, or give --var"
    return f"`{reference}` names no variable{hint}"
