"""How long actions took: percentiles in constant memory. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil

EXACT = 2000
"""Up to so many different durations, in whole microseconds, are kept as they are. Beyond, each
counts as the middle of its bucket, at most 0.4 % from it."""

_BITS = 8
"""A bucket shares the highest bits of its durations, so its width grows with them."""


@dataclass(slots=True)
class Latency:
    """Durations, counted.

    What it says does not depend on the order in which they were added, nor on how they were
    spread over several of these before they were merged.

    Attributes:
        count: How many there are.
        longest: The longest, in microseconds, exactly.
        counts: Microseconds to how many took so long.
        coarse: Whether they are counted by buckets.
    """

    count: int = 0
    longest: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    coarse: bool = False

    def add(self, milliseconds: float) -> None:
        """Count one duration."""
        took = round(milliseconds * 1000)
        self.count += 1
        self.longest = max(self.longest, took)
        self.counts[_middle(took) if self.coarse else took] += 1
        if not self.coarse and len(self.counts) > EXACT:
            self._fold()

    def merge(self, other: "Latency") -> None:
        """Count those of another one too, as of another share of the same run."""
        self.count += other.count
        self.longest = max(self.longest, other.longest)
        self.counts.update(other.counts)
        if self.coarse or other.coarse or len(self.counts) > EXACT:
            self._fold()

    @property
    def most(self) -> float:
        """The longest, in milliseconds; 0 when there is none."""
        return self.longest / 1000

    def percentile(self, percent: int) -> float:
        """The duration, in milliseconds, that so many percent do not exceed; 0 when there is none.

        By nearest rank: one of the durations themselves, as far as they are kept exactly.
        """
        rank = ceil(self.count * percent / 100)
        for took in sorted(self.counts):
            rank -= self.counts[took]
            if rank <= 0:
                return min(took, self.longest) / 1000
        return 0.0

    def _fold(self) -> None:
        exact, self.counts = self.counts, Counter()
        for took, count in exact.items():
            self.counts[_middle(took)] += count
        self.coarse = True


def _middle(took: int) -> int:
    """The middle of a duration's bucket, and of its own."""
    shift = max(0, took.bit_length() - _BITS)
    return (took >> shift << shift) + (1 << shift >> 1)
