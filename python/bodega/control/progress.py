"""How far invalidations have come: which edge had applied one after how long."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import OrderedDict
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
        self._began: OrderedDict[int, float] = OrderedDict()
        self._reached: dict[int, dict[str, float]] = {}
        self._positions: dict[str, int] = {}

    def begin(self, position: int) -> None:
        """An invalidation is in the journal; positions only grow."""
        self._began[position] = self._clock()
        self._reached[position] = {}
        while len(self._began) > _MOST:
            oldest, _ = self._began.popitem(last=False)
            del self._reached[oldest]

    def reach(self, edge: str, position: int) -> bool:
        """An edge has applied everything up to a position; whether that is further than before."""
        before = self._positions.get(edge, 0)
        self._positions[edge] = position
        if position <= before:
            return False
        now = self._clock()
        positions = list(self._began)
        for at in positions[bisect_right(positions, before) : bisect_right(positions, position)]:
            self._reached[at].setdefault(edge, (now - self._began[at]) * 1000)
        return True

    def reached(self, position: int) -> dict[str, float]:
        """Return the edges that have reached a position since it began, with the milliseconds it took."""
        return dict(self._reached.get(position, {}))
