"""A shard of a plan: how it is selected, and which actions it owns."""

import subprocess
import sys
from collections import Counter

import pytest

from wps_run.actions.table import ACTIONS
from wps_run.playbook.options import RunOptions
from wps_run.playbook.shards import Shard, resolve_shard, shard_number
from wps_run.problems import UsageError

JOIN = ACTIONS["addUserToGroup"]


@pytest.mark.parametrize(
    ("target", "of_four", "of_a_thousand"),
    [
        ({}, 4, 116),
        ({"userId": "ada"}, 2, 158),
        ({"userId": "ada", "group": "launch"}, 3, 67),
        ({"connectionId": "c-1", "permission": "sendToGroup", "targetName": "red"}, 4, 960),
        ({"userId": "Zoë 😀"}, 4, 632),
        ({"groups": ("a", "b"), "filter": "userId eq 'x'"}, 4, 844),
    ],
)
def test_the_shard_of_a_target_is_the_same_for_ever(
    target: dict[str, str | tuple[str, ...]], of_four: int, of_a_thousand: int
) -> None:
    """Journals outlive the version and the machine that wrote them."""
    assert (shard_number(target, 4), shard_number(target, 1000)) == (of_four, of_a_thousand)


def test_the_order_of_the_properties_does_not_matter() -> None:
    """A target is a set of names with values."""
    one = {"userId": "ada", "group": "launch"}

    assert shard_number(one, 997) == shard_number(dict(reversed(one.items())), 997)


def test_the_hash_seed_of_python_does_not_matter() -> None:
    """Each process has another one, and all of them share the plan."""
    code = (
        "from wps_run.playbook.shards import shard_number\n"
        "print([shard_number({'userId': f'u{n}', 'group': 'g'}, 7) for n in range(50)])"
    )

    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }

    assert len(outputs) == 1


@pytest.mark.parametrize("count", [2, 3, 4, 10, 100])
def test_shards_are_about_of_one_size(count: int) -> None:
    """20,000 users: chi squared stays below its mean by 5 times its deviation."""
    sizes = Counter(
        shard_number({"userId": f"user-{n:05}", "group": f"team-{n % 7}"}, count)
        for n in range(20_000)
    )
    expected = 20_000 / count

    chi_squared = sum((sizes[n] - expected) ** 2 / expected for n in range(1, count + 1))

    assert sizes.keys() == set(range(1, count + 1))
    assert chi_squared < count - 1 + 5 * (2 * (count - 1)) ** 0.5


def test_every_action_has_one_owner() -> None:
    """None is done twice, none is forgotten."""
    owners = [Shard(number, 5).ownership(JOIN) for number in range(1, 6)]

    for n in range(200):
        values = {"userId": f"u{n}", "group": "launch"}
        assert sum(is_owned(values) for is_owned in owners) == 1


def test_what_is_no_target_does_not_choose_the_shard() -> None:
    """The data of a message does not matter."""
    is_owned = Shard(1, 2).ownership(ACTIONS["sendToUser"])

    assert is_owned({"userId": "ada", "data": "x"}) == is_owned({"userId": "ada", "data": b"yy"})


def test_a_shard_has_its_part_of_the_rate_and_all_of_the_concurrency() -> None:
    """The rate is what the service bears in all; concurrency is what this machine bears."""
    options = RunOptions(rate=500, concurrency=32)

    limited = Shard(2, 4).limit_rate(options)

    assert (limited.rate, limited.concurrency) == (125, 32)
    assert Shard(2, 4).limit_rate(RunOptions()).rate is None


@pytest.mark.parametrize(
    ("shard", "count", "environment", "expected"),
    [
        (None, None, {}, None),
        (None, None, {"JOB_COMPLETION_INDEX": "1"}, None),
        ("2/4", None, {}, Shard(2, 4)),
        (" 1/1 ", None, {}, Shard(1, 1)),
        (None, 4, {"JOB_COMPLETION_INDEX": "0"}, Shard(1, 4)),
        (None, 4, {"JOB_COMPLETION_INDEX": "3"}, Shard(4, 4)),
        (None, None, {"WPS_RUN_SHARD": "2/4"}, Shard(2, 4)),
        (None, None, {"WPS_RUN_SHARD": ""}, None),
        (None, None, {"WPS_RUN_SHARDS": "", "JOB_COMPLETION_INDEX": "1"}, None),
        (None, None, {"WPS_RUN_SHARDS": "4", "JOB_COMPLETION_INDEX": "2"}, Shard(3, 4)),
        (None, None, {"WPS_RUN_SHARDS": "9", "WPS_RUN_SHARD": "1/2"}, Shard(1, 2)),
        ("2/4", None, {"WPS_RUN_SHARD": "1/9", "WPS_RUN_SHARDS": "x"}, Shard(2, 4)),
        (None, 3, {"WPS_RUN_SHARD": "1/9", "JOB_COMPLETION_INDEX": "2"}, Shard(3, 3)),
    ],
)
def test_the_command_line_wins_over_the_environment(
    shard: str | None, count: int | None, environment: dict[str, str], expected: Shard | None
) -> None:
    """And `K/N` over a number of shards."""
    assert resolve_shard(shard, count, environment) == expected


@pytest.mark.parametrize(
    ("shard", "count", "environment", "message"),
    [
        ("0/4", None, {}, "1/4 to 4/4"),
        ("5/4", None, {}, "1/4 to 4/4"),
        ("1/0", None, {}, "at least 1 shard"),
        ("2", None, {}, "K/N, such as 2/4"),
        ("-1/4", None, {}, "K/N, such as 2/4"),
        ("1/4/2", None, {}, "K/N, such as 2/4"),
        ("a/b", None, {}, "K/N, such as 2/4"),
        ("²/4", None, {}, "K/N, such as 2/4"),
        ("", None, {}, "K/N, such as 2/4"),
        ("1/4", 4, {}, "leave out --shards"),
        (None, None, {"WPS_RUN_SHARD": "9/4"}, "WPS_RUN_SHARD 9/4"),
        (None, None, {"WPS_RUN_SHARDS": "x"}, "WPS_RUN_SHARDS must be the number"),
        (None, None, {"WPS_RUN_SHARDS": "0"}, "WPS_RUN_SHARDS must be the number"),
        (None, None, {"WPS_RUN_SHARDS": "4"}, "JOB_COMPLETION_INDEX"),
        (None, 4, {}, "--shard K/4"),
        (None, 4, {"JOB_COMPLETION_INDEX": "4"}, "0 to 3"),
        (None, 4, {"JOB_COMPLETION_INDEX": "-1"}, "0 to 3"),
    ],
)
def test_an_invalid_shard_is_refused_with_what_to_write(
    shard: str | None, count: int | None, environment: dict[str, str], message: str
) -> None:
    """No other shard is run instead."""
    with pytest.raises(UsageError) as caught:
        resolve_shard(shard, count, environment)

    assert message in str(caught.value)
