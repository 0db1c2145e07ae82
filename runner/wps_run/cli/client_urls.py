"""URLs with which the users of a file connect: read its rows, check all of them, make the URLs."""

import asyncio
import csv
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from wps_run.actions.payload import compact_json
from wps_run.cli.options import HubAccess
from wps_run.connect.auth import Signer
from wps_run.connect.client_token import (
    ClientTokenOptions,
    build_client_url,
    group_error,
    role_error,
    sign_client_token,
    user_error,
)
from wps_run.playbook.files import Files
from wps_run.playbook.foreach import column_error, for_each_errors, row_format
from wps_run.playbook.references import (
    UnusableReferenceError,
    column_of,
    find_references,
    reference_to,
)
from wps_run.playbook.rows import InputError, Row, missing_column_error
from wps_run.playbook.steps import SHOWN_ROWS
from wps_run.playbook.templates import Template, parse_template
from wps_run.playbook.variables import VariableScope
from wps_run.problems import PlaybookError, Position, Problem, UsageError, limited, shorten

URL, EXPIRES = "url", "expires"
"""The columns that are added."""

_SINGLE_VALUE = "value"
"""The name of the column of rows that are single values."""

SUFFIXES = (".csv", ".ndjson", ".jsonl", ".json")
"""The suffixes of the files that can be written."""

_CHUNK = 64
"""How many tokens are requested of the service before the first of them is written."""


class ClientUrl(NamedTuple):
    """A URL with which a client connects, a secret, and when it expires, as ISO 8601 in UTC."""

    url: str
    expires: str


def client_urls(access: HubAccess, clients: Iterable[ClientTokenOptions]) -> Iterator[ClientUrl]:
    """Yield the URL of each client. With Entra ID, the service creates the tokens.

    Raises:
        SettingsError: The key cannot be used.
        ReadError: The service creates no token.
        UsageError: With Entra ID, the lifetime is not in whole minutes.
    """
    endpoint, hub = access.endpoint, access.hub
    if not endpoint.identity:
        now, signer = time.time(), Signer(endpoint)
        for client in clients:
            token = sign_client_token(endpoint, hub, client, now, signer)
            yield ClientUrl(build_client_url(endpoint, hub, token), _expiry(now, client))
        return
    from wps_run.cli.service import open_reader  # noqa: PLC0415 -- it loads aiohttp

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            reader = runner.run(stack.enter_async_context(open_reader(access)))

            async def tokens(chunk: Sequence[ClientTokenOptions]) -> list[str]:
                return await asyncio.gather(*map(reader.client_token, chunk))

            rest = iter(clients)
            while chunk := list(islice(rest, _CHUNK)):
                now = time.time()
                for client, token in zip(chunk, runner.run(tokens(chunk)), strict=True):
                    yield ClientUrl(build_client_url(endpoint, hub, token), _expiry(now, client))
        finally:
            runner.run(stack.aclose())


def _expiry(now: float, client: ClientTokenOptions) -> str:
    moment = datetime.fromtimestamp(int(now) + client.lifetime, UTC)
    return moment.isoformat().replace("+00:00", "Z")


class TokenFlag(NamedTuple):
    """A flag whose text is filled in for each row.

    Attributes:
        name: The flag.
        template: Its text.
        error_of: Returns what is wrong with the text for a row, as the end of a sentence, or None.
    """

    name: str
    template: Template
    error_of: Callable[[str], str | None]


class ClientFile:
    """The rows of a file, with what is filled in for each.

    Args:
        name: The file, as `forEach` accepts it.
        delimiter: The character between the cells of a CSV file, or None for a comma.
        encoding: The encoding of a CSV or NDJSON file, or None for UTF-8.
        options: The token of each row, with `${each.column}` in its texts.

    Raises:
        UsageError: A flag is wrong.
    """

    def __init__(
        self, name: str, delimiter: str | None, encoding: str | None, options: ClientTokenOptions
    ) -> None:
        given = {"file": name, "delimiter": delimiter, "encoding": encoding}
        source = {key: value for key, value in given.items() if value is not None}
        for path, message in for_each_errors(source):
            flag = "--from" if path == ("file",) else f"--{path[0]}"
            raise UsageError(f"{flag}: {message}")
        self._name = name
        self._format = row_format(source)
        self._files = Files(Path())
        self._lifetime = options.lifetime
        groups = [_flag("--group", group, group_error) for group in options.groups]
        roles = [_flag("--role", role, role_error) for role in options.roles]
        users = [_flag("--user", options.user, user_error)] if options.user else []
        self._flags = [*users, *groups, *roles]
        if not any(flag.template.columns for flag in self._flags):
            raise UsageError(
                "no flag names a column of the rows, so that all URLs would be the same; write "
                "for example --user '${each.userId}'"
            )

    @property
    def delimiter(self) -> str:
        """The character between the cells of a CSV file."""
        return self._format.delimiter

    def check(self, *, is_csv: bool) -> Sequence[str]:
        """Check all rows.

        Args:
            is_csv: Whether all rows must have the same columns, since they are written as CSV.

        Returns:
            The columns of the first row.

        Raises:
            PlaybookError: Rows are wrong.
            UsageError: The file cannot be read.
        """
        columns: list[str] = []
        try:
            problems = limited(self._problems(columns, is_csv=is_csv), SHOWN_ROWS)
        except InputError as error:
            raise UsageError(f"--from: {error}") from None
        if problems:
            raise PlaybookError(problems)
        return columns

    def rows(self) -> Iterator[Row]:
        """Yield the rows, which `check` has found right.

        Raises:
            UsageError: The file cannot be read any more, or was changed.
        """
        try:
            for row in self._files.rows(self._name, self._format):
                if isinstance(row, Problem):
                    raise PlaybookError([row])
                yield row
        except InputError as error:
            raise UsageError(f"--from: {error}") from None

    def client(self, cells: Mapping[str, str]) -> ClientTokenOptions:
        """Return the token for a row."""
        texts: dict[str, list[str]] = {"--user": [], "--group": [], "--role": []}
        for flag in self._flags:
            texts[flag.name].append(flag.template.fill(cells))
        return ClientTokenOptions(
            "".join(texts["--user"]),
            tuple(texts["--role"]),
            tuple(texts["--group"]),
            self._lifetime,
        )

    def _problems(self, columns: list[str], *, is_csv: bool) -> Iterator[Problem]:
        """Yield what is wrong with the rows; add the columns of the first row to `columns`."""
        expected: set[str] | None = None
        for row in self._files.rows(self._name, self._format):
            if isinstance(row, Problem):
                yield row._replace(message=_with_flags(row.message))
                continue
            if expected is None:
                columns += row.cells
                expected = set(columns)
                if wrong := [*self._column_problems(columns, row.position)]:
                    yield from wrong
                    return
            elif row.cells.keys() != expected:
                if is_csv:
                    message = (
                        "the row has other columns than the first, which CSV cannot have; write to "
                        "a file that ends in `.ndjson`"
                    )
                    yield Problem(message, "row", row.position)
                yield from _added_twice(row.cells, row.position)
            yield from self._row_problems(row)
        if expected is None:
            columns += self._files.columns.get(self._name, ())
            yield from self._column_problems(columns, Position(self._name, 1)) if columns else ()

    def _column_problems(self, columns: Sequence[str], position: Position) -> Iterator[Problem]:
        if self._name.lower().endswith(".csv"):  # the columns are in its header
            position = Position(self._name, 1)
        for flag in self._flags:
            for column in flag.template.columns:
                if error := column_error(column, columns, self._name):
                    message = f"{flag.name}: `{reference_to(column)}` {error}"
                    yield Problem(shorten(message), "undefined-variable", position)
        yield from _added_twice(columns, position)

    def _row_problems(self, row: Row) -> Iterator[Problem]:
        for flag in self._flags:
            try:
                error = flag.error_of(flag.template.fill(row.cells))
            except KeyError as missing:
                error = missing_column_error(missing.args[0], row.cells)
                yield Problem(f"{flag.name}: {error}", "row", row.position)
                continue
            except UnusableReferenceError as long:
                error = long.message
            if error:
                names = [column for column in dict.fromkeys(flag.template.columns) if column]
                noun = "columns" if names[1:] else "column"
                place = f" ({noun} {', '.join(names)})" if names else ""
                yield Problem(shorten(f"{flag.name} {error}{place}"), "value", row.position)


def _flag(flag: str, text: str, error_of: Callable[[str], str | None]) -> TokenFlag:
    """Parse the text of a flag.

    Raises:
        UsageError: It names something else than a column.
    """
    for match in find_references(text):
        if match["name"] is not None and column_of(match) is None:
            raise UsageError(
                f"{flag}: `{match[0]}` names no column of a row; write `${{each.COLUMN}}`, or "
                "`$${` for a literal `${`"
            )
    try:
        return TokenFlag(flag, parse_template(text, VariableScope()), error_of)
    except UnusableReferenceError as error:
        raise UsageError(f"{flag}: {error.message}") from None


def _added_twice(columns: Iterable[str], position: Position) -> Iterator[Problem]:
    """Yield a problem for each column that is added to the rows, and is there already."""
    for column in columns:
        if column in {URL, EXPIRES}:
            message = f"the column `{column}` is one of those that are added; rename it"
            yield Problem(message, "header", position)


def names_row(text: str) -> bool:
    """Whether a text names a column of a row."""
    return any(column_of(match) is not None for match in find_references(text))


def _with_flags(message: str) -> str:
    """Name flags in a message about a file that was written for `forEach`."""
    message = message.replace(" to `forEach`", "")
    return re.sub(r"`(delimiter|encoding): \"?([^`\"]+)\"?`", r"`--\1 '\2'`", message)


class UrlWriter(NamedTuple):
    """Formats rows with their URLs as text.

    Attributes:
        suffix: That of the file: `.csv`, `.ndjson`, `.jsonl` or `.json`.
        delimiter: The character between the cells of a CSV file.
    """

    suffix: str
    delimiter: str = ","

    @property
    def is_csv(self) -> bool:
        return self.suffix == ".csv"

    def pieces(
        self, columns: Sequence[str], rows: Iterable[tuple[Mapping[str, str], ClientUrl]]
    ) -> Iterator[str]:
        """Yield the text in pieces.

        Args:
            columns: The columns of a CSV file.
            rows: The cells of each row, and its URL.
        """
        if self.is_csv:
            format_row = csv.writer(_Line(), delimiter=self.delimiter, lineterminator="\n").writerow
            yield format_row([*(column or _SINGLE_VALUE for column in columns), URL, EXPIRES])
            for cells, made in rows:
                yield format_row([*map(cells.__getitem__, columns), *made])
            return
        lines = (
            compact_json(
                {column or _SINGLE_VALUE: cell for column, cell in cells.items()}
                | {URL: made.url, EXPIRES: made.expires}
            )
            for cells, made in rows
        )
        if self.suffix != ".json":
            yield from (f"{line}\n" for line in lines)
            return
        yield "["
        separator = "\n"
        for line in lines:
            yield f"{separator}{line}"
            separator = ",\n"
        yield "\n]\n"


class _Line:
    """Returns what is written to it, as `csv.writer` then does, too."""

    def write(self, text: str) -> str:
        return text
