"""Since when an edge is known to lack nothing.

It is *level* as of a moment if it has applied all that the control process had acknowledged by then. An answer names
the journal's position at a time after its question was asked; once the edge has applied that position, it was level
when it asked. Only this machine's steady clock counts, which nobody sets and which goes on while the machine sleeps.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_OPEN = 64
"""Of answers whose position has not been reached; beyond, the oldest is of no use any more."""


def steady_seconds() -> float:
    """Return the clock: seconds since the machine was started, those it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class _Answered:
    asked_at: float
    position: int


class Lease:
    """Keeps what was answered until the edge has come so far.

    Args:
        clock: Seconds that only go on.
    """

    def __init__(self, clock: Callable[[], float] = steady_seconds) -> None:
        """Begin with nothing known."""
        self._clock = clock
        self._lock = threading.Lock()
        self._history: tuple[str, str] | None = None
        self._open: deque[_Answered] = deque(maxlen=_MOST_OPEN)

    def now(self) -> float:
        """Return when a question is asked."""
        return self._clock()

    def begin(self, said: Mapping[str, Any]) -> None:
        """Go on in this history: journal and epoch. Positions of another one, however high, prove nothing."""
        history = _history(said)
        with self._lock:
            if history != self._history:
                self._history = history
                self._open.clear()

    def answered(self, asked_at: float, said: Mapping[str, Any]) -> None:
        """Keep an answer, if it is of this history: the position of the journal some time after it was asked for."""
        position, history = said.get("position"), _history(said)
        with self._lock:
            if isinstance(position, int) and history is not None and history == self._history:
                self._open.append(_Answered(asked_at, position))

    def reached(self, position: int) -> float | None:
        """Return as of when nothing was lacking of what had been acknowledged by then; None: nothing new is known.

        A moment and not an age, which would grow until somebody hears of it.

        Args:
            position: Up to where everything is applied.
        """
        with self._lock:
            newest = max((each.asked_at for each in self._open if each.position <= position), default=None)
            if newest is not None:
                self._open = deque((each for each in self._open if each.asked_at > newest), maxlen=_MOST_OPEN)
        return newest


def _history(said: Mapping[str, Any]) -> tuple[str, str] | None:
    journal, epoch = said.get("journal"), said.get("epoch")
    is_named = isinstance(journal, str) and isinstance(epoch, str) and bool(journal) and bool(epoch)
    return (str(journal), str(epoch)) if is_named else None
