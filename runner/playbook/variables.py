"""`${name}` in a string, filled in: plain substitution, no expressions, no code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.playbook.validation import checker
from runner.playbook.yaml12 import Document
from runner.problems import PlaybookError, did_you_mean

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^}\n]*)(?P<end>\}?)")


@dataclass(frozen=True, slots=True)
class Scope:
    """What `${…}` may name.

    Attributes:
        variables: Name to value, the strongest source already in front.
        environment: What `${env.NAME}` reads, or None when that is known only at run time.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = field(default_factory=dict, repr=False)


def variables_in(document: Document) -> dict[str, str]:
    """The variables that a file of its own holds, each value as it is written.

    Raises:
        PlaybookError: It is not a mapping of names to single values; by the rules of `vars`.
    """
    findings = checker().document({"vars": document.data, "actions": []})
    if findings:
        raise PlaybookError(
            document.problem(one.message, one.rule, one.path[1:], at_key=one.at_key)
            for one in findings
        )
    return {name: document.written((name,)) for name in document.data}


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


def fill(text: str, scope: Scope) -> str:
    """Fill in every `${…}` of a text.

    `$${` writes a literal `${`. What is filled in is not read again.

    Raises:
        UndefinedError: A reference names nothing.
        NotYetKnownError: It names an environment variable, and the environment is not known.
    """
    if "${" not in text:
        return text
    return _REFERENCE.sub(lambda found: _replacement(found, scope), text)


def _replacement(found: re.Match[str], scope: Scope) -> str:
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
    if name.strip() in variables:
        return f"`{reference}` has blanks in it; write `${{{name.strip()}}}`"
    if not name.strip():
        return f"`{reference}` names no variable; a literal `${{` is written `$${{`"
    near = did_you_mean(name, list(variables))
    return f"`{reference}` names no variable{near or '; add it to `vars`, or give --var'}"
