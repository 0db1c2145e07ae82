"""`wps-run show`: show who is in a group, and whether a user or connection is there."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import click

from wps_run.actions.fields import PERMISSION
from wps_run.cli.configuration import configured
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.options import HubAccess, hub_access, hub_options, records_option
from wps_run.cli.service import open_reader, shown_command
from wps_run.cli.terminal import columns_of, use_utf8_stdout
from wps_run.playbook.live import LiveConnection
from wps_run.problems import UsageError
from wps_run.reading import check_name, check_permission
from wps_run.report.records import line
from wps_run.report.values import CUT_AT, value_text
from wps_run.state.reader import StateReader
from wps_run.text import display_width, pad

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

KINDS = ("group", "user", "connection", "permission")

ANONYMOUS = "(anonymous)"
"""What stands for the user of an anonymous connection. A user with this name is in quotes."""

CONNECTION = "CONNECTION"
"""The head of the column of connection IDs."""

NOT_THERE = 1
"""The exit code when something is not there."""


def _complete_names(
    context: click.Context, _: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Complete the name of a permission, behind the connection."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 -- shells only

    is_permission = context.params.get("kind") == "permission"
    if not is_permission or len(context.params.get("names") or ()) != 1:
        return []
    return [CompletionItem(name) for name in PERMISSION.choices if name.startswith(incomplete)]


@click.command("show")
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.argument("names", nargs=-1, metavar="NAME…", shell_complete=_complete_names)
@hub_options
@records_option
@log_options
def command(kind: str, names: tuple[str, ...], **values: Any) -> int:
    """Show who is in a group, and whether a user or connection is there.

    Asks the service, and changes nothing. KIND NAME… is one of:

    \b
      group NAME…                            the connections in a group, and their users
      user ID…                               whether a user has a connection
      connection ID…                         whether a connection is open
      permission CONNECTION PERMISSION GROUP whether a connection may send to a group
                                             (sendToGroup), or join and leave it
                                             (joinLeaveGroup)

    A group is there while it has a connection. The exit code is 0 if all of it is there, 1 if
    something is not, and 2 if it cannot be read.

    \b
    Examples:
      wps-run show group launch
      wps-run show user ada grace && echo both are connected
      wps-run show permission "$connection" sendToGroup launch
      wps-run show group launch --output ndjson | jq -r .userId
    """
    _check_names(kind, names)
    names = names if kind == "permission" else tuple(dict.fromkeys(names))
    access = hub_access(configured(values))
    context = click.get_current_context()
    context.with_resource(
        logging_to_stderr(values["log_level"], verbose=values["verbose"], secrets=access.secrets)
    )
    if values["output"] != "text":
        use_utf8_stdout()
    return asyncio.run(_show(kind, names, access, _PRINTERS[values["output"]](access)))


def _check_names(kind: str, names: Sequence[str]) -> None:
    """Refuse names that no client can have, or that cannot be asked for.

    Raises:
        UsageError: A name is missing, too many, or wrong.
    """
    if not names:
        raise UsageError(f"name the {kind}: `wps-run show {_USAGE.get(kind, f'{kind} NAME')}`")
    if kind != "permission":
        for name in names:
            check_name(kind, name, partial(shown_command, f"wps-run show {kind}"))
        return
    if len(names) != 3:  # noqa: PLR2004 -- connection, permission, group
        raise UsageError(
            "name one connection, the permission, and the group that it is for, since the service "
            f"answers for one group only: `wps-run show {_USAGE[kind]}`"
        )
    connection, permission, group = names
    check_name("connection", connection, partial(shown_command, "wps-run show connection"))
    check_permission(permission)
    check_name("group", group)


_USAGE = {"permission": "permission CONNECTION PERMISSION GROUP", "group": "group NAME"}


async def _show(kind: str, names: Sequence[str], access: HubAccess, printer: "Printer") -> int:
    """Read and print; return the exit code.

    Raises:
        ReadError: Something cannot be read.
        SettingsError: The endpoint cannot be used.
    """
    async with open_reader(access) as reader:
        if kind == "group":
            records = [await _read_group(reader, name, printer) for name in names]
        elif kind == "permission":
            records = [await _read_permission(reader, *names)]
            printer.result(records[0])
        else:
            records = []
            read = reader.user_exists if kind == "user" else reader.connection_exists
            answers = await asyncio.gather(*map(read, names))
            for name, exists in zip(names, answers, strict=True):
                records.append({"type": kind, f"{kind}Id": name, "exists": exists})
                printer.result(records[-1])
    printer.end()
    return 0 if all(record["exists"] for record in records) else NOT_THERE


Record = dict[str, Any]
"""What is known of one name, as in JSON."""


async def _read_group(reader: StateReader, group: str, printer: "Printer") -> Record:
    """Read a group and print its connections page by page."""
    connections = anonymous = 0
    users: set[str] = set()
    async for page in reader.pages(group):
        printer.members(group, page)
        connections += len(page)
        anonymous += sum(member.user_id is None for member in page)
        users.update(member.user_id for member in page if member.user_id is not None)
    counts = {"connections": connections, "users": len(users), "anonymous": anonymous}
    record = {"type": "group", "group": group, "exists": connections > 0, **counts}
    printer.result(record)
    return record


async def _read_permission(
    reader: StateReader, connection: str, permission: str, group: str
) -> Record:
    """Read a permission; if it is not there, also whether the connection is."""
    exists = await reader.has_permission(connection, permission, group)
    return {
        "type": "permission",
        "connectionId": connection,
        "permission": permission,
        "targetName": group,
        "exists": exists,
        "connectionExists": exists or await reader.connection_exists(connection),
    }


class Printer(Protocol):
    """Prints what was read, in one format."""

    def members(self, group: str, page: Sequence[LiveConnection]) -> None:
        """Print connections of a group; called before the result of the group."""

    def result(self, record: Record) -> None:
        """Print what is known of one name."""

    def end(self) -> None:
        """Print what follows the last result."""


class TextPrinter:
    """Prints a table of each group and a sentence on each name."""

    def __init__(self, access: HubAccess) -> None:
        self._columns = columns_of(sys.stdout) if sys.stdout.isatty() else None
        self._heading = f"hub {access.hub} at {access.endpoint.host}\n"
        self._group = ""
        self._width = 0

    def members(self, group: str, page: Sequence[LiveConnection]) -> None:
        """Print rows, as wide as the first page needs, or as the terminal allows."""
        most = sys.maxsize if self._columns is None else max(self._columns * 2 // 3, 20)
        ids = [value_text(member.connection_id, most) for member in page]
        if self._group != group and page:
            self._group = group
            self._width = min(max(map(display_width, (CONNECTION, *ids))), most, CUT_AT)
            header = f"group {value_text(group)}\n  {pad(CONNECTION, self._width)}  USER\n"
            self._print(header)
        left = sys.maxsize if self._columns is None else self._columns - self._width - len("    ")
        rows = (
            f"  {pad(shown, self._width)}  {_user_text(member.user_id, left)}\n"
            for shown, member in zip(ids, page, strict=True)
        )
        self._print("".join(rows))

    def result(self, record: Record) -> None:
        """Print a sentence."""
        self._print(f"{_sentence(record)}\n")

    def _print(self, text: str) -> None:
        """Print a text, the first one below the heading."""
        click.echo(self._heading + text, nl=False)
        self._heading = ""

    def end(self) -> None:
        """Print nothing."""


def _user_text(user: str | None, width: int) -> str:
    return ANONYMOUS if user is None else value_text(user, max(width, 10))


def _sentence(record: Record) -> str:
    """Return what is known of a name, for people."""
    exists = record["exists"]
    match record["type"]:
        case "group":
            if not exists:
                return f"group {value_text(record['group'])}: no connections"
            connections, users = _count(record, "connections"), _count(record, "users")
            return f"  {connections}, {users}, {record['anonymous']:,} anonymous"
        case "user":
            return f"user {value_text(record['userId'])}: {_NOT[exists]}connected"
        case "connection":
            return f"connection {value_text(record['connectionId'])}: {_NOT[exists]}open"
        case _:
            connection = f"connection {value_text(record['connectionId'])}"
            if not record["connectionExists"]:
                return f"{connection}: not open"
            group = f"group {value_text(record['targetName'])}"
            return f"{connection}: {record['permission']} {_NOT[exists]}allowed for {group}"


_NOT = {True: "", False: "not "}


def _count(record: Record, nouns: str) -> str:
    count = record[nouns]
    return f"{count:,} {nouns.removesuffix('s') if count == 1 else nouns}"


class NdjsonPrinter:
    """Prints a record of each connection in a group and of each name."""

    def __init__(self, access: HubAccess) -> None:
        self._place = {"endpoint": access.endpoint.host, "hub": access.hub}

    def members(self, group: str, page: Sequence[LiveConnection]) -> None:
        """Print a record of each."""
        rows = (line({"type": "member", "group": group, **_member(member)}) for member in page)
        click.echo("".join(rows), nl=False)

    def result(self, record: Record) -> None:
        """Print the record."""
        click.echo(line({**record, **self._place}), nl=False)

    def end(self) -> None:
        """Print nothing."""


class JsonPrinter:
    """Prints one object at the end, with the connections of a group as a list in its record."""

    def __init__(self, access: HubAccess) -> None:
        self._object: dict[str, Any] = {
            "endpoint": access.endpoint.host,
            "hub": access.hub,
            "results": [],
        }
        self._members: list[Record] = []

    def members(self, group: str, page: Sequence[LiveConnection]) -> None:
        """Keep them."""
        del group
        self._members += map(_member, page)

    def result(self, record: Record) -> None:
        """Keep the record."""
        if record["type"] == "group":
            record = {**record, "members": self._members}
            self._members = []
        self._object["results"].append(record)

    def end(self) -> None:
        """Print the object."""
        click.echo(line(self._object), nl=False)


def _member(member: LiveConnection) -> Record:
    return {"connectionId": member.connection_id, "userId": member.user_id}


_PRINTERS: Mapping[str, Callable[[HubAccess], Printer]] = MappingProxyType(
    {"text": TextPrinter, "json": JsonPrinter, "ndjson": NdjsonPrinter}
)
"""By `--output`."""
