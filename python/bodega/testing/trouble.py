"""What goes wrong on a line, and when: written down, or chosen by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

KINDS: tuple[Literal["stall", "cut", "reset", "refuse"], ...] = ("stall", "cut", "reset", "refuse")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong on a line.

    Attributes:
        at_seconds: When it begins, from when it is played.
        kind: ``"stall"``: nothing passes, nobody is told. ``"cut"``, ``"reset"``: connections are closed, or reset.
            ``"refuse"``: they are reset, and new ones refused.
        seconds: How long a stall or a refusal lasts.
        way: Which way stalls.
    """

    at_seconds: float
    kind: Literal["stall", "cut", "reset", "refuse"]
    seconds: float = 0.0
    way: Literal["there", "back", "both"] = "both"


def random_troubles(seed: int, *, n: int, every_seconds: float, longest_seconds: float) -> list[Trouble]:
    """Return troubles that follow from a seed, one after the other.

    Example:
        >>> random_troubles(7, n=3, every_seconds=1, longest_seconds=4) == random_troubles(
        ...     7, n=3, every_seconds=1, longest_seconds=4
        ... )
        True

    Args:
        seed: The same one gives the same troubles.
        n: How many.
        every_seconds: Between the end of one and the begin of the next, on average.
        longest_seconds: Of a stall or a refusal.
    """
    chance = random.Random(seed)  # noqa: S311 - What is wanted is the same again.
    at_seconds, found = 0.0, []
    for _ in range(n):
        at_seconds += chance.uniform(0, 2 * every_seconds)
        kind = chance.choice(KINDS)
        seconds = chance.uniform(0, longest_seconds) if kind in ("stall", "refuse") else 0.0
        found.append(Trouble(at_seconds, kind, seconds, chance.choice(("there", "back", "both"))))
        at_seconds += seconds
    return found
