"""Write typed actions as JSON: for the Functions output binding, and as a bare batch."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import to_builtins
from msgspec.json import Encoder

from wps_run.actions.fields import DATA
from wps_run.actions.names import argument_name
from wps_run.actions.table import ACTIONS
from wps_run.playbook.messages import NOT_IN_BINDING, not_in_binding
from wps_run.playbook.typed import TypedAction
from wps_run.problems import PlaybookError, Problem, limited

_ENCODER = Encoder()


def to_binding(actions: Iterable[TypedAction]) -> str:
    """Return actions as the JSON text that a `webPubSub` output of Azure Functions takes.

    Args:
        actions: The actions, which the Functions host runs in their order.

    Returns:
        A compact JSON array. Binary data is in it as the JSON of a Node Buffer: the host refuses
        base64. Source: the extension `Microsoft.Azure.WebJobs.Extensions.WebPubSub`.

    Raises:
        PlaybookError: The binding does not have an action or one of its properties; the host
            would ignore a property that it does not know. Run such actions with wps-run.
        TypeError: Something else is in `actions`.
    """
    batch = _checked(actions)
    problems = (problem for index, each in enumerate(batch) for problem in _problems(index, each))
    if first := limited(problems):
        raise PlaybookError(first)
    return _ENCODER.encode([_binding_item(action) for action in batch]).decode()


def batch_text(actions: Iterable[TypedAction | Mapping[str, Any]]) -> str:
    """Return actions, typed or in JSON, as a bare batch for `read_playbook`.

    Returns:
        A JSON array in which action N is on line N, counted from 1. Bytes are written as base64.

    Raises:
        TypeError, ValueError, RecursionError: A mapping has a value that JSON does not have.
    """
    lines = _ENCODER.encode_lines(actions).decode()
    return "[" + lines.rstrip("\n").replace("\n", ",\n") + "]"


def _checked(actions: Iterable[TypedAction]) -> list[TypedAction]:
    batch = list(actions)
    for action in batch:
        if not isinstance(action, TypedAction):
            raise TypeError(
                f"expected typed actions such as `SendToAll(data=…)`, not {type(action).__name__}; "
                "`action_from` makes one from a mapping"
            )
    return batch


def _problems(index: int, action: TypedAction) -> Iterator[Problem]:
    row = ACTIONS[action.action_name]
    given = {
        field.name
        for field in row.service_fields
        if getattr(action, argument_name(field.name)) not in (None, ())
    }
    for _, message in not_in_binding(row, given):
        yield Problem(f"action {index + 1}: {message}", NOT_IN_BINDING)


def _binding_item(action: TypedAction) -> TypedAction | dict[str, Any]:
    data = getattr(action, DATA.name, None)
    if not isinstance(data, bytes):
        return action
    return {**to_builtins(action), DATA.name: {"type": "Buffer", "data": list(data)}}
