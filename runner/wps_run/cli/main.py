"""The command `wps-run` and its table of commands.

A command's module is imported when that command runs, so that `wps-run --help` loads only click and
`wps-run validate` loads no HTTP.
"""

import gc
import importlib
import os
import sys
from collections.abc import Mapping
from types import MappingProxyType

import click

from wps_run.cli.errors import report_error
from wps_run.cli.terminal import help_width, prepare_streams

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "run": "Run playbooks (the default command).",
        "validate": "Check playbooks without sending anything.",
        "plan": "Show each step and its request without sending anything.",
        "schema": "Print, write or check the JSON Schemas.",
        "actions": "List the actions, or describe one.",
        "runs": "List the recent runs, with the commands that resume them.",
        "report": "Recreate a run's report from its journal.",
        "client-url": "Print a URL with which a WebSocket client connects.",
        "serve": "Run the emulator until it is stopped.",
        "init": "Create a first playbook, its schema and a pre-commit hook.",
    }
)
"""Command to its one-line help, which is the first line of its module's docstring, too.

The module is `commands/NAME.py`, with `_` for `-`.
"""

EPILOG = """\b
Examples:
  wps-run --local playbook.yaml        rehearse against the emulator
  wps-run playbook.yaml                run against the service
  wps-run validate playbooks/          check, as in pre-commit
  wps-run actions addUserToGroup       describe an action, with an example

\b
Exit codes: 0 all actions ok, 1 some failed or were skipped, 2 nothing was sent, 3 the outcome of
some is unknown, 129/130/143 interrupted.

\b
Environment: WPS_RUN_SHARD=K/N, or WPS_RUN_SHARDS=N with JOB_COMPLETION_INDEX, selects the shard of
a plan to run (docs/scale-out.md).

\b
Shell completion:  eval "$(_WPS_RUN_COMPLETE=bash_source wps-run)"   (or zsh_source, fish_source)
"""


class Commands(click.Group):
    """A group that imports its commands late, and whose default command is `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"wps_run.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `run` when the first argument is neither a command nor an option of the group."""
        options = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if args and args[0] not in COMMANDS and args[0] not in options:
            _reject_misspelled(args[0])
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _reject_misspelled(word: str) -> None:
    """Reject a word that is no file and resembles a command."""
    from wps_run.problems import did_you_mean  # noqa: PLC0415 -- a tenth of `--help`

    near = did_you_mean(word, list(COMMANDS)) if word.replace("-", "").isalpha() else ""
    if near and not os.path.exists(word):  # noqa: PTH110 -- pathlib is a tenth of `--help`
        raise click.UsageError(f"`{word}` is neither a command nor a playbook{near}")


@click.command(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": help_width()},
    no_args_is_help=True,
    subcommand_metavar="[run] PLAYBOOK… | COMMAND …",
)
@click.version_option(package_name="wps-run", prog_name="wps-run")
def wps_run() -> None:
    """Manage Azure Web PubSub from a reviewed YAML file.

    The file, a playbook, lists actions on groups, permissions, messages and connections. wps-run
    validates it, shows its plan, rehearses it offline with --local, and runs it against the service
    with a result for every action.
    """


_GC_THRESHOLDS = (10_000, 20, 20)
"""The cyclic garbage collector runs less often: a run has many objects and few cycles.

Python's default of 700 takes 10 % of a run's time.
"""


def entry(command: click.Command = wps_run) -> int:
    """Run a command, the console script's own by default, and return its exit code."""
    gc.set_threshold(*_GC_THRESHOLDS)
    prepare_streams()
    try:
        code = command.main(standalone_mode=False, prog_name="wps-run")
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 -- the border
        return report_error(error)
    return code if isinstance(code, int) else 0
