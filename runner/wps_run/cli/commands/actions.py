"""`wps-run actions`: list the actions, or describe one."""

import click

from wps_run.actions.reference import render_action, render_list, render_markdown
from wps_run.actions.table import ACTIONS
from wps_run.problems import UsageError, did_you_mean


def _complete_name(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in ACTIONS if name.casefold().startswith(incomplete.casefold())]


@click.command("actions")
@click.argument("name", required=False, shell_complete=_complete_name)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="Print a short list, or the whole reference as in docs/reference/actions.md.",
)
def command(name: str | None, form: str) -> None:
    """List the actions, or describe one.

    The description has the properties, the request and an example to paste.

    \b
    Example:
      wps-run actions addUserToGroup
    """
    if name is None:
        click.echo(
            render_markdown(ACTIONS) if form == "markdown" else render_list(ACTIONS), nl=False
        )
        return
    if name not in ACTIONS:
        near = did_you_mean(name, list(ACTIONS)) or "; `wps-run actions` lists them"
        raise UsageError(f"`{name}` is not an action{near}")
    click.echo(render_action(ACTIONS[name]), nl=False)
