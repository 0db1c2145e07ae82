"""Tests of which requests a fault applies to: by operation, hub, number, share and count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.fault_syntax import parse_fault
from wps_run.emulator.faults import FaultDecision, FaultInjector, FaultTiming


def make_injector(*texts: str, seed: int = 1) -> FaultInjector:
    """Make an injector with these faults."""
    injector = FaultInjector(seed)
    injector.add(map(parse_fault, texts))
    return injector


def affected(
    injector: FaultInjector, requests: int, operation: str = "SendToAll", hub: str = "chat"
) -> list[int]:
    """The numbers of the requests that a fault applies to, from 1."""
    return [number for number in range(1, requests + 1) if injector.decide(operation, hub)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("429", [1, 2, 3, 4, 5, 6]),
        ("429,count=2", [1, 2]),
        ("429,every=2", [2, 4, 6]),
        ("429,every=2,count=2", [2, 4]),
        ("429,nth=3", [3]),
        ("429,nth=5+2", [2, 5]),
    ],
)
def test_a_fault_selects_by_number(text: str, numbers: list[int]) -> None:
    """Only the requests that match it are counted."""
    assert affected(make_injector(text), 6) == numbers


def test_only_matching_requests_are_counted() -> None:
    """The second send to a group in the hub, whatever comes between."""
    injector = make_injector("429,nth=2,on=SendToGroup,hub=Chat")
    requests = [
        ("SendToGroup", "chat"),
        ("SendToAll", "chat"),
        ("SendToGroup", "other"),
        ("SendToGroup", "chat"),
    ]

    assert [bool(injector.decide(*request)) for request in requests] == [False, False, False, True]
    assert (injector.counters[0].matched, injector.counters[0].applied) == (2, 1)


@given(seed=st.integers(0, 2**40))
def test_the_same_seed_selects_the_same_requests(seed: int) -> None:
    """A random decision depends on seed, position and number only."""
    first, second = (affected(make_injector("429,share=50%", seed=seed), 64) for _ in range(2))

    assert first == second
    assert 0 < len(first) < 64


def test_another_seed_or_position_selects_others() -> None:
    """Two faults with the same share select different requests."""
    assert affected(make_injector("429,share=50%", seed=1), 64) != affected(
        make_injector("429,share=50%", seed=2), 64
    )
    delays = make_injector("delay=1,share=50%", "delay=2,share=50%")
    seconds = [
        decision.delay(FaultTiming.BEFORE)
        for decision in (delays.decide("SendToAll", "h") for _ in range(99))
    ]
    assert set(seconds) == {0, 1, 2, 3}


def test_a_share_is_that_fraction_of_the_requests() -> None:
    """About a tenth of 10,000."""
    assert 900 < len(affected(make_injector("429,share=10%"), 10_000)) < 1100


def test_the_first_fault_applies_and_delays_add_up() -> None:
    """A fault behind it does not count as applied."""
    injector = make_injector(
        "503,nth=1", "429,count=1", "delay=1,after", "delay=2,after", "delay=4"
    )

    first, second, third = (injector.decide("SendToAll", "h") for _ in range(3))

    assert [decision.texts for decision in (first, second, third)] == [
        ("delay=1,after", "delay=2,after", "delay=4", "503,nth=1"),
        ("delay=1,after", "delay=2,after", "delay=4", "429,count=1"),
        ("delay=1,after", "delay=2,after", "delay=4"),
    ]
    assert (first.delay(FaultTiming.BEFORE), first.delay(FaultTiming.AFTER)) == (4, 3)


def test_replaced_faults_start_with_new_counts() -> None:
    """With a new seed if one is given."""
    injector = make_injector("429,count=1")
    injector.decide("SendToAll", "h")

    injector.replace([parse_fault("429,count=1")], seed=7)

    assert (injector.seed, affected(injector, 2)) == (7, [1])
    injector.replace([])
    assert (injector.seed, injector.decide("SendToAll", "h")) == (7, FaultDecision())
