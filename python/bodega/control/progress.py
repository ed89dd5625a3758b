"""How far invalidations have come: which edge had applied one after how long."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Callable

_MOST_POSITIONS = 10_000
_MOST_REACHED = 1_000_000
_LEAST_REACHED_OF_AN_EDGE = 64


class Progress:
    """When each invalidation was appended, and when each edge said that it had reached which position.

    What an edge says costs one entry, however many invalidations it has passed; who has reached one is looked up when
    somebody asks.

    Args:
        clock: Seconds that only go on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing."""
        self._clock = clock
        self._began = _Times()
        self._edges: dict[str, _Times] = {}

    def begin(self, position: int, *, seconds_ago: float = 0.0) -> None:
        """An invalidation is in the journal; positions only grow."""
        self._began.append(position, self._clock() - seconds_ago)
        self._began.keep(_MOST_POSITIONS)

    def reach(self, edge: str, position: int) -> bool:
        """An edge has applied everything up to a position; whether that is further than ever before."""
        times = self._edges.get(edge)
        if times is None:
            times = self._edges[edge] = _Times()
        if position <= times.last:
            return False
        times.append(position, self._clock())
        times.keep(max(_LEAST_REACHED_OF_AN_EDGE, min(_MOST_POSITIONS, _MOST_REACHED // len(self._edges))))
        return True

    def forget(self, edge: str) -> None:
        """An edge no longer belongs here."""
        self._edges.pop(edge, None)

    def reached(self, position: int) -> dict[str, float]:
        """Return the edges that have reached an invalidation's position, with the milliseconds it took."""
        began = self._began.at(position)
        if began is None:
            return {}
        found = ((edge, times.first_from(position)) for edge, times in self._edges.items())
        return {edge: max(0.0, (at - began) * 1000) for edge, at in found if at is not None}


class _Times:
    """Positions that only grow, each with a time; the oldest are let go."""

    __slots__ = ("_has_let_go", "_positions", "_seconds")

    def __init__(self) -> None:
        self._positions = array("q")
        self._seconds = array("d")
        self._has_let_go = False

    @property
    def last(self) -> int:
        return self._positions[-1] if self._positions else -1

    def append(self, position: int, seconds: float) -> None:
        self._positions.append(position)
        self._seconds.append(seconds)

    def keep(self, n: int) -> None:
        if len(self._positions) >= 2 * n:
            # Half of them at once, so that it costs little each time.
            del self._positions[:-n]
            del self._seconds[:-n]
            self._has_let_go = True

    def at(self, position: int) -> float | None:
        """Return the time of exactly this position."""
        found = bisect_left(self._positions, position)
        is_there = found < len(self._positions) and self._positions[found] == position
        return self._seconds[found] if is_there else None

    def first_from(self, position: int) -> float | None:
        """Return the time of the first position that is at least this one; ``None`` if that is not known any more."""
        found = bisect_left(self._positions, position)
        if found == len(self._positions) or (found == 0 and self._has_let_go):
            return None
        return self._seconds[found]
