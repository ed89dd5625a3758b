"""How far invalidations have come: which edge had applied one after how long."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable

_MOST = 10_000


class Progress:
    """Of each position that was asked about: when it was appended, and which edge has reached it when.

    Args:
        clock: Seconds that only go on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing."""
        self._clock = clock
        # Positions in order, when each began, and what was reached when, side by side.
        self._positions: list[int] = []
        self._began: list[float] = []
        self._reached: list[dict[str, float]] = []
        self._edges: dict[str, int] = {}

    def begin(self, position: int) -> None:
        """An invalidation is in the journal; positions only grow."""
        self._positions.append(position)
        self._began.append(self._clock())
        self._reached.append({})
        if len(self._positions) >= 2 * _MOST:
            # Half of them at once, so that it costs little each time.
            for each in (self._positions, self._began, self._reached):
                del each[:_MOST]

    def reach(self, edge: str, position: int) -> bool:
        """An edge has applied everything up to a position; whether that is further than before."""
        before = self._edges.get(edge, 0)
        self._edges[edge] = position
        if position <= before:
            return False
        now = self._clock()
        for at in range(bisect_right(self._positions, before), bisect_right(self._positions, position)):
            self._reached[at].setdefault(edge, (now - self._began[at]) * 1000)
        return True

    def reached(self, position: int) -> dict[str, float]:
        """Return the edges that have reached a position since it began, with the milliseconds it took."""
        at = bisect_right(self._positions, position) - 1
        return dict(self._reached[at]) if at >= 0 and self._positions[at] == position else {}
