"""The pace of a run: a smooth ceiling on starts, as arithmetic on a given clock value."""


class Pace:
    """Spreads starts evenly: at most `rate` a second, without a burst after a pause.

    Args:
        rate: The most starts a second, above 0; None for no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = float("-inf")

    def reserve(self, now: float) -> float:
        """Take the next free moment to start.

        Args:
            now: Seconds on a clock that never goes back.

        Returns:
            Seconds from now until that moment, 0 or more.
        """
        start = max(now, self._next)
        self._next = start + self._interval
        return start - now
