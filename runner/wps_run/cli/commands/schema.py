"""`wps-run schema`: print, write or check the JSON Schemas."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from wps_run import input_limits
from wps_run.cli.configuration import FILE
from wps_run.cli.terminal import show_message
from wps_run.playbook.catalog import schema_catalog
from wps_run.playbook.files import read_input
from wps_run.playbook.rows import InputError
from wps_run.playbook.schema import SCHEMA_FILES, schema_text
from wps_run.problems import UsageError
from wps_run.report.record_schema import result_schema
from wps_run.text import Label

OUTDATED = 1

_FILES: Mapping[str, Callable[[], dict[str, Any]]] = {
    **SCHEMA_FILES,
    "result.schema.json": result_schema,
    "catalog.json": schema_catalog,
}
_NAMES = {file.partition(".")[0]: file for file in _FILES}


@click.command("schema")
@click.argument(
    "name",
    required=False,
    type=click.Choice(list(_NAMES)),
    metavar=f"[{'|'.join(_NAMES)}]",  # as every version of click shows it
)
@click.option(
    "--write",
    "folder",
    type=FILE,
    metavar="FOLDER",
    help="Write all schemas into FOLDER, and print nothing.",
)
@click.option(
    "--check",
    "checked",
    type=FILE,
    metavar="FOLDER",
    help="Exit with 1 if the schemas in FOLDER are outdated.",
)
def command(name: str | None, folder: str | None, checked: str | None) -> int:
    """Print, write or check the JSON Schemas.

    Prints the schema of playbooks (`playbook`, the default), of bare batches (`actions`), of
    wps-run.yaml (`config`), or of the records in ndjson, JSON and journals (`result`); `catalog`
    lists their addresses and the names of files that they are for, as SchemaStore does. Editors
    find the schema of a file by a line in it:

    # yaml-language-server: $schema=../schemas/playbook.schema.json

    \b
    Example:
      wps-run schema --write schemas
    """
    if folder is not None:
        _write(Path(folder))
        return 0
    if checked is not None:
        return _check(Path(checked))
    click.echo(schema_text(_FILES[_NAMES[name or "playbook"]]()), nl=False)
    return 0


def _write(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, make in _FILES.items():
            (folder / file).write_text(schema_text(make()), encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot write into `{folder}`: {error.strerror}") from None


def _check(folder: Path) -> int:
    try:
        list(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot read the folder `{folder}`: {error.strerror}") from None
    outdated = [
        file for file, make in _FILES.items() if _read(folder / file) != schema_text(make())
    ]
    for file in outdated:
        click.echo(f"{folder / file} differs from what this version writes")
    if outdated:
        show_message(Label.HINT, f"run `wps-run schema --write {folder}`")
        return OUTDATED
    return 0


def _read(file: Path) -> str | None:
    try:
        return read_input(file, input_limits.PLAYBOOK).decode()
    except (OSError, ValueError, InputError):
        return None
