"""Injected faults: what they do and which requests they apply to.

A fault is a kind and options that select requests: `429,retry-after=2,share=10%,on=SendToGroup`.
Randomness depends on the seed, the fault's position among the faults, and the number of the
request among those that match the fault, so that a run with the same seed meets the same faults.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

EVENT_OPERATIONS = ("connect", "connected", "disconnected", "userEvent")
"""The calls of event handlers, to which only faults apply that name them."""


class FaultKind(StrEnum):
    """What a fault does to a request."""

    STATUS = "status"
    DELAY = "delay"
    STALL = "stall"
    RESET = "reset"
    HALF = "half"


class FaultTiming(StrEnum):
    """Whether a fault applies before or after the effect of the request."""

    BEFORE = "before"
    AFTER = "after"


class RetryAfterHeader(StrEnum):
    """The header, and its format, in which a response requests a delay."""

    SECONDS = "retry-after"
    DATE = "retry-after-date"
    MILLISECONDS = "retry-after-ms"


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """One fault and the requests it applies to.

    Attributes:
        status: The HTTP status of `FaultKind.STATUS`, else 0.
        seconds: The duration of `FaultKind.DELAY`, else 0.
        retry_after: The header that requests a delay, or None.
        retry_after_seconds: The requested delay.
        operations: The operations it applies to, in lower case; empty for all.
        hub: The hub it applies to, in lower case; "" for all.
        share: The fraction of those requests it applies to, more than 0 and at most 1.
        count: The maximum number of requests it applies to, or None.
        every: It applies to each `every`th of them.
        nth: The numbers of the requests it applies to, from 1; empty for all.
    """

    text: str
    kind: FaultKind
    status: int = 0
    seconds: float = 0
    timing: FaultTiming = FaultTiming.BEFORE
    retry_after: RetryAfterHeader | None = None
    retry_after_seconds: float = 0
    operations: frozenset[str] = frozenset()
    hub: str = ""
    share: float = 1
    count: int | None = None
    every: int = 1
    nth: frozenset[int] = frozenset()

    def matches(self, operation: str, hub: str) -> bool:
        if self.operations:
            if operation.lower() not in self.operations:
                return False
        elif operation in EVENT_OPERATIONS:
            return False
        return not self.hub or hub == self.hub


@dataclass(slots=True)
class FaultCounter:
    """A fault with the number of requests that matched it and of those it was applied to."""

    fault: InjectedFault
    matched: int = 0
    applied: int = 0


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """The faults for one request: delays add up, and at most one other fault applies."""

    delays: tuple[InjectedFault, ...] = ()
    fault: InjectedFault | None = None

    def __bool__(self) -> bool:
        return bool(self.delays) or self.fault is not None

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(fault.text for fault in (*self.delays, self.fault) if fault is not None)

    def delay(self, timing: FaultTiming) -> float:
        """Return the seconds to wait before or after the effect."""
        return sum(fault.seconds for fault in self.delays if fault.timing is timing)


NO_FAULT = FaultDecision()


@dataclass(slots=True)
class FaultInjector:
    """The active faults, in order, and the seed of their random decisions."""

    seed: int
    counters: list[FaultCounter] = field(default_factory=list)

    def add(self, faults: Iterable[InjectedFault]) -> None:
        self.counters += map(FaultCounter, faults)

    def replace(self, faults: Iterable[InjectedFault], seed: int | None = None) -> None:
        """Replace the active faults, and the seed unless it is None; counts start at 0."""
        self.counters = list(map(FaultCounter, faults))
        if seed is not None:
            self.seed = seed

    def remove(self, text: str) -> bool:
        """Remove the first fault with this source text; return False when there is none.

        The random decisions of later faults change, since they depend on the position.
        """
        for position, counter in enumerate(self.counters):
            if counter.fault.text == text:
                del self.counters[position]
                return True
        return False

    def decide(self, operation: str, hub: str) -> FaultDecision:
        """Decide which faults apply to the next request, and count them; `hub` is in lower case."""
        if not self.counters:
            return NO_FAULT
        delays: list[InjectedFault] = []
        applied: InjectedFault | None = None
        for position, counter in enumerate(self.counters):
            fault = counter.fault
            if not fault.matches(operation, hub):
                continue
            counter.matched += 1
            is_delay = fault.kind is FaultKind.DELAY
            if not self._is_selected(position, counter) or (applied and not is_delay):
                continue
            counter.applied += 1
            if is_delay:
                delays.append(fault)
            else:
                applied = fault
        return FaultDecision(tuple(delays), applied)

    def _is_selected(self, position: int, counter: FaultCounter) -> bool:
        fault, number = counter.fault, counter.matched
        if fault.nth and number not in fault.nth:
            return False
        if number % fault.every or (fault.count is not None and counter.applied >= fault.count):
            return False
        return fault.share >= 1 or _random_fraction(self.seed, position, number) < fault.share


def _random_fraction(seed: int, position: int, number: int) -> float:
    digest = hashlib.blake2b(f"{seed} {position} {number}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
