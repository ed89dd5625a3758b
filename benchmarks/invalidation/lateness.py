"""How late events came: a histogram, for they are millions."""

from __future__ import annotations

from typing import Any

_STEP = 1.05


class Lateness:
    """Counts times by size, each bucket 5 % wider than the one before."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: dict[int, int] = {}
        self._most_ms = 0.0
        self._n_lines = 0
        self._n_events = 0

    def add(self, milliseconds: float, n_events: int) -> None:
        """A follower got a line whose first event was appended so long ago."""
        self._most_ms = max(self._most_ms, milliseconds)
        bucket = 0
        size = 1.0
        while size < milliseconds:
            size *= _STEP
            bucket += 1
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._n_lines += 1
        self._n_events += n_events

    def take(self) -> dict[str, Any]:
        """Return what was counted, and begin anew."""
        found = {
            "n_lines": self._n_lines,
            "n_events": self._n_events,
            "p50_ms": self._quantile(0.5),
            "p99_ms": self._quantile(0.99),
            "max_ms": self._most_ms,
        }
        self.__init__()  # type: ignore[misc]
        return found

    def _quantile(self, share: float) -> float:
        left = share * self._n_lines
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                return float(_STEP**bucket)
        return 0.0
