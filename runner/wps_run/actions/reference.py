"""The action table in words: the docs page, a listing, and an example to paste."""

import json
from collections.abc import Mapping

from wps_run.actions.fields import Field, FieldType
from wps_run.actions.table import Action, Origin, Repeat

_REPEAT = {
    Repeat.IDEMPOTENT: "idempotent: it is sent again when no answer came",
    Repeat.SEND: "not idempotent: it is not sent again when it may have happened",
    Repeat.SCOPE_CLOSE: "not harmless to repeat: it is not sent again when it may have happened",
}


def markdown(actions: Mapping[str, Action]) -> str:
    """The page `docs/actions.md`."""
    rows = "\n".join(_row(action) for action in actions.values())
    details = "\n".join(_section(action) for action in actions.values())
    return f"""# Actions

Generated from the action table by `wps-run actions --format markdown`. Do not edit.

Properties in *italics* may be left out. A † marks what the REST API has and the Functions
output binding has not; `wps-run validate --binding-only` refuses it.

| actionName | what it does | properties | request | success | repeated |
|---|---|---|---|---|---|
{rows}

{details}"""


def _row(action: Action) -> str:
    mark = " †" if action.origin is Origin.REST else ""
    properties = ", ".join(_property(action, one) for one in action.fields)
    success = ", ".join(map(str, action.success))
    request = f"`{action.method} {action.path.removeprefix('/api/hubs/{hub}')}`"
    return (
        f"| `{action.name}`{mark} | {action.summary} | {properties} | {request} | {success} "
        f"| {action.repeat} |"
    )


def _property(action: Action, one: Field) -> str:
    mark = " †" if one.name in action.rest_fields else ""
    return f"`{one.name}`{mark}" if one.required else f"*`{one.name}`*{mark}"


def _section(action: Action) -> str:
    rows = "\n".join(
        f"| `{one.name}` | {'yes' if one.required else 'no'} | {_meaning(one)} |"
        for one in action.fields
    )
    return f"""## {action.name}

{action.summary} REST operation `{action.operation}`; {_REPEAT[action.repeat]}.

| property | required | meaning |
|---|---|---|
{rows}

```yaml
{example(action)}```
"""


def _meaning(one: Field) -> str:
    parts = [one.summary]
    parts += [f"`{value}`: {meaning}" for value, meaning in one.choices.items()]
    if one.least is not None:
        parts.append(f"From {one.least} to {one.most}.")
    return " ".join(parts)


def listing(actions: Mapping[str, Action]) -> str:
    """One line an action, aligned, for a terminal."""
    width = max(map(len, actions))
    lines = [f"{name:{width}}  {action.summary}" for name, action in actions.items()]
    return "\n".join(lines) + "\n"


def description(action: Action) -> str:
    """All about one action, with an example to paste, for a terminal."""
    width = max((len(one.name) for one in action.fields), default=0)
    lines = [
        f"{action.name}: {action.summary}",
        "",
        f"  request   {action.method} {action.path}",
        f"  success   {', '.join(map(str, action.success))}",
        f"  repeated  {_REPEAT[action.repeat]}",
        f"  origin    {_origin(action)}",
        f"  REST      {action.operation}",
        "",
        "Properties:",
    ]
    for one in action.fields:
        need = "" if one.required else "(optional) "
        lines.append(f"  {one.name:{width}}  {need}{_meaning(one)}")
    lines += ["", "Example:", "", example(action)]
    return "\n".join(lines)


def _origin(action: Action) -> str:
    if action.origin is Origin.REST:
        return "REST API only; the Functions output binding does not have it"
    extra = [one.name for one in action.fields if one.name in action.rest_fields]
    return "Functions output binding" + (f"; {', '.join(extra)}: REST API only" if extra else "")


def example(action: Action) -> str:
    """The action as a playbook writes it, with every required property."""
    lines = [f"- actionName: {action.name}"]
    lines += [f"  {one.name}: {_scalar(one)}" for one in action.fields if one.required]
    return "\n".join(lines) + "\n"


def _scalar(one: Field) -> str:
    if one.shape is FieldType.STRINGS and isinstance(one.example, tuple):
        return "[" + ", ".join(one.example) + "]"
    text = str(one.example)
    return json.dumps(text) if "'" in text else text
