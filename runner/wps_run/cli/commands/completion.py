"""`wps-run completion`: print or install the completion of a shell."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import click
from click.shell_completion import ShellComplete

from wps_run.cli.completion import BashCompletion, FishCompletion, ZshCompletion
from wps_run.problems import UsageError


class Shell(NamedTuple):
    """A shell, and where it looks for completions of a user.

    Attributes:
        completion: Makes the script.
        variable: The variable that moves `home`.
        home: The folder without that variable, below the home folder.
        file: The file below it.
        note: What else the shell needs, or "".
    """

    completion: type[ShellComplete]
    variable: str
    home: str
    file: str
    note: str = ""

    @property
    def script(self) -> str:
        """The script, for the names that click takes from the environment of the command."""
        completion = self.completion(click.Command("wps-run"), {}, "wps-run", VARIABLE)
        return ShellComplete.source(completion)  # that of bash would run bash to check its version

    def path(self, environment: Mapping[str, str]) -> Path:
        """Return the file in which the shell looks for the script."""
        folder = environment.get(self.variable)
        return (Path(folder) if folder else Path.home() / self.home) / self.file


VARIABLE = "_WPS_RUN_COMPLETE"
SHELLS: Mapping[str, Shell] = MappingProxyType(
    {
        "bash": Shell(
            BashCompletion,
            "XDG_DATA_HOME",
            ".local/share",
            "bash-completion/completions/wps-run",
            "it is used where the package bash-completion is installed",
        ),
        "zsh": Shell(
            ZshCompletion,
            "ZDOTDIR",
            "",
            ".zfunc/_wps-run",
            "in ~/.zshrc, before `compinit`: fpath+=(${ZDOTDIR:-~}/.zfunc)",
        ),
        "fish": Shell(
            FishCompletion, "XDG_CONFIG_HOME", ".config", "fish/completions/wps-run.fish"
        ),
    }
)


@click.command("completion")
@click.argument("name", type=click.Choice(list(SHELLS)), metavar=f"[{'|'.join(SHELLS)}]")
@click.option(
    "--install", is_flag=True, help="Write the script where the shell looks for it, for this user."
)
def command(name: str, *, install: bool) -> None:
    """Print or install the completion of a shell.

    \b
    Examples:
      wps-run completion bash --install
      eval "$(wps-run completion bash)"
      wps-run completion fish | source
    """
    shell = SHELLS[name]
    if not install:
        click.echo(shell.script, nl=False)
        return
    file = shell.path(os.environ)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shell.script, "utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot write `{file}`: {error.strerror}") from None
    click.echo(f"wrote  {file}")
    if shell.note:
        click.echo(f"note: {shell.note}", err=True)
    click.echo(f"\nIt is used in each new {name}.")
