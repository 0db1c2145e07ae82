"""`wps-run help`: show how a command is used."""

import click

from wps_run.problems import UsageError, did_you_mean


def _complete_name(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    group = context.find_root().command
    names = group.list_commands(context) if isinstance(group, click.Group) else ()
    return [name for name in names if name.startswith(incomplete)]


@click.command("help")
@click.argument("name", required=False, metavar="[COMMAND]", shell_complete=_complete_name)
@click.pass_context
def command(context: click.Context, name: str | None) -> None:
    """Show the help of wps-run, or of a command.

    \b
    Example:
      wps-run help plan
    """
    program = context.find_root()
    group = program.command
    if name is None or not isinstance(group, click.Group):
        click.echo(program.get_help())
        return
    described = group.get_command(program, name)
    if described is None:
        near = did_you_mean(name, group.list_commands(program)) or "; `wps-run help` lists them"
        raise UsageError(f"`{name}` is not a command{near}")
    click.echo(described.get_help(click.Context(described, parent=program, info_name=name)))
