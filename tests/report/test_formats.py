"""Each format gives the same run in its own way."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from wps_run.execution.result import Result
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.report.formats import (
    FILE_FORMATS,
    FINDING_FORMATS,
    FORMATS,
    OUTPUT_FORMATS,
    Reporter,
    help_of,
    suffix_list,
)
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import ClosedClient, PermissionState, Simulation, message_delivery
from wps_run.report.text import QuietReporter

RUN_INFO = RunInfo(
    destination=Destination.LOCAL,
    endpoints=("127.0.0.1:8080",),
    hubs=("chat",),
    playbooks=("Open the launch rooms",),
    total=3,
    pace="sequential",
)
SIMULATION = Simulation(
    hub="chat",
    client_count=2,
    groups={"red": ("ada", "bob")},
    deliveries=(
        message_delivery("red", "text", b"Welcome", ("ada",)),
        message_delivery("server", "binary", b"\0", ()),
    ),
    closed_clients=(ClosedClient("mallory", "Spam"),),
    permissions=(
        PermissionState("c1", "sendToGroup", "red", is_allowed=True),
        PermissionState("c1", "joinLeaveGroup", "red", is_allowed=False),
    ),
)


def whole(reporter: Reporter, results: list[Result], *simulations: Simulation) -> str:
    """The report of these results."""
    summary = Summary(Counter(), duration=1.5)
    parts = [reporter.begin(RUN_INFO)]
    for result in results:
        summary.count(result)
        parts.append(reporter.result(result))
    parts.append(reporter.end(summary, simulations))
    return "".join(parts)


def test_text_is_for_people(results: list[Result]) -> None:
    """It has the destination, each result, the simulation and the totals."""
    assert whole(OUTPUT_FORMATS["text"].new_reporter(), results, SIMULATION) == (
        "LOCAL rehearsal (nothing leaves this machine) · hub chat · Open the launch rooms"
        " · 3 actions, sequential\n"
        "\n"
        "ok       200       3.1 ms  addUserToGroup userId=ada group=launch-red"
        "  (Seat the members)\n"
        "failed   404     250.0 ms  addUserToGroup userId=ada group=launch-red"
        "  (Seat the members)\n"
        "        rooms.yaml:5: Warning.User.NotExisted: User `ada` is not found., 2 attempts\n"
        "        hint: Let the user connect.\n"
        "skipped    -         -     addUserToGroup userId=ada group=launch-red"
        "  (Seat the members)\n"
        "        rooms.yaml:5: stopped: an action failed\n"
        "\n"
        "Only clients named by the `userId` or `connectionId` of an action are simulated."
        " The real hub may have others.\n"
        "\n"
        "What would happen in hub chat (2 simulated clients):\n"
        "\n"
        "  Groups\n"
        "    red  ada, bob\n"
        "\n"
        "  Messages\n"
        '    "Welcome" from red  received by ada\n'
        "    1 byte from server  received by no simulated client\n"
        "\n"
        "  Closed\n"
        "    Spam  mallory\n"
        "\n"
        "  Permissions\n"
        "    c1  may sendToGroup red, may not joinLeaveGroup red\n"
        "\n"
        "LOCAL: 3 actions: 1 ok, 1 failed, 0 unknown, 1 skipped in 1.50 s\n"
    )


def test_quiet_shows_only_what_is_not_ok(results: list[Result]) -> None:
    """The totals are always there."""
    text = whole(QuietReporter(), results, SIMULATION)

    assert "ok       200" not in text
    assert "failed   404" in text
    assert text.endswith("LOCAL: 3 actions: 1 ok, 1 failed, 0 unknown, 1 skipped in 1.50 s\n")


def test_ndjson_ends_with_the_summary(results: list[Result]) -> None:
    """One record per line; the summary has the destination."""
    records = [
        json.loads(line)
        for line in whole(OUTPUT_FORMATS["ndjson"].new_reporter(), results, SIMULATION).splitlines()
    ]

    assert [record["type"] for record in records] == [*["result"] * 3, "rehearsal", "summary"]
    assert records[-1] == {
        "type": "summary",
        "total": 3,
        "ok": 1,
        "failed": 1,
        "unknown": 0,
        "skipped": 1,
        "durationMs": 1500.0,
        "perSecond": 1.333,
        "latencyMs": {"p50": 3.1, "p90": 250.0, "p99": 250.0, "max": 250.0},
        "exitCode": 1,
        "destination": "LOCAL",
        "endpoints": ["127.0.0.1:8080"],
        "hubs": ["chat"],
    }


def test_json_is_one_object_with_the_results_in_order(results: list[Result]) -> None:
    """Results come as they end; the report has them as they were written."""
    report = json.loads(whole(OUTPUT_FORMATS["json"].new_reporter(), results[::-1], SIMULATION))

    assert [record["index"] for record in report["results"]] == [3, 4, 5]
    assert report["summary"]["exitCode"] == 1
    assert report["rehearsal"][0]["groups"] == {"red": ["ada", "bob"]}
    assert report["rehearsal"][0]["messages"][1] == {
        "from": "server",
        "dataType": "binary",
        "bytes": 1,
        "data": None,
        "receivedBy": [],
    }


def test_json_without_a_rehearsal_has_summary_and_results_only(results: list[Result]) -> None:
    """The contract's two keys."""
    assert list(json.loads(whole(OUTPUT_FORMATS["json"].new_reporter(), results))) == [
        "summary",
        "results",
    ]


def test_none_says_nothing(results: list[Result]) -> None:
    """The exit code is enough for some."""
    assert whole(OUTPUT_FORMATS["none"].new_reporter(), results, SIMULATION) == ""


@pytest.mark.parametrize("count", [3, 30_000])
def test_a_rehearsal_is_readable_for_3_users_and_for_30_000(
    results: list[Result], count: int
) -> None:
    """Long lists are counted for the eye."""
    names = tuple(f"user{number}" for number in range(count))
    groups = dict.fromkeys(names[:50], names)
    simulation = Simulation(
        "chat", count, groups, (message_delivery("red", "text", b"x", names),), (), ()
    )

    text = whole(OUTPUT_FORMATS["text"].new_reporter(), results, simulation)

    assert len(text.splitlines()) < 60
    assert max(map(len, text.splitlines())) < 250
    assert f"{count:,} simulated clients" in text


def test_importing_the_table_imports_no_format() -> None:
    """The help of a command reads the table; it must not load what makes a report."""
    code = "import sys; import wps_run.report.formats; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = {name for name in done.stdout.split() if name.startswith("wps_run")}
    assert loaded == {"wps_run", "wps_run.report", "wps_run.report.formats"}


@pytest.mark.parametrize("name", FINDING_FORMATS)
def test_formats_of_findings_need_no_result(name: str) -> None:
    """`validate` must start quickly, so it does not load msgspec, in which results are written."""
    code = (
        "import sys; from wps_run.report.formats import FINDING_FORMATS; "
        f"FINDING_FORMATS[{name!r}].render([], 1); print('msgspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_each_format_can_be_selected_by_one_name_and_one_suffix() -> None:
    """Names and suffixes are unique; every row can be written in some way."""
    suffixes = [row.suffix for row in FORMATS if row.suffix]

    assert len({row.name for row in FORMATS}) == len(FORMATS)
    assert len(set(suffixes)) == len(suffixes)
    for row in FORMATS:
        assert row in OUTPUT_FORMATS.values() or row in FILE_FORMATS.values()


def test_help_and_messages_list_every_format() -> None:
    """They derive from the table."""
    assert all(
        f"{name}: {row.help}" in help_of(OUTPUT_FORMATS) for name, row in OUTPUT_FORMATS.items()
    )
    assert all(
        f"{suffix}: {row.help}" in help_of(FILE_FORMATS) for suffix, row in FILE_FORMATS.items()
    )
    assert suffix_list() == ".json, .ndjson, .xml, .html, .md or .prom"


@pytest.mark.parametrize("name", ["json", "ndjson"])
def test_a_file_has_the_text_of_standard_output(
    name: str, make_report: Callable[..., RunReport]
) -> None:
    """Whether it is made from the reporter or by a function of its own."""
    report = make_report()
    reporter = OUTPUT_FORMATS[name].new_reporter()
    parts = [reporter.begin(report.run_info), *map(reporter.result, report.results)]
    parts.append(reporter.end(report.summary, report.simulations))

    assert "".join(FILE_FORMATS[f".{name}"].render(report)) == "".join(parts)
