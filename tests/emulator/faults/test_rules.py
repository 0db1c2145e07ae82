"""Which requests a fault strikes: by operation, hub, number, share and count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.faults.rules import FaultDecision, FaultInjector, FaultTiming
from wps_run.emulator.faults.syntax import parse_fault


def faults(*texts: str, seed: int = 1) -> FaultInjector:
    """These faults in force."""
    made = FaultInjector(seed)
    made.add(map(parse_fault, texts))
    return made


def struck(
    made: FaultInjector, requests: int, operation: str = "SendToAll", hub: str = "chat"
) -> list[int]:
    """The numbers of the requests that were struck, from 1."""
    return [number for number in range(1, requests + 1) if made.decide(operation, hub)]


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
def test_a_fault_strikes_by_number(text: str, numbers: list[int]) -> None:
    """Counted are the requests that it is meant for."""
    assert struck(faults(text), 6) == numbers


def test_only_requests_it_is_meant_for_are_counted() -> None:
    """The second send to a group in the hub, whatever comes between."""
    made = faults("429,nth=2,on=SendToGroup,hub=Chat")
    asked = [
        ("SendToGroup", "chat"),
        ("SendToAll", "chat"),
        ("SendToGroup", "other"),
        ("SendToGroup", "chat"),
    ]

    assert [bool(made.decide(*one)) for one in asked] == [False, False, False, True]
    assert (made.counters[0].matched, made.counters[0].applied) == (2, 1)


@given(seed=st.integers(0, 2**40))
def test_the_same_seed_strikes_the_same_requests(seed: int) -> None:
    """Luck is no more than a seed and a number."""
    first, second = (struck(faults("429,share=50%", seed=seed), 64) for _ in range(2))

    assert first == second
    assert 0 < len(first) < 64


def test_another_seed_or_place_strikes_others() -> None:
    """Two faults with the same share are not struck together."""
    assert struck(faults("429,share=50%", seed=1), 64) != struck(
        faults("429,share=50%", seed=2), 64
    )
    delays = faults("delay=1,share=50%", "delay=2,share=50%")
    waits = [
        made.delay(FaultTiming.BEFORE)
        for made in (delays.decide("SendToAll", "h") for _ in range(99))
    ]
    assert set(waits) == {0, 1, 2, 3}


def test_a_share_is_kept_to() -> None:
    """Of 10,000 requests a tenth, more or less."""
    assert 900 < len(struck(faults("429,share=10%"), 10_000)) < 1100


def test_the_first_fault_strikes_and_delays_add_up() -> None:
    """A fault that comes too late is not used up."""
    made = faults("503,nth=1", "429,count=1", "delay=1,after", "delay=2,after", "delay=4")

    first, second, third = (made.decide("SendToAll", "h") for _ in range(3))

    assert [one.texts for one in (first, second, third)] == [
        ("delay=1,after", "delay=2,after", "delay=4", "503,nth=1"),
        ("delay=1,after", "delay=2,after", "delay=4", "429,count=1"),
        ("delay=1,after", "delay=2,after", "delay=4"),
    ]
    assert (first.delay(FaultTiming.BEFORE), first.delay(FaultTiming.AFTER)) == (4, 3)


def test_other_faults_begin_to_count_anew() -> None:
    """With a new seed if there is one."""
    made = faults("429,count=1")
    made.decide("SendToAll", "h")

    made.replace([parse_fault("429,count=1")], seed=7)

    assert (made.seed, struck(made, 2)) == (7, [1])
    made.replace([])
    assert (made.seed, made.decide("SendToAll", "h")) == (7, FaultDecision())
