"""Where in a journal an edge is, and what became of events that it was handed. See `docs/concepts/journal.md`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """Up to which event an edge has applied a journal.

    Attributes:
        journal: The journal's identity; 32 hexadecimal digits.
        epoch: The epoch that was in force; 16 hexadecimal digits.
        position: The last event that was applied; 0 before the first.
        chain: The chain there; 32 hexadecimal digits.
    """

    journal: str
    epoch: str
    position: int
    chain: str

    @classmethod
    def from_json(cls, text: str) -> JournalPlace:
        """Read what the native core says."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Write it for the native core."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event that an edge would have to know to go on, and does not.

    Attributes:
        position: Where it is.
        type: What it is.
        version: Which form its data have.
    """

    position: int
    type: str
    version: int


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of a batch of events.

    Attributes:
        place: Where the edge is now.
        n_applied: Of how many events account was taken, those among them that say nothing to an edge.
        n_widened: How often, at least, more was invalidated than was asked for, as it could not be read or had no room.
        is_durable: Whether it holds after a restart; never without a disk.
        waits_for_configuration: The revision that has to be in force before the edge goes on, if it stopped for that.
        stopped_at: The event it stopped at for good, if there was one.
    """

    place: JournalPlace
    n_applied: int
    n_widened: int
    is_durable: bool
    waits_for_configuration: int | None
    stopped_at: UnknownEvent | None

    @classmethod
    def from_json(cls, text: str) -> Followed:
        """Read what the native core says."""
        said: Mapping[str, Any] = json.loads(text)
        stopped = said["stopped_at"]
        return cls(
            place=JournalPlace(**said["place"]),
            n_applied=said["applied"],
            n_widened=said["widened"],
            is_durable=said["durable"],
            waits_for_configuration=said["waits_for_configuration"],
            stopped_at=None if stopped is None else UnknownEvent(**stopped),
        )
