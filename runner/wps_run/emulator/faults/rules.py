"""FaultInjector on demand: how a fault is written, and which requests it strikes. No I/O, no clock.

A fault is a kind and what narrows it down: `429,retry-after=2,share=10%,on=SendToGroup`.
Its luck depends on the seed, its place among the faults and the number of the request among
those that it is meant for, so that a run with the same seed meets the same faults.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """What a fault does to a request."""

    STATUS = "status"
    DELAY = "delay"
    STALL = "stall"
    RESET = "reset"
    HALF = "half"


class FaultTiming(StrEnum):
    """Whether a fault comes before or after the effect of the request."""

    BEFORE = "before"
    AFTER = "after"


class FaultWait(StrEnum):
    """In which header a caller is told how long to wait."""

    SECONDS = "retry-after"
    DATE = "retry-after-date"
    MILLISECONDS = "retry-after-ms"


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """One fault, and which requests it is meant for.

    Attributes:
        text: The fault as it was written.
        kind: What it does.
        status: The HTTP status of `FaultKind.STATUS`, else 0.
        seconds: How long `FaultKind.DELAY` takes, else 0.
        moment: Before or after the effect.
        wait: How the caller is told to wait, or None.
        wait_seconds: How long it is told to wait.
        operations: The operations it is meant for, in lower case; empty for all.
        hub: The hub it is meant for, in lower case; "" for all.
        share: Which part of those requests it strikes, more than 0 and at most 1.
        count: The most requests it strikes, or None.
        every: It strikes each `every`th of them.
        nth: The numbers of the requests it strikes, from 1; empty for all.
    """

    text: str
    kind: FaultKind
    status: int = 0
    seconds: float = 0
    moment: FaultTiming = FaultTiming.BEFORE
    wait: FaultWait | None = None
    wait_seconds: float = 0
    operations: frozenset[str] = frozenset()
    hub: str = ""
    share: float = 1
    count: int | None = None
    every: int = 1
    nth: frozenset[int] = frozenset()

    def is_meant_for(self, operation: str, hub: str) -> bool:
        """Whether a request is one of those it may strike."""
        if self.operations and operation.lower() not in self.operations:
            return False
        return not self.hub or hub == self.hub


@dataclass(slots=True)
class FaultCounter:
    """How often a fault was met: the requests it is meant for, and those it struck."""

    fault: InjectedFault
    meant: int = 0
    struck: int = 0


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """What befalls one request: delays add up, and at most one other fault strikes.

    Attributes:
        delays: The delays.
        fault: The fault that is no delay, or None.
    """

    delays: tuple[InjectedFault, ...] = ()
    fault: InjectedFault | None = None

    def __bool__(self) -> bool:
        return bool(self.delays) or self.fault is not None

    @property
    def texts(self) -> tuple[str, ...]:
        """The faults as they were written."""
        return tuple(one.text for one in (*self.delays, self.fault) if one is not None)

    def delay(self, moment: FaultTiming) -> float:
        """Seconds to wait before or after the effect."""
        return sum(one.seconds for one in self.delays if one.moment is moment)


NO_FAULT = FaultDecision()


@dataclass(slots=True)
class FaultInjector:
    """The faults in force, in order.

    Attributes:
        seed: What their luck depends on.
        tallies: Each fault with its counts.
    """

    seed: int
    tallies: list[FaultCounter] = field(default_factory=list)

    def add(self, faults: Iterable[InjectedFault]) -> None:
        """Put further faults behind those in force."""
        self.tallies += map(FaultCounter, faults)

    def replace(self, faults: Iterable[InjectedFault], seed: int | None = None) -> None:
        """Put these in force instead, with a new seed if one is given; counts begin anew."""
        self.tallies = list(map(FaultCounter, faults))
        if seed is not None:
            self.seed = seed

    def remove(self, text: str) -> bool:
        """Take the first fault that is written so out of force; False when there is none.

        A fault behind it has other luck from now on, since that depends on its place.
        """
        for place, tally in enumerate(self.tallies):
            if tally.fault.text == text:
                del self.tallies[place]
                return True
        return False

    def next(self, operation: str, hub: str) -> FaultDecision:
        """Decide what befalls the next request.

        Args:
            operation: The name of its operation.
            hub: The lower-case name of its hub.
        """
        if not self.tallies:
            return NO_FAULT
        delays: list[InjectedFault] = []
        struck: InjectedFault | None = None
        for place, tally in enumerate(self.tallies):
            fault = tally.fault
            if not fault.is_meant_for(operation, hub):
                continue
            tally.meant += 1
            if not self._strikes(place, tally) or (struck and fault.kind is not FaultKind.DELAY):
                continue
            tally.struck += 1
            if fault.kind is FaultKind.DELAY:
                delays.append(fault)
            else:
                struck = fault
        return FaultDecision(tuple(delays), struck)

    def _strikes(self, place: int, tally: FaultCounter) -> bool:
        fault, number = tally.fault, tally.meant
        if fault.nth and number not in fault.nth:
            return False
        if number % fault.every or (fault.count is not None and tally.struck >= fault.count):
            return False
        return fault.share >= 1 or _luck(self.seed, place, number) < fault.share


def _luck(seed: int, place: int, number: int) -> float:
    """A number from 0 up to 1, the same whenever it is asked for."""
    digest = hashlib.blake2b(f"{seed} {place} {number}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
