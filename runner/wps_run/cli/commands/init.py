"""`wps-run init`: a first playbook that editors understand, and the pre-commit entry."""

from pathlib import Path

import click

from wps_run.playbook.schema import SCHEMA_FILES, schema_text
from wps_run.problems import UsageError

PLAYBOOK = "playbooks/first.yaml"
SCHEMA = "schemas/playbook.schema.json"
HOOKS = ".pre-commit-config.yaml"

FIRST = """\
# yaml-language-server: $schema=../schemas/playbook.schema.json
name: My first playbook
hub: chat

vars:
  room: lobby

actions:
  - name: Ada comes in
    actionName: addUserToGroup
    userId: ada
    group: ${room}
  - name: Everybody in the room hears of it
    actionName: sendToGroup
    group: ${room}
    data: Welcome, Ada
"""

ENTRY = """\
repos:
  - repo: local
    hooks:
      - id: wps-run-validate
        name: validate Web PubSub playbooks
        entry: wps-run validate
        language: system
        types_or: [yaml, json]
        files: (^|/)playbooks/|\\.wps\\.(yaml|yml|json)$
"""
"""Runs the wps-run that is installed, so that it needs no network and no other copy."""


@click.command("init")
@click.argument("folder", default=".", metavar="[FOLDER]")
def command(folder: str) -> None:
    """Write a first playbook into FOLDER (default: this one), and what editors and pre-commit need.

    A file that is there already is left as it is. The playbook names the schema beside it, so
    that an editor with a YAML language server completes and checks it at once, offline.

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
    playbook = root / PLAYBOOK
    click.echo(f"\nNext:\n  wps-run validate {playbook}\n  wps-run --local {playbook}")


def _write(root: Path, name: str, text: str) -> bool:
    """Write a file, unless there is one; says which. Whether it was written.

    Raises:
        UsageError: It cannot be written.
    """
    file = root / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as new:
            new.write(text)
    except FileExistsError:
        if not file.is_file():
            raise UsageError(f"`{file}` or a folder of it is there, but is not a file") from None
        click.echo(f"kept   {file}, which was there")
        return False
    except OSError as error:
        raise UsageError(f"cannot write `{file}`: {error.strerror}") from None
    click.echo(f"wrote  {file}")
    return True
