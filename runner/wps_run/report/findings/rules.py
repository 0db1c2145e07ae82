"""What each rule is about: the name that machines see, a sentence, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wps_run.problems import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of problem.

    Attributes:
        summary: What is wrong, in one sentence.
        help: What to do about it.
        severity: How much it weighs unless `--strict` is given.
    """

    summary: str
    help: str
    severity: Severity = Severity.ERROR


def _warning(summary: str, remedy: str) -> Rule:
    return Rule(summary, remedy, Severity.WARNING)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "alias": Rule(
            "An alias names no anchor, or stands inside it.",
            "Write the anchor (`&name`) before its alias (`*name`); quote a text that begins `*`.",
        ),
        "alias-bomb": Rule(
            "Aliases stand for far more values than are written.",
            "Write the values out, in several playbooks if they are many.",
        ),
        "character": Rule(
            "A character cannot stand in YAML.",
            "Write it as an escape in double quotes, or leave it out.",
        ),
        "data": Rule(
            "`data` does not fit its `dataType`.",
            "Text and JSON are strings, JSON must parse, binary is base64; at most 1 MiB.",
        ),
        "documents": Rule(
            "The file holds more than one YAML document.",
            "Write one playbook a file; several files make one run.",
        ),
        "duplicate-key": Rule(
            "A key is in the same mapping twice.", "Keep one of them: the other would be lost."
        ),
        "empty": Rule("The file is empty.", "Write `actions:` and below it a list of actions."),
        "encoding": Rule("The file is not UTF-8.", "Save it as UTF-8."),
        "key-type": Rule("A key is not a text.", "Put it in quotes."),
        "merge": Rule(
            "A merge key takes something other than mappings.",
            "Write `<<: *name`, where the anchor names a mapping.",
        ),
        "missing": Rule(
            "Something that is needed is missing.",
            "Add it; `wps-run actions NAME` shows what an action needs.",
        ),
        "missing-action-name": Rule(
            "An action has no `actionName`.", "Add it; `wps-run actions` lists the names."
        ),
        "not-in-binding": Rule(
            "The Functions output binding does not have this.",
            "Leave it out, or check without `--binding-only`.",
        ),
        "slash-in-name": Rule(
            "A name that travels in the path has a `/`.",
            "The service reads it as `%2F`: choose another name, or say `slashInNames: allow`.",
        ),
        "surrogate": Rule("A text has half of a surrogate pair.", "Write the whole character."),
        "syntax": Rule("The file is not YAML.", "Correct it where the message says."),
        "tag": Rule("A YAML tag is unknown or does not fit.", "Leave it out."),
        "too-deep": Rule(
            "Lists and mappings lie too deep in one another.", "A playbook needs five levels."
        ),
        "type": Rule(
            "A value is of the wrong type.", "Write the type that is asked for; quote texts."
        ),
        "undefined-variable": Rule(
            "A `${…}` names no variable.",
            "Add it to `vars`, give `--var`, or write `$${` for a literal `${`.",
        ),
        "unknown-action": Rule("There is no such action.", "`wps-run actions` lists the actions."),
        "unknown-key": Rule(
            "A key is not known here.", "`wps-run actions NAME` shows what an action may have."
        ),
        "value": Rule(
            "A value does not fit.", "`wps-run actions NAME` shows what a property may hold."
        ),
        "variable-name": Rule(
            "A variable cannot have this name.",
            "Use letters, digits, `_` and `-`; `each` and `env` are taken.",
        ),
        "empty-data": _warning(
            "An empty message is sent.", "Write the message, or leave the action out."
        ),
        "many-excluded": _warning(
            "So many IDs are excluded that the URL grows too long.",
            "Put the receivers in a group and send to that.",
        ),
        "repeated-action": _warning(
            "The same action is written twice, with nothing in between that undoes it.",
            "Leave one of them out.",
        ),
        "send-after-close": _warning(
            "An action needs somebody connected after everybody was closed.",
            "Write it before the close. `onMissing: {wait: 60s}` waits for people to come back.",
        ),
        "unused-variable": _warning(
            "A variable is set that nothing uses.", "Use it as `${name}`, or leave it out."
        ),
    }
)
"""Rule name to what it is about, errors before warnings."""
