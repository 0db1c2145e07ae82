"""`maxFailures` and `notAfter` end a run: nothing new starts, and `finally` runs."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.plan_runs import run_plans

from wps_run import planning, running
from wps_run.checking import validate
from wps_run.execution.result import Result
from wps_run.planning import RunOverrides
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import merge_options, parse_failure_limit, parse_moment

CommandLine = Callable[..., tuple[int, str, str]]

PLAYBOOK = """\
hub: chat
actions:
  - {actionName: addUserToGroup, userId: "u${each}", group: red, forEach: [1, 2, 3, 4, 5, 6]}
finally:
  - {actionName: removeUserFromGroup, userId: bye, group: red}
"""
WITHOUT_FAULTS = ("--fault", "429,nth=999")
"""In place of those of the earlier part."""
PAST, FUTURE = "2020-01-01T00:00Z", "2099-12-31T23:59:59.5-14:00"


@pytest.fixture(autouse=True)
def playbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "p.yaml"
    path.write_text(PLAYBOOK)
    return path


def throttled(count: int) -> tuple[str, ...]:
    """Return the options with which so many actions fail."""
    return ("--local", "--attempts", "1", "--fault", f"429,count={count},retry-after=0")


def ends(out: str) -> list[str]:
    """Return the status of each result in plan order, and why it was skipped."""
    results = json.loads(out)["results"]
    return [
        result["error"]["code"] if result["status"] == "skipped" else result["status"]
        for result in results
    ]


@pytest.mark.parametrize(
    ("limit", "failures"), [("0", 1), ("2", 3), ("33.3%", 2), ("34%", 3), ("100%", 6)]
)
def test_nothing_new_starts_after_one_failure_too_many(
    command_line: CommandLine, limit: str, failures: int
) -> None:
    code, out, _ = command_line(
        *throttled(failures), "--max-failures", limit, "--output", "json", "p.yaml"
    )

    assert code == 1
    assert ends(out) == ["failed"] * failures + ["budget"] * (6 - failures) + ["ok"]


def test_as_many_failures_as_allowed_do_not_end_a_run(
    command_line: CommandLine, playbook: Path
) -> None:
    playbook.write_text("maxFailures: 3\n" + PLAYBOOK)

    code, out, _ = command_line(*throttled(3), "--output", "json", "p.yaml")

    assert code == 1
    assert Counter(ends(out)) == {"failed": 3, "ok": 4}


def test_failures_of_all_playbooks_count(command_line: CommandLine) -> None:
    _, out, _ = command_line(
        *throttled(7), "--max-failures", "6", "--output", "json", "p.yaml", "p.yaml"
    )

    assert ends(out) == ["failed"] * 7 + ["budget"] * 5 + ["ok"] * 2


def test_each_shard_counts_its_own(command_line: CommandLine) -> None:
    """A percentage is one of its own actions."""
    (Path("p.yaml")).write_text(PLAYBOOK.partition("finally")[0])
    shards = [
        command_line(
            *throttled(9),
            "--max-failures",
            "50%",
            "--shard",
            f"{n}/2",
            "--output",
            "json",
            "p.yaml",
        )[1]
        for n in (1, 2)
    ]

    for out in shards:
        results = ends(out)
        failures = min(len(results), len(results) // 2 + 1)
        assert results == ["failed"] * failures + ["budget"] * (len(results) - failures)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([{"maxFailures": 3}], "continue"),
        ([{"onError": "stop"}, {"maxFailures": 3}], "continue"),
        ([{"maxFailures": 3}, {"onError": "stop"}], "stop"),
        ([{"maxFailures": 3, "onError": "stop"}], "stop"),
    ],
)
def test_a_limit_implies_that_the_run_continues(
    layers: list[dict[str, Any]], expected: str
) -> None:
    assert merge_options(*layers).on_error == expected


def test_failures_of_earlier_parts_count(command_line: CommandLine) -> None:
    """Unless these actions run again; another limit may be given."""
    command_line(*throttled(2), "--max-failures", "1", "--journal", "j", "p.yaml")
    resume = ("--local", "--resume", "j", *WITHOUT_FAULTS, "--output", "json")

    _, out, err = command_line(*resume)
    assert ends(out) == ["failed"] * 2 + ["budget"] * 4 + ["ok"]
    again = "wps-run --local --resume j p.yaml --max-failures …"
    assert f"hint: to do the rest, allow more failures: {again}\n" in err

    _, out, _ = command_line(*resume, "--max-failures", "2")
    assert ends(out) == ["failed"] * 2 + ["ok"] * 5

    _, out, _ = command_line(*resume, "--failed", "--max-failures", "0")
    assert ends(out) == ["ok"] * 7


def test_an_unknown_outcome_counts(command_line: CommandLine, playbook: Path) -> None:
    playbook.write_text(
        "hub: chat\nmaxFailures: 1\nactions:\n"
        "  - {actionName: sendToGroup, group: 'g${each}', data: x, forEach: [1, 2, 3, 4]}\n"
    )

    code, out, _ = command_line("--local", "--fault", "half", "--output", "json", "p.yaml")

    assert code == 3
    assert ends(out) == ["unknown"] * 2 + ["budget"] * 2


@pytest.mark.parametrize(
    ("line", "is_valid"),
    [
        ("maxFailures: 0", True),
        ("maxFailures: 1000000", True),
        ("maxFailures: 2%", True),
        ("maxFailures: 99.125%", True),
        ("maxFailures: -1", False),
        ("maxFailures: 1000001", False),
        ("maxFailures: 101%", False),
        ("maxFailures: 2.5", False),
        ("maxFailures: '2'", False),
        ("maxFailures: '%'", False),
        ("maxFailures:", False),
        (f"notAfter: {PAST}", True),
        (f"notAfter: {FUTURE}", True),
        ("notAfter: 2024-02-29T23:59:59+14:00", True),
        ("notAfter: 2026-02-29T00:00Z", False),
        ("notAfter: 2026-04-31T00:00Z", False),
        ("notAfter: 2026-12-01T24:00Z", False),
        ("notAfter: 2026-12-01T18:00", False),
        ("notAfter: 2026-12-01 18:00Z", False),
        ("notAfter: 2026-12-01", False),
        ("notAfter: 18:00", False),
        ("notAfter: 1790000000", False),
        ("notAfter:", False),
    ],
)
def test_values_are_checked(line: str, is_valid: bool) -> None:  # noqa: FBT001 -- a row
    problems = validate(read_playbook(f"{line}\n{PLAYBOOK}", "p.yaml"), {})

    assert (problems == ()) is is_valid
    assert is_valid or "p.yaml:1:" in str(problems[0].position)


def test_values_are_read() -> None:
    assert parse_moment("2026-12-01T18:00Z") == parse_moment("2026-12-01T19:30:00.0+01:30")
    assert [parse_failure_limit(value).of(150) for value in (10, "10", "2%", "0.7%")] == [
        10,
        10,
        3,
        1,
    ]


@pytest.mark.parametrize("args", [("p.yaml",), ("p.yaml", "--journal", "j"), ("q.yaml", "p.yaml")])
def test_a_run_does_not_begin_after_its_time(
    command_line: CommandLine, tmp_path: Path, playbook: Path, args: tuple[str, ...]
) -> None:
    (tmp_path / "q.yaml").write_text(PLAYBOOK)
    playbook.write_text(f"notAfter: {PAST}\n{PLAYBOOK}")

    code, out, err = command_line("--local", *args)

    assert (code, out) == (2, "")
    assert "nothing was sent; the moment of `notAfter` has passed" in err
    assert "p.yaml" in err
    assert not (tmp_path / "j").exists()
    assert command_line("--local", *args, "--not-after", FUTURE)[0] == 0


def test_a_resumed_run_ends_at_its_time(command_line: CommandLine) -> None:
    command_line(*throttled(1), "--journal", "j", "p.yaml")
    resume = ("--local", "--resume", "j", *WITHOUT_FAULTS, "--output", "json", "--not-after")

    code, out, err = command_line(*resume, PAST)

    assert code == 1
    again = "wps-run --local --resume j p.yaml --not-after …"
    assert f"hint: to do the rest, give a later moment: {again}\n" in err
    assert ends(out) == ["failed"] + ["expired"] * 5 + ["ok"]
    records = json.loads(out)["results"]
    assert records[-1]["earlier"] is True  # no other action ran since
    code, out, _ = command_line(*resume, FUTURE)
    assert (code, ends(out)) == (0, ["ok"] * 7)


@pytest.mark.parametrize("fault", ["429,retry-after=30,on=AddUserToGroup", "503,on=AddUserToGroup"])
async def test_pauses_do_not_pass_the_time(fault: str) -> None:
    """What may have happened is in doubt; what is in `finally` runs."""
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    options = {
        "notAfter": soon.isoformat(),
        "retry": {"backoff": "24m", "maxBackoff": "60m", "attempts": 99},
    }
    (main, final) = planning.plan([read_playbook(PLAYBOOK, "p.yaml")], RunOverrides(options))
    results: list[Result] = []

    async with running.rehearsal([main, final], faults=[fault]) as local:
        results += [result async for result in run_plans([main, final], lambda _: local.endpoint)]

    results.sort(key=lambda result: result.index)
    codes = [result.error.code if result.error else result.status for result in results]
    assert codes[1:] == ["expired"] * 5 + ["ok"]
    assert codes[0] == ("expired" if fault.startswith("429") else "interrupted")
    assert results[0].attempts == 1
    assert datetime.now(UTC) < soon + timedelta(seconds=20)
