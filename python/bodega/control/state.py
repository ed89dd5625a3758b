"""What the events up to a position come to. Pure: a fold, and its form as a checkpoint."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from pydantic import BaseModel

from bodega.errors import JournalError
from bodega.protocol.events import (
    ConfigurationPublished,
    EdgeDrained,
    EdgeRegistered,
    EdgeRemoved,
    InvalidationRequested,
    TokenCreated,
    TokenRevoked,
    said,
)

if TYPE_CHECKING:
    from bodega.journal import Event

MOST_INVALIDATIONS = 10_000
"""How many invalidations are remembered one by one, for those who ask how far one has come."""
MOST_REVISIONS = 1_000
"""How many configurations are kept to go back to."""


class KeptInvalidation(BaseModel):
    """An invalidation as it was asked for."""

    position: int
    time_ms: int
    by: str
    said: InvalidationRequested


class KeptRevision(BaseModel):
    """A configuration as it was published."""

    position: int
    time_ms: int
    by: str
    said: ConfigurationPublished


class KeptEdge(BaseModel):
    """An edge of the fleet."""

    said: EdgeRegistered
    drained: bool = False


class Unknown(JournalError):
    """An event that this version does not know, and must not pass over."""


class State(BaseModel):
    """Everything the journal says, up to `position`."""

    position: int = 0
    edges: dict[str, KeptEdge] = {}
    tokens: dict[str, TokenCreated] = {}
    invalidations: OrderedDict[str, KeptInvalidation] = OrderedDict()
    revisions: OrderedDict[int, KeptRevision] = OrderedDict()

    def apply(self, event: Event) -> None:
        """Take one more event.

        Raises:
            Unknown: If it is one that whoever does not know it must stop at.
        """
        match said(event):
            case InvalidationRequested() as asked:
                self.invalidations[asked.id] = KeptInvalidation(
                    position=event.position, time_ms=event.time_ms, by=event.by, said=asked
                )
                while len(self.invalidations) > MOST_INVALIDATIONS:
                    self.invalidations.popitem(last=False)
            case ConfigurationPublished() as published:
                self.revisions[published.revision] = KeptRevision(
                    position=event.position, time_ms=event.time_ms, by=event.by, said=published
                )
                while len(self.revisions) > MOST_REVISIONS:
                    self.revisions.popitem(last=False)
            case EdgeRegistered() as registered:
                drained = registered.edge in self.edges and self.edges[registered.edge].drained
                self.edges[registered.edge] = KeptEdge(said=registered, drained=drained)
            case EdgeRemoved() as removed:
                self.edges.pop(removed.edge, None)
            case EdgeDrained() as drains:
                if drains.edge in self.edges:
                    self.edges[drains.edge].drained = drains.drained
            case TokenCreated() as created:
                self.tokens[created.id] = created
            case TokenRevoked() as revoked:
                self.tokens.pop(revoked.id, None)
            case None if event.unless_known == "stop":
                what = f"event {event.position} of the journal is a {event.type} of version {event.version}"
                raise Unknown(what, hint="use the bodega that wrote it, or a later one")
        self.position = event.position

    @property
    def in_force(self) -> KeptRevision | None:
        """The configuration in force, if there is any."""
        return next(reversed(self.revisions.values()), None)

    def checkpoint(self) -> bytes:
        """Return it as bytes."""
        return self.model_dump_json().encode()

    @classmethod
    def from_checkpoint(cls, state: bytes) -> State:
        """Read what `checkpoint` returned."""
        return cls.model_validate_json(state)
