"""What events of the journal say: one model a type and version, and what a follower does that does not know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from bodega.journal import NewEvent

if TYPE_CHECKING:
    from bodega.journal import Event, UnlessKnown

Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$")]
"""What names an edge or a token: up to 63 lower-case letters, digits, `-` and `.`."""
Scope: TypeAlias = Literal["read", "purge", "publish", "edges", "admin"]
Kind: TypeAlias = Literal["regional", "shield", "embedded"]


class Said(BaseModel):
    """The data of one type and version of events."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]
    version: ClassVar[int] = 1
    unless_known: ClassVar[UnlessKnown] = "ignore"

    def event(self, *, by: str, key: str | None = None) -> NewEvent:
        """Return what a journal takes."""
        data = self.model_dump(mode="json")
        return NewEvent(self.type, data, version=self.version, unless_known=self.unless_known, by=by, key=key)


class InvalidationRequested(Said):
    """Something is to be forgotten, or to count as stale."""

    type = "invalidation.requested"
    unless_known = "purge"

    id: str
    selectors: tuple[str, ...]
    force: Literal["hard", "soft"] = "hard"


class ConfigurationPublished(Said):
    """Another configuration is in force; `text` is that of `bodega.toml` without `[edge]`."""

    type = "configuration.published"
    unless_known = "stop"

    revision: int
    text: str
    comment: str = ""
    rolled_back_to: int | None = None


class EdgeRegistered(Said):
    """An edge belongs to the fleet, or says something else of itself than before."""

    type = "edge.registered"

    edge: Name
    region: str
    kind: Kind = "regional"
    place: tuple[float, float] | None = None
    """Latitude and longitude in degrees."""
    capacity: float = 1.0
    """Relative to other edges."""
    runs: str = ""
    """The version of bodega that it runs."""


class EdgeRemoved(Said):
    """An edge no longer belongs to the fleet."""

    type = "edge.removed"

    edge: Name


class EdgeDrained(Said):
    """An edge is to get no new clients, or is to get them again."""

    type = "edge.drained"

    edge: Name
    drained: bool


class TokenCreated(Said):
    """Somebody may do something. Only the hash of the secret is kept."""

    type = "token.created"

    id: str
    name: Name
    scopes: tuple[Scope, ...]
    hash: str
    """SHA-256 of the token; 64 hexadecimal digits."""
    expires_ms: int | None = None
    edge: Name | None = None
    """The one edge that it is for: it may do only what that edge does."""


class TokenRevoked(Said):
    """Nobody may do anything with it any more."""

    type = "token.revoked"

    id: str


_KNOWN: dict[tuple[str, int], type[Said]] = {
    (known.type, known.version): known
    for known in (
        InvalidationRequested,
        ConfigurationPublished,
        EdgeRegistered,
        EdgeRemoved,
        EdgeDrained,
        TokenCreated,
        TokenRevoked,
    )
}


def said(event: Event) -> Said | None:
    """Return what an event says; ``None`` if this version of bodega does not know it."""
    known = _KNOWN.get((event.type, event.version))
    return None if known is None else known.model_validate(event.data)
