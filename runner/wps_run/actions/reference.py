"""Render the action table as text: the docs page, a list, a description and an example to paste."""

import json
from collections.abc import Iterable, Mapping

from wps_run.actions.fields import Field, FieldType, Origin
from wps_run.actions.names import argument_name, class_name
from wps_run.actions.table import Action, Repeat

_REPEAT = {
    Repeat.IDEMPOTENT: "idempotent: sent again when no response arrives",
    Repeat.SEND: "not idempotent: not sent again when it may have taken effect",
    Repeat.SCOPE_CLOSE: "unsafe to repeat: not sent again when it may have taken effect",
}

_CONFIRMATION = "A run asks for confirmation first, or needs `--yes`, unless the hub is local."


def render_markdown(actions: Mapping[str, Action]) -> str:
    """Render the page `docs/reference/actions.md`."""
    rows = "\n".join(_table_row(action) for action in actions.values())
    sections = "\n".join(_section(action) for action in actions.values())
    return f"""# Actions

Generated from the action table by `wps-run actions --format markdown`. Do not edit.

Properties in *italics* are optional. A † marks what the Functions output binding does not have, but
only the REST API, or (`dataJson`) only a playbook; `wps-run validate --binding-only` rejects it.

| actionName | what it does | properties | request | success | repeated |
|---|---|---|---|---|---|
{rows}

{sections}"""


def _table_row(action: Action) -> str:
    mark = " †" if action.origin is Origin.REST else ""
    properties = ", ".join(_property(field) for field in action.fields)
    success = ", ".join(map(str, action.success))
    request = f"`{action.method} {action.path.removeprefix('/api/hubs/{hub}')}`"
    return (
        f"| `{action.name}`{mark} | {action.summary} | {properties} | {request} | {success} "
        f"| {action.repeat} |"
    )


def _property(field: Field) -> str:
    mark = "" if field.origin is Origin.BINDING else " †"
    return f"`{field.name}`{mark}" if field.required else f"*`{field.name}`*{mark}"


def _section(action: Action) -> str:
    rows = "\n".join(
        f"| `{field.name}` | {'yes' if field.required else 'no'} | {_meaning(field)} |"
        for field in action.fields
    )
    alternatives = render_alternatives(action)
    if alternatives:
        alternatives = f"\nIn a playbook also:\n\n```yaml\n{alternatives}```\n"
    confirmation = f"\n\n{_CONFIRMATION}" if action.is_destructive else ""
    return f"""## {action.name}

{action.summary} REST operation `{action.operation}`; {_REPEAT[action.repeat]}.{confirmation}

| property | required | meaning |
|---|---|---|
{rows}

```yaml
{render_example(action)}```
{alternatives}
In Python: `{render_call(action)}`
"""


def _meaning(field: Field) -> str:
    parts = [field.summary]
    parts += [f"`{value}`: {meaning}" for value, meaning in field.choices.items()]
    if field.minimum is not None:
        parts.append(f"From {field.minimum} to {field.maximum}.")
    return " ".join(parts)


def render_list(actions: Mapping[str, Action]) -> str:
    """Render one aligned line for each action, for a terminal."""
    width = max(map(len, actions))
    lines = [f"{name:{width}}  {action.summary}" for name, action in actions.items()]
    return "\n".join(lines) + "\n"


def render_action(action: Action) -> str:
    """Render the description of one action with an example to paste, for a terminal."""
    width = max((len(field.name) for field in action.fields), default=0)
    lines = [
        f"{action.name}: {action.summary}",
        "",
        f"  request   {action.method} {action.path}",
        f"  success   {', '.join(map(str, action.success))}",
        f"  repeated  {_REPEAT[action.repeat]}",
        f"  origin    {_origin(action)}",
        f"  REST      {action.operation}",
        f"  Python    {render_call(action)}",
        *([f"  confirm   {_CONFIRMATION}"] if action.is_destructive else []),
        "",
        "Properties:",
    ]
    for field in action.fields:
        optional = "" if field.required else "(optional) "
        lines.append(f"  {field.name:{width}}  {optional}{_meaning(field)}")
    lines += ["", "Example:", "", render_example(action)]
    if alternatives := render_alternatives(action):
        lines += ["In a playbook also:", "", alternatives]
    return "\n".join(lines)


def _origin(action: Action) -> str:
    if action.origin is Origin.REST:
        return "REST API only; the Functions output binding does not have it"
    parts = ["Functions output binding"]
    for origin, owner in ((Origin.REST, "REST API"), (Origin.PLAYBOOK, "playbooks")):
        names = ", ".join(field.name for field in action.fields_of(origin))
        parts += [f"{names}: {owner} only"] if names else []
    return "; ".join(parts)


def render_example(action: Action) -> str:
    """Render the action as in a playbook, with every required property."""
    return _example_of(action, [field for field in action.fields if field.required])


def render_call(action: Action) -> str:
    """Render the action in Python, with every required property."""
    arguments = (
        f"{argument_name(field.name)}={json.dumps(field.example)}"
        for field in action.fields
        if field.required
    )
    return f"{class_name(action.name)}({', '.join(arguments)})"


def render_alternatives(action: Action) -> str:
    """Render a playbook with the action, once for each property that replaces another; or ""."""
    required = [field for field in action.fields if field.required]
    examples = [
        _example_of(action, [field if one.name == field.replaces else one for one in required])
        for field in action.fields
        if field.replaces
    ]
    return "".join(["actions:\n", *examples]) if examples else ""


def _example_of(action: Action, fields: Iterable[Field]) -> str:
    lines = [f"- actionName: {action.name}"]
    lines += [f"  {field.name}: {_example(field)}" for field in fields]
    return "\n".join(lines) + "\n"


def _example(field: Field) -> str:
    if field.type is FieldType.STRINGS and isinstance(field.example, tuple):
        return "[" + ", ".join(field.example) + "]"
    if isinstance(field.example, Mapping):
        return "{" + ", ".join(f"{key}: {value}" for key, value in field.example.items()) + "}"
    text = str(field.example)
    return json.dumps(text) if "'" in text else text
