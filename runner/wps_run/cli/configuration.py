"""Click options that are made from the table, and `wps-run.yaml`, which has values for them.

Imports neither the modules that connect nor those that plan, so that `wps-run validate` is fast.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from wps_run.document.scalars import resolve_plain
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.messages import value_error
from wps_run.playbook.options import DURATION, TIMEOUT, Option
from wps_run.problems import shorten

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FILE = click.Path(readable=False)
"""The type of arguments that name a file, so that shells complete them. Nothing is checked."""


class OptionValue(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no generics
    """The value of a playbook's key, which accepts what the playbook accepts."""

    def __init__(self, option: Option) -> None:
        self.name = option.key
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        schema = self._option.schema
        plain = resolve_plain(value) if schema.get("type") != "string" else value
        if not compile_schema(schema)(plain):
            message = value_error(param.opts[0] if param else self.name, schema, plain, value)
            self.fail(shorten(message), param, ctx)
        return plain


def override_option(
    option: Option,
    path: Sequence[str] = (),
    **attributes: Any,
) -> Callable[[Decorated], Decorated]:
    """Make the click option of a row of the table that has a flag.

    Args:
        option: The row.
        path: Leads to the key in a playbook that it overrides; () if it overrides none.
        attributes: Of the click option, where the row does not say them.
    """
    overrides = f"Overrides `{'.'.join(path)}` in the playbook." if path else ""
    value_range = f"Range: {option.shown_range}." if option.shown_range else ""
    return click.option(
        str(option.flag),
        envvar=option.variable,
        show_envvar=True,
        help=" ".join(filter(None, (option.summary, value_range, overrides))),
        show_default=option.shown_default or None,
        **{**_type_of(option), **attributes},
    )


def _type_of(option: Option) -> dict[str, Any]:
    """Return the attributes of a click option that follow from the schema."""
    schema = option.schema
    if "enum" in schema:
        return {"type": click.Choice(schema["enum"])}
    if schema in (DURATION, TIMEOUT):
        return {"type": OptionValue(option), "metavar": "TIME"}
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        return {"type": OptionValue(option), "metavar": "N"}
    if kind == "boolean":
        return {"is_flag": True}
    return {"metavar": "NAME"} if kind == "string" else {"multiple": True}


def parameter_name(option: Option) -> str:
    """Return the name under which click passes the value of an option."""
    return (option.flag or "").removeprefix("--").replace("-", "_")
