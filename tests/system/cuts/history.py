"""What happened, and whether it may have: a record of purges, acknowledgements and answers, and its checker. Pure.

Times are one machine's steady clock. A *generation* is a journal between two restores, counted from 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Purged:
    """A purge that was acknowledged: what it covers was at least of these versions before it was asked for."""

    id: str
    generation: int
    position: int
    versions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Reached:
    """By this time it was known that an edge had said, and its disk held, that it had applied this much."""

    edge: str
    generation: int
    position: int
    at: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A client was answered by an edge."""

    edge: str
    path: str
    version: int
    began: float
    how: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A client was not answered as it should be."""

    edge: str
    path: str
    began: float
    ended: float
    what: str


@dataclass(frozen=True, slots=True)
class Down:
    """An edge had been killed, and was not listening again yet."""

    edge: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Restored:
    """A generation began from a backup of another one, up to a position."""

    generation: int
    of: int
    position: int


@dataclass
class History:
    """Everything that was seen. Lists are only appended to, by any thread."""

    purged: list[Purged] = field(default_factory=list)
    reached: list[Reached] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    down: list[Down] = field(default_factory=list)
    restored: list[Restored] = field(default_factory=list)
    journal: dict[int, str] | None = None
    """At the end: the purge at each position."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What must not have happened, in words; all empty where everything is as promised."""

    stale: list[str]
    lost: list[str]
    out_of_order: list[str]
    failed: list[str]

    @property
    def all(self) -> list[str]:
        """All of it."""
        return [*self.stale, *self.lost, *self.out_of_order, *self.failed]


def check(history: History) -> Findings:
    """Look for what must not have happened."""
    return Findings(_stale(history), _lost(history), _out_of_order(history), _failed(history))


def _stale(history: History) -> list[str]:
    """Answers to requests that began after their edge had acknowledged a purge, from before that purge."""
    floors = _floors(history)
    found = []
    for each in history.answered:
        times, least = floors.get((each.edge, each.path), ([], []))
        known = bisect_right(times, each.began)
        if known and each.version < least[known - 1]:
            found.append(
                f"{each.edge} answered {each.path} with version {each.version} at {each.began:.3f}, "
                f"after it had acknowledged {least[known - 1]} at {times[known - 1]:.3f} ({each.how})"
            )
    return found


def _floors(history: History) -> dict[tuple[str, str], tuple[list[float], list[int]]]:
    """Return from when on each edge may answer each path with which version at least; both only grow."""
    purges = sorted(history.purged, key=lambda purged: (purged.generation, purged.position))
    order = [(purged.generation, purged.position) for purged in purges]
    floors: dict[tuple[str, str], tuple[list[float], list[int]]] = defaultdict(lambda: ([], []))
    applied: dict[str, int] = defaultdict(int)
    for each in sorted(history.reached, key=lambda reached: reached.at):
        # Of its own generation up to its position, and all of those before: whoever comes from an earlier journal
        # has to confirm everything.
        upto = bisect_right(order, (each.generation, each.position))
        for purged in purges[applied[each.edge] : upto]:
            for path, version in purged.versions.items():
                times, least = floors[each.edge, path]
                if not least or version > least[-1]:
                    times.append(each.at)
                    least.append(version)
        applied[each.edge] = max(applied[each.edge], upto)
    return floors


def _lost(history: History) -> list[str]:
    """Purges that were acknowledged and are not where they were, though no restore took them."""
    if history.journal is None:
        return []
    return [
        f"the purge {each.id} was acknowledged at {each.position} of generation {each.generation}, "
        f"where the journal has {history.journal.get(each.position, 'nothing')}"
        for each in history.purged
        if each.position <= kept_position(history, each.generation) and history.journal.get(each.position) != each.id
    ]


def kept_position(history: History, generation: int) -> float:
    """Return up to where the last journal holds what a generation had; below 0 if nothing."""
    began = {each.generation: each for each in history.restored}
    at, most = max(began, default=0), float("inf")
    while at != generation:
        if at not in began:
            return -1
        most = min(most, began[at].position)
        at = began[at].of
    return most


def _out_of_order(history: History) -> list[str]:
    """Edges that went back within a journal."""
    found = []
    last: dict[tuple[str, int], int] = {}
    for each in sorted(history.reached, key=lambda reached: reached.at):
        before = last.get((each.edge, each.generation), 0)
        if each.position < before:
            found.append(f"{each.edge} went back from {before} to {each.position} of generation {each.generation}")
        last[each.edge, each.generation] = max(before, each.position)
    return found


def _failed(history: History) -> list[str]:
    """Requests that failed though their edge was running."""
    return [
        f"{each.edge} failed for {each.path} at {each.began:.3f}: {each.what}"
        for each in history.failed
        if not any(
            down.edge == each.edge and down.began <= each.ended and each.began <= down.ended for down in history.down
        )
    ]
