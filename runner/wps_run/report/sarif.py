"""The problems that `validate` finds as a SARIF log, for code scanning services.

Source: OASIS Static Analysis Results Interchange Format (SARIF) version 2.1.0.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from wps_run.problems import Position, Problem, Severity
from wps_run.report.findings import indented_json

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def format_sarif(problems: Sequence[Problem], file_count: int) -> str:
    """Return a log with one run: the rules that have problems, with their help, and the problems.

    Columns count characters, not UTF-16 units, which are SARIF's default; the log says so.
    """
    del file_count  # a log has no place for it
    rules = list(dict.fromkeys(problem.rule for problem in problems))
    run = {
        "tool": {"driver": {"name": "wps-run", "rules": [_rule(name) for name in rules]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, rules.index(problem.rule)) for problem in problems],
    }
    return indented_json({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(name: str) -> dict[str, Any]:
    rule = RULES.get(name)
    if rule is None:
        return {"id": name}
    return {
        "id": name,
        "shortDescription": {"text": rule.summary},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(problem: Problem, rule_index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": problem.rule,
        "ruleIndex": rule_index,
        "level": problem.severity,
        "message": {"text": problem.message},
    }
    if problem.position is not None:
        result["locations"] = [_location(problem.position, problem.width)]
    return result


def _location(position: Position, width: int) -> dict[str, Any]:
    region = {"startLine": position.line}
    if position.column:
        region |= {"startColumn": position.column, "endColumn": position.column + width}
    location = {"artifactLocation": {"uri": _uri(position.file)}, "region": region}
    return {"physicalLocation": location}


def _uri(file: str) -> str:
    """Return the file as a relative reference, in which `a:b.yaml` does not read as a scheme."""
    return quote(file.replace("\\", "/"), errors="surrogateescape")


class Rule(NamedTuple):
    """A rule of `validate`.

    Attributes:
        summary: What is wrong, in one sentence.
        help: What to do about it.
        severity: The severity of its problems without `--strict`.
    """

    summary: str
    help: str
    severity: Severity = Severity.ERROR


def _warning(summary: str, help_text: str) -> Rule:
    return Rule(summary, help_text, Severity.WARNING)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "alias": Rule(
            "An alias names no anchor, or is inside its anchor.",
            "Write the anchor (`&name`) before its alias (`*name`); quote a text that "
            "starts with `*`.",
        ),
        "alias-bomb": Rule(
            "Aliases expand to far more values than the file contains.",
            "Write the values out, in several playbooks if they are many.",
        ),
        "character": Rule(
            "YAML does not allow a character.",
            "Write it as an escape in double quotes, or leave it out.",
        ),
        "data": Rule(
            "`data` does not fit its `dataType`.",
            "Write text and valid JSON as strings, and binary data as base64; at most 1 MiB.",
        ),
        "documents": Rule(
            "The file holds more than one YAML document.",
            "Write one playbook per file; one run can take several files.",
        ),
        "duplicate-key": Rule(
            "A mapping has the same key twice.", "Keep one of them: the other would be ignored."
        ),
        "empty": Rule("The file is empty.", "Write `actions:` and below it a list of actions."),
        "encoding": Rule("The file is not UTF-8.", "Save it as UTF-8."),
        "foreign-file": Rule(
            "The file is of another kind, such as a Kubernetes resource.",
            "Name a playbook: a mapping with the list `actions`, or a list of actions.",
        ),
        "key-type": Rule("A key is not a string.", "Put it in quotes."),
        "merge": Rule(
            "The value of a merge key is not a mapping.",
            "Write `<<: *name`, where the anchor is on a mapping.",
        ),
        "missing": Rule(
            "A required property is missing.",
            "Add it; `wps-run actions NAME` shows the properties of an action.",
        ),
        "missing-action-name": Rule(
            "An action has no `actionName`.", "Add it; `wps-run actions` lists the names."
        ),
        "not-in-binding": Rule(
            "The Functions output binding does not have this property or action.",
            "Remove it, or check without `--binding-only`.",
        ),
        "slash-in-name": Rule(
            "A name that is part of the request path has a `/`.",
            "The service reads it as `%2F`: use another name, or set `slashInNames: allow`.",
        ),
        "surrogate": Rule("A string has half of a surrogate pair.", "Write the whole character."),
        "syntax": Rule("The file is not valid YAML or JSON.", "Correct it where the message says."),
        "tag": Rule("A YAML tag is unknown or does not fit its value.", "Remove it."),
        "too-deep": Rule(
            "Lists and mappings are nested too deeply.", "A playbook needs five levels."
        ),
        "type": Rule(
            "A value has the wrong type.", "Write the type that the message names; quote strings."
        ),
        "filter": Rule(
            "A filter is not valid.",
            "Write an OData expression, such as `userId eq 'ada' and 'red' in groups`.",
        ),
        "filter-value": Rule(
            "A variable outside quotes of a filter is a text.",
            "Write it in single quotes: `userId eq '${name}'`.",
        ),
        "secret-variable": Rule(
            "A `${env.NAME}` names an environment variable that holds a secret.",
            "Use another variable, or allow it with `--allow-env NAME`.",
        ),
        "undefined-variable": Rule(
            "A `${…}` names an unknown variable.",
            "Add it to `vars`, use `--var`, or write `$${` for a literal `${`.",
        ),
        "unknown-action": Rule("There is no such action.", "`wps-run actions` lists the actions."),
        "unknown-key": Rule(
            "A key is unknown here.", "`wps-run actions NAME` shows the properties of an action."
        ),
        "value": Rule(
            "A value is not allowed.", "`wps-run actions NAME` shows the values of a property."
        ),
        "variable-name": Rule(
            "The name of a variable is not allowed.",
            "Use letters, digits, `_` and `-`; `each` and `env` are reserved.",
        ),
        "blanks": _warning(
            "A name has blanks around it, which are part of it.", "Remove them from the cells."
        ),
        "empty-data": _warning(
            "The action sends an empty message.", "Write the message, or remove the action."
        ),
        "late-change": _warning(
            "An action may change a live group after it was read for the rows of a later action.",
            "Run the later action in a run of its own.",
        ),
        "long-filter": _warning(
            "A filter makes the URL too long.",
            "Add the receivers to a group with `addConnectionsToGroups`, and send to the group.",
        ),
        "many-excluded": _warning(
            "The list of excluded IDs makes the URL too long.",
            "Add the recipients to a group and send to the group.",
        ),
        "no-actions": _warning(
            "The list of actions is empty.", "Add actions, or run another file."
        ),
        "no-rows": _warning(
            "An action has no rows, so it does nothing.", "Add rows, or remove the action."
        ),
        "placeholder": _warning(
            "A placeholder such as `{{ x }}`, `$X` or `%X%` is not replaced.",
            "Write `${x}` for a variable, `${each.x}` for a cell, `${env.X}` for the environment.",
        ),
        "repeated-action": _warning(
            "An action is repeated, and no action in between undoes it.", "Remove one of them."
        ),
        "send-after-close": _warning(
            "An action needs connections that an earlier action closed.",
            "Move it before the close. `onMissing: {wait: 60s}` waits for clients to reconnect.",
        ),
        "undone-action": _warning(
            "An action undoes an earlier one, and no action in between needs it.",
            "Remove both, or write the one that removes first.",
        ),
        "unset-environment": _warning(
            "An environment variable is not set.",
            "Set it for the run, in the environment or in the file of `--settings`.",
        ),
        "unused-variable": _warning(
            "A variable is not used.", "Use it as `${name}`, or remove it."
        ),
    }
)
"""Name to rule, errors before warnings."""
