"""Which edges are here, and how far each is. Not in the journal: it is over with this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodega.protocol.api import Heartbeat

MISSED = 3
"""An edge that has missed so many heartbeats is away."""
HEARD_EVERY_SECONDS = 1.0


@dataclass(slots=True)
class Present:
    """What was last heard of an edge."""

    instance: str
    heard_at: float
    heard_ms: int
    every_seconds: float = HEARD_EVERY_SECONDS
    heartbeat: Heartbeat | None = None
    position: int | None = None


class Presence:
    """Who is here.

    Args:
        clock: Seconds that only go on.
        wall_ms: The time in milliseconds since 1970.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Begin with nobody."""
        self._clock = clock
        self._wall_ms = wall_ms
        self._edges: dict[str, Present] = {}

    def other_instance(self, edge: str, instance: str) -> bool:
        """Whether another process that is here has this name."""
        present = self._edges.get(edge)
        return present is not None and present.instance != instance and self.is_here(edge)

    def is_instance(self, edge: str, instance: str | None) -> bool:
        """Whether this process was the last that had the name."""
        present = self._edges.get(edge)
        return present is not None and present.instance == instance

    def hear(
        self,
        edge: str,
        instance: str,
        heartbeat: Heartbeat | None = None,
        *,
        position: int | None = None,
        every_seconds: float = HEARD_EVERY_SECONDS,
    ) -> None:
        """An edge is here, and says how often it is heard of: one that asks now and then is not away in between.

        Args:
            edge: Its name.
            instance: Its process.
            heartbeat: What it says.
            position: How far it has applied this journal, and no other.
            every_seconds: How often it is heard of.
        """
        self._edges[edge] = Present(instance, self._clock(), self._wall_ms(), every_seconds, heartbeat, position)

    def has_overtaken(self, edge: str, said: Heartbeat) -> bool:
        """Whether something that this process said later was heard already."""
        present = self._edges.get(edge)
        heard = None if present is None or present.instance != said.instance else present.heartbeat
        if heard is None or heard.number is None or said.number is None:
            return False
        return said.number <= heard.number

    def forget(self, edge: str) -> None:
        """An edge no longer belongs here."""
        self._edges.pop(edge, None)

    def is_here(self, edge: str) -> bool:
        """Whether it was heard of lately."""
        present = self._edges.get(edge)
        return present is not None and self._clock() - present.heard_at < MISSED * present.every_seconds

    def last(self, edge: str) -> Present | None:
        """What was last heard of it."""
        return self._edges.get(edge)

    def position(self, edge: str) -> int | None:
        """How far it is, as far as it said."""
        present = self._edges.get(edge)
        return None if present is None else present.position
