"""Completion in bash, zsh and fish where that of click falls short."""

from pathlib import Path
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

_BASH_SCRIPT = r"""
%(complete_func)s() {
    local IFS=$'\n' line value response
    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
        %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    while read -r line; do
        value=${line#*,}
        case $line in
            plain,*) COMPREPLY+=("$value") ;;
            file,*) compopt -o filenames; COMPREPLY+=($(compgen -f -- "$value")) ;;
            dir,*) compopt -o filenames; COMPREPLY+=($(compgen -d -- "$value")) ;;
        esac
    done <<< "$response"
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class BashCompletion(BashComplete):
    """Completes files together with other words; the script of click offers one or the other."""

    source_template = _BASH_SCRIPT

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the arguments before the incomplete one, and that one; bash splits at `=`."""
        args, incomplete = super().get_completion_args()
        pairs = zip(["", *args], args, strict=False)
        return [arg for before, arg in pairs if arg != "=" or before[:1] != "-"], incomplete


class _JoinedValues(ShellComplete):
    """Completes the value in `--option=value`; click would replace the option by the value."""

    def get_completions(self, args: list[str], incomplete: str) -> "list[CompletionItem[Any]]":
        """Return the completions of an argument."""
        option, equals, value = incomplete.partition("=")
        if not (equals and option.startswith("--")):
            return super().get_completions(args, incomplete)
        values: list[str] = []
        for item in super().get_completions([*args, option], value):
            values += [item.value] if item.type == "plain" else _files(value)
        return [CompletionItem(f"{option}={value}") for value in dict.fromkeys(values)]


def _files(start: str) -> list[str]:
    """Return the files and folders whose path begins with a text."""
    folder, slash, name = start.rpartition("/")
    try:
        paths = sorted(Path(folder + slash).iterdir())
    except OSError:
        return []
    found = [path for path in paths if path.name.startswith(name)]
    return [f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in found]


class ZshCompletion(_JoinedValues, ZshComplete):
    """Completion in zsh."""


class FishCompletion(_JoinedValues, FishComplete):
    """Completion in fish."""


for shell in (BashCompletion, ZshCompletion, FishCompletion):
    add_completion_class(shell)
