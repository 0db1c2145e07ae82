"""Each format gives the same run in its own way."""

import json
from collections import Counter

import pytest

from wps_run.execution.result import Result, Summary
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.report.formats import REPORTERS, Quiet, Reporter
from wps_run.report.simulation import ClosedClient, MessageDelivery, PermissionState, Simulation

HEADING = RunInfo(
    destination=Destination.LOCAL,
    endpoints=("127.0.0.1:8080",),
    hubs=("chat",),
    playbooks=("Open the launch rooms",),
    total=3,
    pace="sequential",
)
OUTLOOK = Simulation(
    hub="chat",
    clients=2,
    groups=(("red", ("ada", "bob")),),
    heard=(
        MessageDelivery("red", "text", b"Welcome", ("ada",)),
        MessageDelivery("server", "binary", b"\0", ()),
    ),
    closed=(ClosedClient("mallory", "Spam"),),
    permissions=(
        PermissionState("c1", "sendToGroup", "red", allowed=True),
        PermissionState("c1", "joinLeaveGroup", "red", allowed=False),
    ),
)


def whole(reporter: Reporter, results: list[Result], *outlooks: Simulation) -> str:
    """The report of these results."""
    summary = Summary(Counter(), duration=1.5)
    parts = [reporter.begin(HEADING)]
    for result in results:
        summary.count(result.record)
        parts.append(reporter.result(result.record))
    parts.append(reporter.end(summary, outlooks))
    return "".join(parts)


def test_text_is_for_people(results: list[Result]) -> None:
    """It says where the run went, then each result, then what would happen and the totals."""
    assert whole(REPORTERS["text"](), results, OUTLOOK) == (
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
        "What would happen in hub chat (2 simulated clients):\n"
        "\n"
        "  Groups\n"
        "    red  ada, bob\n"
        "\n"
        "  Messages\n"
        '    "Welcome" from red  heard by ada\n'
        "    1 byte from server  heard by nobody\n"
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
    text = whole(Quiet(), results, OUTLOOK)

    assert "ok       200" not in text
    assert "failed   404" in text
    assert text.endswith("LOCAL: 3 actions: 1 ok, 1 failed, 0 unknown, 1 skipped in 1.50 s\n")


def test_ndjson_ends_with_the_summary(results: list[Result]) -> None:
    """A record a line; the summary also says where the run went."""
    records = [
        json.loads(line) for line in whole(REPORTERS["ndjson"](), results, OUTLOOK).splitlines()
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
    report = json.loads(whole(REPORTERS["json"](), results[::-1], OUTLOOK))

    assert [record["index"] for record in report["results"]] == [3, 4, 5]
    assert report["summary"]["exitCode"] == 1
    assert report["rehearsal"][0]["groups"] == {"red": ["ada", "bob"]}
    assert report["rehearsal"][0]["messages"][1] == {
        "from": "server",
        "dataType": "binary",
        "bytes": 1,
        "data": None,
        "heardBy": [],
    }


def test_json_without_a_rehearsal_has_summary_and_results_only(results: list[Result]) -> None:
    """The contract's two keys."""
    assert list(json.loads(whole(REPORTERS["json"](), results))) == ["summary", "results"]


def test_none_says_nothing(results: list[Result]) -> None:
    """The exit code is enough for some."""
    assert whole(REPORTERS["none"](), results, OUTLOOK) == ""


@pytest.mark.parametrize("count", [3, 30_000])
def test_a_rehearsal_is_readable_for_3_users_and_for_30_000(
    results: list[Result], count: int
) -> None:
    """Long lists are counted for the eye."""
    names = tuple(f"user{number}" for number in range(count))
    groups = tuple((name, names) for name in names[:50])
    outlook = Simulation(
        "chat", count, groups, (MessageDelivery("red", "text", b"x", names),), (), ()
    )

    text = whole(REPORTERS["text"](), results, outlook)

    assert len(text.splitlines()) < 60
    assert max(map(len, text.splitlines())) < 250
    assert f"{count} simulated clients" in text
