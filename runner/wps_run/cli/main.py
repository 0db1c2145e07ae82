"""The command `wps-run` and its table of commands.

A command's module is imported when that command runs, so that `wps-run --help` loads only click and
`wps-run validate` loads no HTTP.
"""

import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from wps_run.cli.errors import report_error
from wps_run.cli.terminal import help_width, prepare_streams

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "run": "Run playbooks (the default command).",
        "validate": "Check playbooks without sending anything.",
        "plan": "Show each step and its request without sending anything.",
        "show": "Show who is in a group, and whether a user or connection is there.",
        "snapshot": "Write the people in groups as a seed for rehearsals.",
        "verify": "Check what playbooks expect, without running their actions.",
        "schema": "Print, write or check the JSON Schemas.",
        "actions": "List the actions, or describe one.",
        "diff": "Show what a run would change on the live service.",
        "runs": "List the recent runs, with the commands that resume them.",
        "resolve": "Record what became of actions whose result is unknown.",
        "report": "Recreate a run's report from its journal.",
        "client-url": "Print a URL with which a WebSocket client connects, or one for each row.",
        "serve": "Run the emulator until it is stopped.",
        "listen": "Answer the events of the service from `groups`, so that membership lasts.",
        "config": "Show the options in force, and where each comes from.",
        "init": "Create a first playbook, its schema and a pre-commit hook.",
        "completion": "Print or install the completion of a shell.",
        "help": "Show the help of wps-run, or of a command.",
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
  wps-run show group launch            show who is in a group
  wps-run actions addUserToGroup       describe an action, with an example

\b
Exit codes: 0 all actions ok, 1 some failed or were skipped, 2 nothing was sent, 3 the outcome of
some is unknown, 129/130/143 interrupted.

\b
Environment: WPS_RUN_ENV=prod stands for --env prod, and so on; the help of a command shows which
options have a variable. WPS_RUN_SHARD=K/N, or WPS_RUN_SHARDS=N with JOB_COMPLETION_INDEX, selects
the shard of a plan to run (docs/how-to/scale-out.md).

\b
Shell completion: wps-run completion bash --install (or zsh, fish). Manual page: man wps-run.
"""


class Commands(click.Group):
    """A group that imports its commands late, and whose default command is `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        return self._command(cmd_name) if cmd_name in COMMANDS else None

    def _command(self, cmd_name: str) -> click.Command:
        module = importlib.import_module(f"wps_run.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command first: the one that is named, else `run`.

        Options of the default command may be in front of the command's name. Without arguments,
        the help is the error, in each version of click.
        """
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True, color=ctx.color)
            ctx.exit(2)
        options = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if args and args[0] not in COMMANDS and args[0] not in options:
            place = self._first_word(args)
            word = args[place] if place < len(args) else ""
            if word in COMMANDS:
                args = [word, *args[:place], *args[place + 1 :]]
            else:
                if not ctx.resilient_parsing:
                    _reject_misspelled(word)
                args = ["run", *args]
        return super().parse_args(ctx, args)

    def _first_word(self, args: Sequence[str]) -> int:
        """Return the index of the first argument that is no option of `run` and no value of one.

        Behind an option of another command, it is the name of that command. There is none behind
        an unknown option, which may have a value.
        """
        if not args[0].startswith("-"):
            return 0
        from wps_run.cli.options import option_names, split_arguments  # noqa: PLC0415 -- with `run`

        run, index = self._command("run"), 0
        known = option_names(run)
        for option, words in split_arguments(run, args):
            if option is None:
                return index
            if option not in known:
                return self._name_of_owner(option, args, index)
            index += len(words)
        return len(args)

    def _name_of_owner(self, option: str, args: Sequence[str], start: int) -> int:
        """Return the index of the first command in the arguments that has an option."""
        from wps_run.cli.options import option_names  # noqa: PLC0415 -- with a command

        for index in range(start, len(args)):
            if args[index] in COMMANDS and option in option_names(self._command(args[index])):
                return index
        return len(args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete commands, and what completes the default command: its options and files."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 -- shells only

        items = super().shell_complete(ctx, incomplete)
        if not incomplete.startswith("-"):
            return [*items, CompletionItem(incomplete, type="file")]
        names = {item.value for item in items}
        run = self._command("run")
        run_context = click.Context(run, parent=ctx, info_name="run", resilient_parsing=True)
        options = run.shell_complete(run_context, incomplete)
        return items + [item for item in options if item.value not in names]


def _reject_misspelled(word: str) -> None:
    """Reject a word that is no file and can only be meant as a command."""
    if not word.replace("-", "").isalpha() or os.path.exists(word):  # noqa: PTH110 -- pathlib is a tenth of `--help`
        return
    from wps_run.problems import did_you_mean  # noqa: PLC0415 -- a tenth of `--help`

    near = did_you_mean(word, list(COMMANDS)) or "; `wps-run help` lists the commands"
    raise click.UsageError(f"`{word}` is neither a command nor a playbook{near}")


@click.command(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": help_width()},
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
        if "_WPS_RUN_COMPLETE" in os.environ:
            importlib.import_module("wps_run.cli.completion")
        code = command.main(standalone_mode=False, prog_name="wps-run")
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 -- the border
        return report_error(error)
    return code if isinstance(code, int) else 0
