"""Read `wps-run.yaml`: defaults for options, and the environments that playbooks run in. Pure."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from wps_run.actions.names import hub_error
from wps_run.document.document import Document, Path
from wps_run.document.loader import load, parse
from wps_run.input_limits import ENVIRONMENTS as ENVIRONMENT_LIMIT
from wps_run.playbook import messages
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.constraints import Finding
from wps_run.playbook.model import problems_of, variable_findings, variables_from
from wps_run.playbook.options import (
    ACCESS_OPTIONS,
    CONFIGURATION_KEYS,
    CONFIRM,
    CONNECTION,
    ENVIRONMENT_NAME_PATTERN,
    HUB,
    OPTIONS,
    YES,
    Confirmation,
)
from wps_run.playbook.schema import DEFAULTS, ENVIRONMENTS
from wps_run.playbook.validator import CONNECTION_ERROR, default_validator
from wps_run.playbook.variables import VariableValue
from wps_run.problems import PlaybookError, Problem, did_you_mean, limited, shorten, sort_problems

FILE_NAME = "wps-run.yaml"
"""The name of a configuration file that is found without being named."""

_TOP_LEVEL = ("$schema", DEFAULTS, ENVIRONMENTS)
_VARS = "vars"
_NAMED_ONLY = frozenset(option.key for option in ACCESS_OPTIONS)
_MOST_NAMES = 10
"""So many environments are named in a message."""

_NONE: Mapping[str, Any] = MappingProxyType({})


class Configuration(NamedTuple):
    """What a configuration file says for one environment, or for none.

    Attributes:
        document: The file, or None if there is none.
        is_named: Whether the user named the file; else it was found.
        environment: The name of the environment, or None.
        defaults: Values of options by key, which a playbook overrides.
        options: Those of the environment, which override a playbook.
        variables: Those of the environment, which override a playbook.
    """

    document: Document | None = None
    is_named: bool = False
    environment: str | None = None
    defaults: Mapping[str, Any] = _NONE
    options: Mapping[str, Any] = _NONE
    variables: Mapping[str, VariableValue] = _NONE

    @property
    def environments(self) -> tuple[str, ...]:
        """The names of all environments of the file."""
        data = self.document.data if self.document else None
        return tuple((data or {}).get(ENVIRONMENTS) or ())

    def of(self, environment: str) -> "Configuration":
        """Return it for an environment.

        Raises:
            PlaybookError: The file has no such environment.
        """
        if self.document is None or environment not in self.environments:
            raise PlaybookError([self._no_environment(environment)])
        path: Path = (ENVIRONMENTS, environment)
        section = self.document.value_at(path) or {}
        return self._replace(
            environment=environment,
            options={key: value for key, value in section.items() if key != _VARS},
            variables=variables_from(self.document, (*path, _VARS))
            if section.get(_VARS)
            else _NONE,
        )

    def confirmed_by(self, other: "Configuration") -> "Configuration":
        """Return it with what another one says of confirmation, and nothing of its own.

        A journal, which may be somebody else's, does not confirm a run.
        """
        own = {key: other.value_of(key) for key in (YES.key, CONFIRM.key)}
        return self._replace(
            defaults=_unconfirmed(self.defaults),
            options=_unconfirmed(self.options)
            | {key: value for key, value in own.items() if value is not None},
        )

    def kept(self) -> Mapping[str, str]:
        """Return the values in force, for the options that a journal keeps; not the variables."""
        if not self.defaults and not self.options:
            return {}
        values = {"defaults": dict(self.defaults), "options": dict(self.options)}
        return {FILE_NAME: json.dumps(values)}

    def path_of(self, key: str) -> Path | None:
        """Return the path of the value of an option; None if the file has none."""
        if key in self.options:
            return (ENVIRONMENTS, str(self.environment), key)
        return (DEFAULTS, key) if key in self.defaults else None

    def value_of(self, key: str) -> Any:  # noqa: ANN401 -- of any option
        """Return the value of an option that no playbook has; None if the file has none."""
        return self.options.get(key, self.defaults.get(key))

    def _no_environment(self, name: str) -> Problem:
        name = shorten(name)
        if self.document is None:
            message = (
                f"there is no environment `{name}`, since no `{FILE_NAME}` is in this folder or "
                "above it; name the file with --config"
            )
            return Problem(message, _UNKNOWN)
        names = self.environments
        known = f"has no `{ENVIRONMENTS}`"
        if names:
            more = ", …" if len(names) > _MOST_NAMES else ""
            known = f"has {messages.join_names(names[:_MOST_NAMES], 'and')}{more}"
        near = did_you_mean(name, names)
        message = f"`{name}` is no environment of this file, which {known}{near}"
        path = (ENVIRONMENTS,) if ENVIRONMENTS in self.document.data else ()
        return self.document.problem(message, _UNKNOWN, path, at_key=bool(path))


_UNKNOWN = "unknown-environment"


def _unconfirmed(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in options.items()
        if key != YES.key and (key, value) != (CONFIRM.key, Confirmation.NEVER)
    }


def kept_configuration(
    options: Mapping[str, object],
    environment: str | None,
    variables: Mapping[str, VariableValue],
) -> Configuration:
    """Return the values in force of a run, as `Configuration.kept` put them into its options.

    Raises:
        ValueError: The entry is not one.
    """
    try:
        values = load(str(options.get(FILE_NAME, "{}")), FILE_NAME).data
        if not isinstance(values, dict):
            raise ValueError("it is no mapping")  # noqa: TRY004 -- a wrong value of a journal
        defaults, overrides = values.get("defaults", {}), values.get("options", {})
        sections = {DEFAULTS: defaults, ENVIRONMENTS: {"kept": overrides}}
        read_configuration(json.dumps(sections), FILE_NAME, is_named=True)
    except PlaybookError as error:
        raise ValueError(str(error)) from None
    return Configuration(
        None,
        is_named=True,
        environment=environment,
        defaults=defaults,
        options=overrides,
        variables=variables,
    )


def read_configuration(text: str, file: str, *, is_named: bool) -> Configuration:
    """Read and check a configuration file; an empty one says nothing.

    Args:
        text: Its content, in YAML or JSON.
        file: Its name in problems.
        is_named: Whether the user named it. In a file that was found, options are refused with
            which a stranger's folder could redirect a token, or send without being asked.

    Raises:
        PlaybookError: The file is wrong; has every problem.
    """
    try:
        document = parse(text, file)
    except PlaybookError as error:
        if error.problems[0].rule != "empty":
            raise
        document = parse("{}", file)
    problems = [*document.problems, *problems_of(document, _findings(document, is_named=is_named))]
    if problems:
        raise PlaybookError(limited(sort_problems(dict.fromkeys(problems))))
    return Configuration(document, is_named, defaults=document.data.get(DEFAULTS) or {})


def _findings(document: Document, *, is_named: bool) -> Iterator[Finding]:
    data = document.data
    if not isinstance(data, dict) or "actions" in data:
        kind = "a playbook" if isinstance(data, dict) else messages.describe_type(data)
        message = (
            f"this is {kind}; a configuration file is a mapping with `{DEFAULTS}` and "
            f"`{ENVIRONMENTS}`"
        )
        yield Finding((), message, "type")
        return
    for key, value in data.items():
        if key == DEFAULTS:
            yield from _section_findings(document, (key,), f"`{key}`", is_named=is_named)
        elif key == ENVIRONMENTS:
            yield from _environment_findings(document, value, is_named=is_named)
        elif key not in _TOP_LEVEL and not key.startswith("x-"):
            yield Finding((key,), _unknown_top_level(key), "unknown-key", at_key=True)


def _unknown_top_level(key: str) -> str:
    if key in CONFIGURATION_KEYS or key == _VARS:
        parents = f"below an environment in `{ENVIRONMENTS}`"
        parents = parents if key == _VARS else f"below `{DEFAULTS}`, or {parents}"
        return f"`{key}` belongs {parents}"
    return messages.unknown_key(key, _TOP_LEVEL[1:], "a configuration file")


def _environment_findings(
    document: Document, environments: object, *, is_named: bool
) -> Iterator[Finding]:
    if environments is None:
        return
    if not isinstance(environments, dict):
        message = f"`{ENVIRONMENTS}` must be a mapping of names to options: `prod: {{hub: chat}}`"
        yield Finding((ENVIRONMENTS,), message, "value")
        return
    if len(environments) > ENVIRONMENT_LIMIT.value:
        message = f"`{ENVIRONMENTS}` {ENVIRONMENT_LIMIT.error}"
        yield Finding((ENVIRONMENTS,), message, "too-many", at_key=True)
        return
    is_name = compile_schema({"type": "string", "pattern": ENVIRONMENT_NAME_PATTERN})
    for name in environments:
        path: Path = (ENVIRONMENTS, name)
        if not is_name(name):
            message = (
                "the name of an environment begins with a letter or digit, and has at most 64 "
                "letters, digits, `_`, `-` and `.`"
            )
            yield Finding(path, message, "value", at_key=True)
        yield from _section_findings(document, path, "an environment", is_named=is_named)


def _section_findings(
    document: Document, path: Path, owner: str, *, is_named: bool
) -> Iterator[Finding]:
    """Check the options of the defaults or of an environment."""
    section = document.value_at(path)
    if section is None:
        return
    if not isinstance(section, dict):
        message = f"{owner} must be a mapping of options, such as `{{hub: chat, rate: 100}}`"
        yield Finding(path, message, "value")
        return
    for key, value in section.items():
        for finding in _option_findings(key, value, owner, path, is_named=is_named):
            yield finding._replace(path=(*path, *finding.path))
    of_playbooks = {key: value for key, value in section.items() if key in OPTIONS}
    for finding in default_validator().validate_document(
        {**of_playbooks, "actions": []},
        lambda below: document.source_text((*path, *below)),
    ):
        yield finding._replace(path=(*path, *finding.path))


def _option_findings(
    key: str, value: object, owner: str, path: Path, *, is_named: bool
) -> Iterator[Finding]:
    """Check one key of a section, except the value of an option that a playbook may have."""
    if key == _VARS and path[0] == ENVIRONMENTS:
        for finding in variable_findings(value):
            yield finding._replace(path=(key, *finding.path))
    elif key not in CONFIGURATION_KEYS:
        yield Finding((key,), _unknown_option(key, owner, path), "unknown-key", at_key=True)
    elif not is_named and (message := _named_only(key, value)):
        yield Finding((key,), message, "named-only", at_key=True)
    elif key not in OPTIONS and (message := _value_error(key, value)):
        yield Finding((key,), message, "value")


def _unknown_option(key: str, owner: str, path: Path) -> str:
    if key == _VARS:
        return "`vars` belongs to an environment, or to a playbook"
    variables = (_VARS,) if path[0] == ENVIRONMENTS else ()
    return messages.unknown_key(key, (*CONFIGURATION_KEYS, *variables), owner)


def _named_only(key: str, value: object) -> str:
    """Return why an option does not count in a file that was found, or nothing."""
    if key in _NAMED_ONLY:
        what = f"`{key}`"
    elif key == CONFIRM.key and value == Confirmation.NEVER:
        what = f"`{key}: {value}`"
    else:
        return ""
    return (
        f"{what} counts only in a file that you name, since one that is found may be somebody "
        "else's; remove it here, or name the file with --config"
    )


def _value_error(key: str, value: object) -> str:
    """Return what is wrong with the value of an option that is no option of playbooks."""
    schema = CONFIGURATION_KEYS[key].schema
    if compile_schema(schema)(value):
        return ""
    if key in {HUB.key, CONNECTION.key} and isinstance(value, str):
        if "${" in value:
            return (
                f"`{key}` has no variables here; write `{key}: ${{{key}}}` in the playbook, and "
                f"`{key}` below `vars` here"
            )
        return CONNECTION_ERROR if key == CONNECTION.key else f"`{key}` {hub_error(value)}"
    if "anyOf" in schema:
        return f"`{key}` must be a string or a list of strings"
    return messages.value_error(key, schema, value, str(value))
