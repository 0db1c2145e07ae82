"""A figure in the documentation that is a constant of the code has its value."""

from pathlib import Path

import pytest

from wps_run.actions.fields import DATA_LIMIT, NAME_LIMIT
from wps_run.cli.errors import MAX_WARNINGS
from wps_run.cli.progress import LOG_SECONDS, REDRAW_SECONDS
from wps_run.connect.client_token import LIFETIME
from wps_run.emulator import names, permissions, request_log, seed
from wps_run.emulator.admin import routes, views
from wps_run.emulator.auth import LEEWAY
from wps_run.emulator.dashboard import listings, live, traffic
from wps_run.emulator.rest.bodies import BODY_LIMIT
from wps_run.emulator.server import _MAX_HEADER_BYTES
from wps_run.emulator.websocket.send_queue import ClientLimits
from wps_run.emulator.websocket.session import ACK_HISTORY
from wps_run.emulator.websocket.transport import MESSAGE_LIMIT
from wps_run.execution.retry import LAST_BOUND
from wps_run.execution.summary import EXACT_DURATIONS
from wps_run.journal.store import MOST_JOURNALS
from wps_run.journal.writer import SYNC_SECONDS
from wps_run.odata import syntax
from wps_run.playbook.lint import EXCLUDED_LIMIT
from wps_run.playbook.options import RunOptions
from wps_run.playbook.steps import SHOWN_ROWS
from wps_run.report import annotations, plan
from wps_run.report.html import rows

KIB, MIB = 1024, 1024 * 1024
WORDS = {1: "one", 4: "four", 5: "five", 10: "ten"}
QUEUE = ClientLimits()
DEFAULTS = RunOptions()


def word(number: float) -> str:
    """A small whole number in words."""
    return WORDS[round(number)]


PHRASES: dict[str, list[str]] = {
    "reference/emulator.md": [
        f"with the limit of {permissions.RULE_LIMIT} rules",
        f"still counts as connected for {QUEUE.recovery_seconds:.0f} seconds",
        f"{word(LEEWAY / 60)} minutes of leeway",
        f"A group name has at most {names.GROUP_LIMIT} UTF-16 units",
        f"charsets, {BODY_LIMIT // MIB} MiB, a Content-Length",
        (
            f"{names.METADATA_NAME_LIMIT} characters per name, {names.METADATA_VALUE_LIMIT} per "
            f"value, {names.METADATA_LIMIT // KIB} KiB in total"
        ),
        f"the last {ACK_HISTORY} successful numbers are remembered",
        (
            f"for {QUEUE.recovery_seconds:.0f} seconds after the socket was lost, at most "
            f"{QUEUE.max_messages} messages or {QUEUE.max_bytes // MIB} MiB"
        ),
        f"an invalid message, more than {MESSAGE_LIMIT // MIB} MiB",
        f"connection remains for {QUEUE.recovery_seconds:.0f} seconds",
        f"the entries after N, at most M ({routes.DEFAULT_LIMIT})",
        f"list at most N ({routes.DEFAULT_REACHED}) of the connections",
        f"`?limit=` ({routes.DEFAULT_LIMIT})",
        (
            f"keeps the last {request_log.ENTRY_LIMIT:,} entries, or as many as fit into "
            f"{request_log.SIZE_LIMIT // MIB} MiB"
        ),
        f"the first {views.DATA_LIMIT // KIB} Ki characters of each message",
        f"may have {seed.NAME_LIMIT:,} groups and permissions",
        f"may have {_MAX_HEADER_BYTES // KIB} KiB each",
        f"Expressions may be nested {syntax.DEPTH_LIMIT}",
    ],
    "reference/dashboard.md": [
        f"There are {listings.PAGE_SIZE} rows per page",
        f"It shows the newest {traffic.ROW_LIMIT} entries",
        f"among the last {traffic.SEARCH_LIMIT:,}.",
        f"at most {word(1 / live.INTERVAL)} per second",
    ],
    "reference/playbooks.md": [
        f"of a Node function. The maximum is {DATA_LIMIT // MIB} MiB",
        f"is not replaced. The maximum is {DATA_LIMIT // MIB} MiB",
        f"group names over {NAME_LIMIT} UTF-16",
        f"The first {SHOWN_ROWS} errors of a source are shown",
    ],
    "reference/records.md": [f"exact up to {EXACT_DURATIONS:,} different durations"],
    "reference/reports.md": [
        f"plain tables of {rows.TABLE_ROWS} actions each",
        f"It lists at most {rows.MAX_RESULTS:,} actions",
    ],
    "reference/journal.md": [
        f"The last {MOST_JOURNALS} journals remain",
        f"Results are synced within {SYNC_SECONDS * 1000:.0f} ms",
    ],
    "explanation/ordering.md": [f"the latest {plan.MAX_KEYS:,} users, groups and connections"],
    "explanation/outcomes.md": [f"with pauses of at most {LAST_BOUND:.0f} seconds"],
    "explanation/rate-limits.md": [f"that use up their {word(DEFAULTS.retry.attempts)} attempts"],
    "reference/terminal.md": [
        f"{word(1 / REDRAW_SECONDS)} times per second",
        f"a plain line every {word(LOG_SECONDS)} seconds",
    ],
    "how-to/client-urls.md": [f"{word(LIFETIME / 3600)} hour by default"],
    "how-to/github-actions.md": [f"The first {word(annotations.MAX_ANNOTATIONS)} are"],
    "reference/validation.md": [
        f"show the first {word(MAX_WARNINGS)} warnings",
        f"so {word(annotations.MAX_ANNOTATIONS)} of each are written",
        f"more than {EXCLUDED_LIMIT} IDs",
    ],
}


@pytest.mark.parametrize(
    ("page", "phrase"), [(page, phrase) for page, listed in PHRASES.items() for phrase in listed]
)
def test_figure_in_the_documentation_is_that_of_the_code(
    project: Path, page: str, phrase: str
) -> None:
    """In the words of the page, whatever its line breaks are."""
    text = " ".join((project / "docs" / page).read_text("utf-8").split())

    assert phrase in text
