"""The command `wps-run`: which commands there are, and the way to each.

Only click is imported here, and what a failure needs when there is one. A command's module is
imported when that command is run, so that `wps-run --help` is quick and `wps-run validate` loads
no HTTP.
"""

import gc
import importlib
import os
import sys
from collections.abc import Mapping
from types import MappingProxyType

import click

from wps_run.cli.errors import run_command

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "run": "Run playbooks (the default command).",
        "validate": "Check playbooks without sending anything.",
        "plan": "Show each step and its request; send nothing.",
        "schema": "Print, write or check the JSON Schemas.",
        "actions": "List the actions, or explain one.",
        "runs": "List the recent runs, and the words that go on with them.",
        "report": "Tell a run again from its journal.",
        "client-url": "Print a URL with which a client is let in.",
        "serve": "Run the embedded service on its own.",
        "init": "Write a first playbook, its schema, and the pre-commit entry.",
    }
)
"""Command to its one-line help; its module in this package has the same name, with `_` for `-`."""

EPILOG = """\b
Examples:
  wps-run --local playbook.yaml        rehearse against the embedded service
  wps-run playbook.yaml                run against the real one
  wps-run validate playbooks/          check, as in pre-commit
  wps-run actions addUserToGroup       what an action needs, with an example

\b
Exit codes: 0 every action ok, 1 some failed or were skipped, 2 nothing was sent,
3 some may or may not have happened, 130/143 interrupted.

\b
Environment: WPS_RUN_SHARD=K/N, or WPS_RUN_SHARDS=N with JOB_COMPLETION_INDEX, says which share of
a plan to run (docs/scale-out.md).

\b
Shell completion:  eval "$(_WPS_RUN_COMPLETE=bash_source wps-run)"   (or zsh_source, fish_source)
"""


class Commands(click.Group):
    """A group whose commands are imported late, and whose default command is `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and take the command from it."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"wps_run.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front when the first word is neither a command nor an own option."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if args and args[0] not in COMMANDS and args[0] not in own:
            _refuse_misspelt(args[0])
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _refuse_misspelt(word: str) -> None:
    """Refuse a word that is no file and looks like a command."""
    from wps_run.problems import did_you_mean  # noqa: PLC0415 -- a tenth of `--help`

    near = did_you_mean(word, list(COMMANDS)) if word.replace("-", "").isalpha() else ""
    if near and not os.path.exists(word):  # noqa: PTH110 -- pathlib is a tenth of `--help`
        raise click.UsageError(f"`{word}` is neither a command nor a playbook{near}")


@click.command(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    subcommand_metavar="[run] PLAYBOOK… | COMMAND …",
)
@click.version_option(package_name="wps-run", prog_name="wps-run")
def wps_run() -> None:
    """Run batches of Azure Web PubSub actions, written as YAML playbooks.

    A playbook lists actions: who joins and leaves which group, who may do what, who hears
    what, who is cut off. wps-run checks it, shows its plan, rehearses it offline with --local,
    and runs it against the service with a result for every single action.
    """


_COLLECTED = (10_000, 20, 20)
"""How many new objects make Python look for cycles among them, and how often it looks further back.

There are many objects and hardly a cycle; the usual 700 would cost a run a tenth of its time.
"""


def entry() -> None:
    """The console script."""
    gc.set_threshold(*_COLLECTED)
    sys.exit(run_command(wps_run))
