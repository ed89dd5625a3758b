"""How much one token may ask for in a time, and how long a body may be."""

from __future__ import annotations

SELECTORS_PER_SECOND = 5_000.0
"""How many selectors a token may send in a second, on average."""
BURST = 20_000.0
CALLS_PER_SECOND = 500.0
"""How many calls a token may make in a second, on average; what edges say of themselves is not counted."""
CALLS_BURST = 2_000.0
MAX_BODY_BYTES = 2 << 20


class Bucket:
    """What is left to a token: it fills by itself."""

    def __init__(self, rate_per_second: float, burst: float, now: float) -> None:
        """Begin full."""
        self._rate = rate_per_second
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, n: float, now: float) -> float:
        """Take so many; return 0, or the seconds until there are as many, and take none."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if n > self._left:
            return (n - self._left) / self._rate
        self._left -= n
        return 0.0
