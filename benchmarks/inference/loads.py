"""What is asked for: rows that never came before, or a mix in which nine of ten come again."""

from __future__ import annotations

from benchmarks.inference.served import Served
from benchmarks.load import Load

N_REPEATED = 1_000
"""So many rows come again and again in the mix."""

_RANGE = 10_000_000
_LAST = 10**12


class NewRows:
    """Ranges of keys, none of which was asked for before."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        """Return the first key of a new range."""
        self._next = (self._next + _RANGE) % _LAST
        return self._next

    def distinct(self, each: Served, n_connections: int, *, rate: float | None = None, timed: bool = False) -> Load:
        """Ask for rows that never came before."""
        return self._load(each, f"from:{self.take()}", n_connections, rate=rate, timed=timed)

    def mixed(self, each: Served, n_connections: int) -> Load:
        """Ask for rows of which nine in ten come again."""
        return self._load(each, f"mixed:{N_REPEATED}:{self.take()}", n_connections, rate=None, timed=False)

    def same(self, each: Served, n_connections: int) -> Load:
        """Ask for one row again and again."""
        return self._load(each, "same:0", n_connections, rate=None, timed=False)

    def _load(self, each: Served, keys: str, n_connections: int, *, rate: float | None, timed: bool) -> Load:
        # Whoever asks has a core for itself: it stays awake, so that no server pays for waking it.
        return Load("", keys, n_connections, is_awake=True, post=each.post, rate=rate, tells_latencies=timed)
