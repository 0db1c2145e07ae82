"""How the steps of an approved plan and those of a run are compared, in constant memory."""

import tracemalloc
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.approval import PlannedStep, Window, changes_of


def step(name: str, message: str = "") -> PlannedStep:
    """Return a step with a target; its digest depends on the message as well."""
    return PlannedStep(0, "sendToGroup", {"group": name}, "p.yaml:1", f"{name}/{message}")


def compare(before: Sequence[PlannedStep], now: Sequence[PlannedStep]) -> dict[str, int]:
    """Return how many steps were added, removed and changed."""
    changes = changes_of(Window(iter(before), len(before)), Window(iter(now), len(now)))
    return {change: count for change, count in changes.counts.items() if count}


def steps(numbers: Iterable[int]) -> list[PlannedStep]:
    return [step(f"g{number}") for number in numbers]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("abc", "abc", {}),
        ("abc", "aXbc", {"added": 1}),
        ("abc", "ac", {"removed": 1}),
        ("abc", "Xabc", {"added": 1}),
        ("abc", "abcX", {"added": 1}),
        ("", "abc", {"added": 3}),
        ("abc", "", {"removed": 3}),
        ("abcd", "bcda", {"added": 1, "removed": 1}),
    ],
)
def test_steps_are_found_wherever_they_moved(
    before: str, now: str, expected: dict[str, int]
) -> None:
    assert compare([*map(step, before)], [*map(step, now)]) == expected


def test_step_with_the_same_target_has_changed() -> None:
    before = [step("a"), step("b", "old"), step("c")]

    assert compare(before, [step("a"), step("b", "new"), step("c")]) == {"changed": 1}


def test_removed_steps_are_in_their_order() -> None:
    before = [PlannedStep(number, "sendToAll", {}, f"p:{number}", "x") for number in range(3)]
    before[1] = PlannedStep(1, "sendToGroup", {"group": "a"}, "p:1", "y")
    changes = changes_of(Window(iter(before), 3), Window(iter(()), 0))

    lines = [*changes.lines("steps", lambda _, item: item.source)]

    assert lines == ["steps: 3 removed", "  removed p:0", "  removed p:1", "  removed p:2"]


def test_all_steps_may_have_changed_and_one_be_new() -> None:
    """As with another hub."""
    before = [step(f"g{number}", "old") for number in range(6_000)]
    now = [step("x", "new"), *(step(f"g{number}", "new") for number in range(6_000))]

    assert compare(before, now) == {"added": 1, "changed": 6_000}


@pytest.mark.parametrize("size", [10, 9_000])
@pytest.mark.parametrize("place", [0, 5_000, 10_000])
def test_any_number_of_steps_may_be_new_at_one_place(size: int, place: int) -> None:
    before = steps(range(10_000))
    new = [step(f"new{number}") for number in range(size)]
    now = [*before[:place], *new, *before[place:]]

    assert compare(before, now) == {"added": size}
    assert compare(now, before) == {"removed": size}


@given(
    st.lists(st.integers(0, 5), max_size=30),
    st.lists(st.integers(0, 5), max_size=30),
)
def test_counts_are_those_of_a_way_from_one_to_the_other(before: list[int], now: list[int]) -> None:
    counts = Counter(compare(steps(before), steps(now)))

    assert (not counts) == (before == now)
    assert counts["added"] - counts["removed"] == len(now) - len(before)


def test_comparing_needs_constant_memory() -> None:
    """Even where each step differs."""

    def peak(total: int) -> int:
        before, now = (
            Window((step(f"{side}{number}") for number in range(total)), total) for side in "ab"
        )
        tracemalloc.start()
        changes_of(before, now)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(18_000) < 1.3 * peak(9_000)
