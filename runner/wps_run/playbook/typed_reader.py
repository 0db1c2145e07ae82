"""Make a typed action from its JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wps_run.actions.names import argument_name
from wps_run.playbook.action_classes import ACTIONS
from wps_run.playbook.model import ActionTemplate, read_playbook
from wps_run.playbook.typed import TypedAction
from wps_run.problems import PlaybookError, Problem


def action_from(mapping: Mapping[str, Any]) -> TypedAction:
    """Return the typed action for an action in JSON, as a function passes it to its output.

    Args:
        mapping: `actionName` and the properties, in any letter case, as the Functions host reads
            them. Null is what is not given. Binary data is `bytes`, base64, or the JSON of a Node
            Buffer.

    Raises:
        PlaybookError: The mapping is not a valid action, or has options of a playbook.
    """
    template = _read(mapping)
    others = [*template.options, *(["tags"] if template.tags else [])]
    others += ["name"] if template.label is not None else []
    if others:
        raise PlaybookError(
            Problem(f"`{key}` is for an action of a playbook; leave it out", "unknown-key")
            for key in others
        )
    values = {argument_name(name): value for name, value in template.values.items()}
    return ACTIONS[template.action.name](**values)


def _read(mapping: Mapping[str, Any]) -> ActionTemplate:
    """Read a mapping as a bare batch with one action."""
    try:
        text = json.dumps([mapping], default=_json_form, allow_nan=False)
        playbook = read_playbook(text, "action.json")
        problems: Sequence[Problem] = playbook.problems
    except PlaybookError as error:
        problems = error.problems
    except (TypeError, ValueError, RecursionError) as error:
        problems = [Problem(f"an action is a mapping of JSON values ({error})", "type")]
    else:
        if not problems:
            return playbook.actions[0]
    raise PlaybookError(each._replace(position=None, line="") for each in problems)


def _json_form(value: object) -> object:
    """Return what JSON has for a value of another type.

    Raises:
        TypeError: It has nothing.
    """
    if isinstance(value, bytes | bytearray):
        return {"type": "Buffer", "data": list(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a type of JSON")
