"""`wps-run client-url`: print a URL with which a WebSocket client connects."""

from collections.abc import Iterator, Mapping
from itertools import tee
from pathlib import Path
from typing import Any

import click

from wps_run.checking import STDIN
from wps_run.cli.client_urls import (
    SUFFIXES,
    ClientFile,
    ClientUrl,
    UrlWriter,
    client_urls,
    names_row,
)
from wps_run.cli.configuration import FILE, configured
from wps_run.cli.options import HubAccess, hub_access, hub_options
from wps_run.cli.terminal import exiting_on_signals, show_message, use_utf8_stdout
from wps_run.connect.client_token import ClientTokenOptions, parse_lifetime
from wps_run.playbook.messages import join_names
from wps_run.problems import UsageError
from wps_run.report.plan import count_text
from wps_run.report.progress import format_duration
from wps_run.report.values import value_text
from wps_run.report_files import write_whole
from wps_run.text import Label


class Lifetime(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no generics
    """A lifetime such as `60m`, in seconds."""

    name = "lifetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_lifetime(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("client-url")
@click.option(
    "--user", metavar="ID", default="", help="Connect as this user.  [default: anonymous]"
)
@click.option(
    "--group",
    "groups",
    metavar="NAME",
    multiple=True,
    help="Add each connection to this group. Repeatable.",
)
@click.option(
    "--role",
    "roles",
    metavar="ROLE",
    multiple=True,
    help="Allow the client webpubsub.sendToGroup or webpubsub.joinLeaveGroup; with `.GROUP` at the "
    "end for one group only. Repeatable.",
)
@click.option(
    "--lifetime",
    type=Lifetime(),
    metavar="TIME",
    default="60m",
    show_default=True,
    help="Let clients connect for this time: 90s, 60m, 12h, 7d; at least 1s. Connections last "
    "longer.",
)
@click.option(
    "--from",
    "source",
    type=FILE,
    metavar="FILE",
    help="Make a URL for each row of FILE: .csv with a header, .ndjson or .jsonl, .json, .yaml or "
    ".yml. --user, --group and --role may hold ${each.COLUMN}. Needs --out.",
)
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="With --from: write the rows, each with its `url` and when it `expires`, into FILE, which "
    "only you can read: .csv, .ndjson, .jsonl or .json; `-` is stdout.",
)
@click.option(
    "--delimiter",
    metavar="CHARACTER",
    help="With --from: the character between the cells of a CSV file; a tab is `tab`.",
    show_default="a comma",
)
@click.option(
    "--encoding",
    metavar="NAME",
    help="With --from: the encoding of a CSV or NDJSON file, such as windows-1252.",
    show_default="utf-8",
)
@hub_options
def command(
    *,
    user: str,
    groups: tuple[str, ...],
    roles: tuple[str, ...],
    lifetime: int,
    source: str | None,
    out: str | None,
    delimiter: str | None,
    encoding: str | None,
    **values: Any,
) -> int:
    """Print a URL with which a WebSocket client connects, or one for each row.

    The URL is a secret: anybody who has it can connect as this user, with these roles, until it
    expires. It goes to stdout, or into the file of --out, and nowhere else. With an access key the
    token is signed locally; with Entra ID the service creates it.

    With --from, all rows are checked before anything is written. An existing file of --out is
    replaced when all URLs are made.

    \b
    Examples:
      wps-run client-url --hub chat --user ada --group launch
      websocat "$(wps-run client-url --hub chat --role webpubsub.sendToGroup.launch)"
      wps-run client-url --hub chat --from users.csv --user '${each.userId}' \\
        --group 'launch-${each.team}' --out urls.csv
    """
    options = ClientTokenOptions(user, roles, groups, lifetime)
    if source is not None:
        file = ClientFile(source, delimiter, encoding, options)
        return _write_urls(file, source, out, hub_access(configured(values)), lifetime)
    for flag, value in (("--out", out), ("--delimiter", delimiter), ("--encoding", encoding)):
        if value is not None:
            raise UsageError(f"{flag} is for the rows of a file; add --from FILE")
    if any(map(names_row, (user, *groups, *roles))):
        raise UsageError("`${each…}` stands for a row of a file; add --from FILE and --out FILE")
    options.validate()
    access = hub_access(configured(values))
    [made] = client_urls(access, [options])
    click.echo(made.url)
    identity = f"as {value_text(user)}" if user else "anonymously"
    show_message(
        Label.NOTE,
        f"keep this URL secret: for {format_duration(lifetime)}, anybody who has it can connect to "
        f"hub {access.hub} {identity}",
    )
    return 0


def _write_urls(
    file: ClientFile, source: str, out: str | None, access: HubAccess, lifetime: int
) -> int:
    """Write the rows of a file with their URLs.

    Raises:
        UsageError: The file cannot be read, or that of `--out` not written.
        PlaybookError: Rows are wrong.
        ReadError: The service creates no token.
    """
    writer = _writer_for(file, source, out)
    columns = file.check(is_csv=writer.is_csv)
    count = 0

    def rows() -> Iterator[tuple[Mapping[str, str], ClientUrl]]:
        nonlocal count
        clients, cells = tee(row.cells for row in file.rows())
        for row, made in zip(cells, client_urls(access, map(file.client, clients)), strict=True):
            count += 1
            yield row, made

    pieces = writer.pieces(columns, rows())
    if out == STDIN:
        use_utf8_stdout()
        for piece in pieces:
            click.echo(piece, nl=False)
        return 0
    try:
        with exiting_on_signals():
            write_whole(Path(str(out)).resolve(), pieces, mode=0o600)
    except OSError as error:
        raise UsageError(f"cannot write `{out}`: {error.strerror}") from None
    show_message(
        Label.NOTE,
        f"`{out}` has {count_text(count, 'URL')}; keep it secret: for {format_duration(lifetime)}, "
        f"anybody who has one can connect to hub {access.hub}",
    )
    return 0


def _writer_for(file: ClientFile, source: str, out: str | None) -> UrlWriter:
    """Return what formats the rows, as the suffix of the file says it.

    Raises:
        UsageError: The file cannot be written.
    """
    if out is None:
        raise UsageError("give --out FILE for the URLs, or `--out -` for stdout")
    suffix = Path(source if out == STDIN else out).suffix.lower()
    if out == STDIN:
        suffix = suffix if suffix in SUFFIXES else ".json"
    elif suffix not in SUFFIXES:
        raise UsageError(f"--out {out}: the file must end in {join_names(SUFFIXES)}")
    elif Path(out).exists() and not Path(out).is_file():
        raise UsageError(f"--out {out}: this is no regular file")
    elif Path(out).resolve() == Path(source).resolve():
        raise UsageError(f"--out {out} would replace the file of --from; name another one")
    is_csv = Path(source).suffix.lower() == ".csv"
    return UrlWriter(suffix, file.delimiter if is_csv else ",")
