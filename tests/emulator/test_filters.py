"""Tests of checking and evaluating filters."""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.filters import compile_filter
from wps_run.emulator.hub import Connection
from wps_run.odata.syntax import DEPTH_LIMIT, FilterError

ADA = Connection("conn-1", "Ada", "json.webpubsub.azure.v1", {"red": None, "a/b": None})
ANONYMOUS = Connection("conn-2")


@pytest.mark.parametrize(
    "text",
    [
        "userId eq 'Ada'",
        "USERID eq 'Ada' and ConnectionId eq 'conn-1'",
        "userId ne 'ada'",
        "not (userId eq 'ada')",
        "'red' in groups and not('blue' in groups)",
        "not 'blue' in groups",
        "'a/b' in groups",
        "userId in ('Bob', 'Ada')",
        "userId in ('O''Brien, J', 'Ada')",
        "not (userId in ())",
        "userId eq null or true",
        "false or true and true",
        "true or false and false",
        "length(userId) eq 3 and length(groups) ge 2",
        "length(userId) gt 2 and length(userId) lt 4 and length(userId) le 3",
        "indexof(userId, 'a') eq 2 and indexof(userId, 'x') eq -1",
        "tolower(userId) eq 'ada' and toupper('a') eq 'A' and trim(' a ') eq 'a'",
        "startswith(userId, 'A') and endswith(userId, 'a') and contains(userId, 'd')",
        "substring(userId, 1) eq 'da' and substring(userId, 1, 1) eq 'd'",
        "substring(userId, 2, 5) eq null",
        "concat(userId, '!') eq 'Ada!' and concat(null, 'x') eq 'x'",
        "protocol eq 'json.webpubsub.azure.v1'",
        "1 ne '1' and true ne 1 and not (true in (1))",
        "length(userId) in (2, 3)",
        "(userId eq 'Ada') eq true",
        "groups eq groups",
    ],
)
def test_a_filter_selects_ada(text: str) -> None:
    """Each part of the service's filter reference."""
    assert compile_filter(text)(ADA) is True


@pytest.mark.parametrize(
    "text",
    [
        "userId eq null",
        "userId in ('x', null)",
        "length(userId) eq null",
        "not (length(userId) gt 0)",
        "not (null lt 1)",
        "tolower(userId) eq null and concat(userId, null) eq null",
        "indexof(userId, 'a') eq -1",
        "not startswith(userId, 'A')",
        "not (userId in groups)",
        "not (userId eq '')",
    ],
)
def test_an_anonymous_connection_has_null_for_a_user(text: str) -> None:
    """Functions return null for null, and null has no order."""
    assert compile_filter(text)(ANONYMOUS) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "invalid filter",
            (
                "Invalid syntax for 'invalid filter': Syntax error at position 14 in "
                "'invalid filter'. (Parameter 'filter')"
            ),
        ),
        (
            "( not 'a' )",
            "Invalid syntax for 'not 'a'': Type 'string', expect 'bool'. (Parameter 'filter')",
        ),
        (
            "userId lt 1",
            "Invalid syntax for 'userId lt 1': Type 'string', expect 'int'. (Parameter 'filter')",
        ),
        (
            "invalid(ab,c)",
            (
                "Invalid syntax for 'invalid(ab,c)': Token 'invalid(ab,c)' is not supported. "
                "(Parameter 'filter')"
            ),
        ),
        (
            "ab eq 1",
            "Invalid syntax for 'ab eq 1': Token 'ab' is not supported. (Parameter 'filter')",
        ),
    ],
)
def test_an_error_has_the_services_message(text: str, message: str) -> None:
    """The first was recorded from the service, the others from its emulator."""
    with pytest.raises(FilterError) as error:
        compile_filter(text)

    assert str(error.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "true or userId",
        "false and 1",
        "true or not 'a'",
        "true or 'a' lt 1",
        "userId",
        "null",
        "length(1) eq 1",
        "tolower(groups) eq 'a'",
        "contains(userId, 1)",
        "concat(1, 'a') eq 'a'",
        "substring(userId, 'a') eq 'a'",
        "'a' in userId",
        "not userId eq 'a'",
        "trim() eq 'a'",
        "length(userId, userId) eq 1",
        "ToLower(userId) eq 'a'",
        "TRUE",
    ],
)
def test_wrong_types_are_refused_even_where_nothing_is_evaluated(text: str) -> None:
    """A filter is checked as a whole before anything is selected."""
    with pytest.raises(FilterError):
        compile_filter(text)


def test_long_chains_do_not_nest() -> None:
    """Twenty thousand alternatives have depth two."""
    text = " or ".join(["userId eq 'x'"] * 20_000 + ["userId eq 'Ada'"])

    assert compile_filter(text)(ADA)


@pytest.mark.parametrize("depth", [DEPTH_LIMIT - 1, DEPTH_LIMIT, 50_000])
@pytest.mark.parametrize(("before", "after"), [("(", ")"), ("not ", ""), ("true eq (", ")")])
def test_depth_is_bounded(depth: int, before: str, after: str) -> None:
    """Deep nesting is an error; an accepted filter can be evaluated."""
    text = before * depth + "true" + after * depth
    try:
        matches = compile_filter(text)
    except FilterError as error:
        assert depth * (2 if "eq" in before else 1) >= DEPTH_LIMIT
        assert "Recursion depth exceeded allowed limit." in str(error)  # noqa: PT017 - or it is accepted
    else:
        assert depth < DEPTH_LIMIT
        assert matches(ADA) in {True, False}


PIECES = st.sampled_from(
    [
        *"(),'-/$@ ",
        *("userId", "groups", "connectionId", "null", "true", "not", "and", "or", "in", "eq"),
        *(
            "lt",
            "ge",
            "'a'",
            "''",
            "1",
            "99999999999",
            "length(",
            "substring(",
            "concat(",
            "é",
            "x",
        ),
    ]
)
FILTERS = st.lists(PIECES, max_size=12).map(" ".join) | st.lists(PIECES).map("".join) | st.text()


@given(text=FILTERS)
def test_any_text_is_a_filter_or_an_error(text: str) -> None:
    """A filter can be evaluated on any connection."""
    try:
        matches = compile_filter(text)
    except FilterError as error:
        assert str(error).endswith("(Parameter 'filter')")  # noqa: PT017 - or it is accepted
    else:
        assert matches(ADA) in {True, False}
        assert matches(ANONYMOUS) in {True, False}


@given(name=st.text())
def test_any_text_can_be_quoted(name: str) -> None:
    """With doubled quotes, a filter can select any user ID."""
    quoted = name.replace("'", "''")

    assert compile_filter(f"userId eq '{quoted}'")(Connection("c", name))


VALID = [
    "userId eq 'O''Brien'",
    "'tenant/42' in groups and not ('b%20' in groups)",
    "USERID in ('ä', '🎉', '') or connectionid ne null",
    "length(groups) gt 1 and indexof(userId, '#') ge -1",
    "userId eq '&x=1+2' or startswith(userId, '$')",
    "((true))",
    "1 eq 1 or userId eq 1",
    " \t userId\neq 'a'",
]
INVALID = [
    "userId",
    "userId eq 'a' &",
    "userId = 'a'",
    "userId eq a",
    "userId eq 'a",
    "userId eq 'a' eq",
    "'a' in group",
    "userId in (userId)",
    "startswith(userId)",
    "TOLOWER(userId) eq 'a'",
    "length(userId) gt 1.5",
    "length(userId) gt 2147483648",
    "not 'a' eq userId",
    "(true",
    "true)",
    "true or 'a' lt 1",
    "\u00a0",
    "groups/any(g: g eq 'a')",
    "not " * 101 + "true",
]


def test_validate_plan_and_run_refuse_the_same_filters(
    run_in_process: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Each on its own line, in an action with the filter and in one that fills in its text."""
    filters = [*INVALID, *VALID]
    playbook = tmp_path / "p.yaml"
    lines = [
        json.dumps({"actionName": "sendToAll", "data": "x", "filter": text}, ensure_ascii=False)
        for text in filters
    ]
    playbook.write_text("hub: chat\nactions:\n" + "".join(f"- {line}\n" for line in lines))
    batch = tmp_path / "b.json"
    batch.write_text("[\n\n" + ",\n".join(lines) + "\n]")
    refused = set(range(3, 3 + len(INVALID)))

    for file in (playbook, batch):
        for args, expected in (
            (("validate",), 1),
            (("plan", "--hub", "chat"), 2),
            (("run", "--local", "--hub", "chat"), 2),
        ):
            code, output = run_in_process(*args, str(file))
            places = re.findall(rf"{file.name}:(\d+):\d+: error", output)
            assert (code, set(map(int, places))) == (expected, refused), output


def test_a_run_with_valid_filters_succeeds(
    run_in_process: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """All of them reach the emulator as they are written."""
    actions = [{"actionName": "sendToAll", "data": "x", "filter": text} for text in VALID]
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps({"hub": "chat", "actions": actions}))

    assert run_in_process("run", "--local", "-q", str(file))[0] == 0


@pytest.mark.parametrize(("filters", "status"), [(VALID, 202), (INVALID, 400)])
async def test_the_emulator_answers_as_the_check_says(
    call: Callable[..., Awaitable[Any]], filters: list[str], status: int
) -> None:
    for text in filters:
        target = f"/api/hubs/chat/:send?filter={quote(text, safe='')}&api-version=2024-12-01"
        assert (await call("POST", target, b"x")).status == status, text
