"""`wps-run snapshot`: write the people in groups as a seed for rehearsals."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from wps_run import input_limits
from wps_run.cli.configuration import FILE, configured
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.options import HubAccess, hub_access, hub_options
from wps_run.cli.service import open_reader, shown_command
from wps_run.cli.terminal import show_message, use_utf8_stdout
from wps_run.emulator.seed import CLIENT_LIMIT, NAME_LIMIT, SeedClient, seed_text
from wps_run.problems import UsageError
from wps_run.reading import check_name
from wps_run.report.values import value_text
from wps_run.report_files import write_whole
from wps_run.state.reader import ReadError, StateReader
from wps_run.text import Label, has_surrogate


@click.command("snapshot")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@hub_options
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME…",
    help="Write the people in this group. Repeatable, or name several groups.",
)
@click.option(
    "--output",
    type=FILE,
    metavar="FILE",
    help="Write to FILE, which only you can read, in place of stdout. Replaces an earlier file.",
)
@log_options
def command(
    names: tuple[str, ...], groups: tuple[str, ...], output: str | None, **values: Any
) -> None:
    """Write the people in groups as a seed for rehearsals.

    Asks the service, and changes nothing. The seed has each connection in the groups once, with its
    user, its connection ID, and those of the groups that it is in. `wps-run --local --seed` and
    `wps-run serve --seed` connect simulated clients like these. Permissions are not in it, nor are
    people in other groups.

    The exit code is 0, also if a group is empty, and 2 if the groups cannot be read.

    \b
    Examples:
      wps-run snapshot --hub chat --group launch-red --group lobby > people.yaml
      wps-run snapshot --group launch --output people.yaml
      wps-run --local --seed people.yaml playbook.yaml
    """
    wanted = sorted({*groups, *names})
    if not wanted:
        raise UsageError("name the groups: `wps-run snapshot --group NAME`")
    for name in wanted:
        check_name("group", name, partial(shown_command, "wps-run snapshot --group"))
    access = hub_access(configured(values))
    context = click.get_current_context()
    context.with_resource(
        logging_to_stderr(values["log_level"], verbose=values["verbose"], secrets=access.secrets)
    )
    clients = asyncio.run(_read(access, wanted))
    text = "".join((_heading(access), *seed_text(access.hub, clients)))
    if len(text.encode()) > input_limits.SEED.value:
        raise UsageError(f"a seed may have {input_limits.SEED.shown}; {_NAME_FEWER}")
    if output is None:
        use_utf8_stdout()
        click.echo(text, nl=False)
        return
    try:
        write_whole(Path(output), [text], mode=0o600)
    except OSError as error:
        raise UsageError(f"cannot write the seed `{output}`: {error.strerror}") from None


def _heading(access: HubAccess) -> str:
    return (
        f"# Written by `wps-run snapshot` from {access.endpoint.host}, without permissions.\n"
        "# Rehearse with it: wps-run --local --seed FILE playbook.yaml\n"
    )


async def _read(access: HubAccess, groups: Sequence[str]) -> list[SeedClient]:
    """Return the people in groups, ordered by user and connection; the anonymous ones are last.

    Raises:
        ReadError: A group cannot be read.
        UsageError: There are more than a seed may have.
        SettingsError: The endpoint cannot be used.
    """
    people = _People()
    async with open_reader(access) as reader:
        for group in groups:
            if not await people.read(reader, group):
                show_message(Label.NOTE, f"group {value_text(group)} has no connections")
    return people.clients(access.hub)


class _People:
    """The connections that were read, each once."""

    def __init__(self) -> None:
        self._users: dict[str, str | None] = {}
        self._groups: dict[str, list[str]] = {}
        self._memberships = 0

    async def read(self, reader: StateReader, group: str) -> int:
        """Read a group, and return the number of its connections."""
        before = self._memberships
        async for page in reader.pages(group):
            for connection_id, user_id in page:
                if self._users.setdefault(connection_id, user_id) != user_id:
                    shown = value_text(connection_id)
                    message = f"the service lists the connection {shown} with two users"
                    raise ReadError("bad-answer", message)
                if has_surrogate(connection_id) or has_surrogate(user_id or ""):
                    shown = value_text(user_id or connection_id)
                    raise UsageError(f"{shown} has half of a surrogate pair; no seed can have it")
                self._groups.setdefault(connection_id, []).append(group)
            self._memberships += len(page)
            if len(self._users) > CLIENT_LIMIT:
                raise UsageError(f"a seed may have {CLIENT_LIMIT:,} clients; {_NAME_FEWER}")
            if self._memberships > NAME_LIMIT:
                raise UsageError(
                    f"the clients of a seed may be {NAME_LIMIT:,} times in a group; {_NAME_FEWER}"
                )
        return self._memberships - before

    def clients(self, hub: str) -> list[SeedClient]:
        """Return them as clients of a hub, in order."""
        people = sorted((user is None, user or "", name) for name, user in self._users.items())
        return [
            SeedClient(hub, None if is_anonymous else user, name, tuple(self._groups[name]))
            for is_anonymous, user, name in people
        ]


_NAME_FEWER = "the one of these groups has more, so name fewer of them"
