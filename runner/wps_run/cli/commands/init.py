"""`wps-run init`: create a first playbook, its schema and a pre-commit hook."""

from pathlib import Path

import click

from wps_run.cli.configuration import FILE
from wps_run.cli.terminal import shell_line
from wps_run.playbook.schema import SCHEMA_FILES, schema_text
from wps_run.problems import UsageError

PLAYBOOK = "playbooks/first.yaml"
SCHEMA = "schemas/playbook.schema.json"
HOOKS = ".pre-commit-config.yaml"

FIRST = """\
# yaml-language-server: $schema=../schemas/playbook.schema.json
name: My first playbook
hub: chat

groups:
  lobby:
    users: [ada]

actions:
  - name: Welcome everybody in the lobby
    actionName: sendToGroup
    group: lobby
    data: Welcome

expect:
  - message: Welcome
    receivedBy: [ada]
"""

ENTRY = """\
repos:
  - repo: local
    hooks:
      - id: wps-run-validate
        name: validate Web PubSub playbooks
        entry: wps-run validate --
        language: system
        types_or: [yaml, json]
        files: (^|/)playbooks/|\\.wps\\.(yaml|yml|json)$
"""
"""Runs the installed wps-run, so that the hook needs no network."""


@click.command("init")
@click.argument("folder", default=".", type=FILE, metavar="[FOLDER]")
def command(folder: str) -> None:
    """Create a first playbook, its schema and a pre-commit hook.

    The files go into FOLDER, by default the current one. Existing files are not changed. The
    playbook refers to the schema, so that an editor with a YAML language server completes and
    checks it offline.

    \b
    Example:
      wps-run init demo
    """
    root = Path(folder)
    _write(root, PLAYBOOK, FIRST)
    _write(root, SCHEMA, schema_text(SCHEMA_FILES["playbook.schema.json"]()))
    if not _write(root, HOOKS, ENTRY):
        click.echo(f"\nIf {root / HOOKS} has no such hook yet, add it to its `repos`:\n")
        click.echo(ENTRY.removeprefix("repos:\n"), nl=False)
    playbook = shell_line([str(root / PLAYBOOK)])
    click.echo(f"\nNext:\n  wps-run validate {playbook}\n  wps-run --local {playbook}")


def _write(root: Path, name: str, text: str) -> bool:
    """Write a file unless it exists, and print which; return whether it was written.

    Raises:
        UsageError: The file cannot be written.
    """
    file = root / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as new:
            new.write(text)
    except FileExistsError:
        if not file.is_file():
            raise UsageError(f"`{file}` or one of its folders exists, but is no file") from None
        click.echo(f"exists {file}, so it is not changed")
        return False
    except OSError as error:
        raise UsageError(f"cannot write `{file}`: {error.strerror}") from None
    click.echo(f"wrote  {file}")
    return True
