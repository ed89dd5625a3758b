"""What the events up to a position come to. Pure: a fold, and its form as a checkpoint."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from pydantic import BaseModel, PrivateAttr

from bodega.errors import JournalDamaged, JournalError
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
MOST_CHARACTERS = 8 << 20
"""How long the selectors of all invalidations that are remembered are together: some 400,000."""
MOST_REVISION_CHARACTERS = 64 << 20
"""How long all configurations that are kept are together; the one in force always is."""


_MEND = "`bodega journal check` says how far it is sound; `bodega journal restore` mends"


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
    _invalidation_characters: int = PrivateAttr(default=0)
    _revision_characters: int = PrivateAttr(default=0)

    def model_post_init(self, _: object, /) -> None:
        """Count what came with a checkpoint."""
        self._invalidation_characters = sum(_length(kept.said.selectors) for kept in self.invalidations.values())
        self._revision_characters = sum(len(kept.said.text) for kept in self.revisions.values())

    def apply(self, event: Event) -> None:
        """Take one more event.

        Raises:
            Unknown: If it is one that whoever does not know it must stop at.
            JournalDamaged: If it does not say what its type and version say.
        """
        try:
            told = said(event)
        except ValueError:
            # Not what is there: it may hold what is nobody's business.
            what = f"event {event.position} of the journal is no {event.type} of version {event.version}"
            raise JournalDamaged(what, position=event.position, hint=_MEND) from None
        match told:
            case InvalidationRequested() as asked:
                if (same := self.invalidations.pop(asked.id, None)) is not None:
                    self._invalidation_characters -= _length(same.said.selectors)
                self.invalidations[asked.id] = KeptInvalidation(
                    position=event.position, time_ms=event.time_ms, by=event.by, said=asked
                )
                self._invalidation_characters += _length(asked.selectors)
                while len(self.invalidations) > MOST_INVALIDATIONS or self._invalidation_characters > MOST_CHARACTERS:
                    _, oldest = self.invalidations.popitem(last=False)
                    self._invalidation_characters -= _length(oldest.said.selectors)
            case ConfigurationPublished() as published:
                if (replaced := self.revisions.get(published.revision)) is not None:
                    self._revision_characters -= len(replaced.said.text)
                self.revisions[published.revision] = KeptRevision(
                    position=event.position, time_ms=event.time_ms, by=event.by, said=published
                )
                self._revision_characters += len(published.text)
                while len(self.revisions) > MOST_REVISIONS or (
                    self._revision_characters > MOST_REVISION_CHARACTERS and len(self.revisions) > 1
                ):
                    _, first = self.revisions.popitem(last=False)
                    self._revision_characters -= len(first.said.text)
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
        """Read what `checkpoint` returned.

        Raises:
            JournalDamaged: If it is something else.
        """
        try:
            return cls.model_validate_json(state)
        except ValueError:
            raise JournalDamaged("the journal's newest checkpoint is not what was written", hint=_MEND) from None


def _length(selectors: tuple[str, ...]) -> int:
    return sum(map(len, selectors))
