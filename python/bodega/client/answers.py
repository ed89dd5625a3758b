"""What a control process answers, as values. A field that a later version adds is passed over."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bodega.errors import ControlRefused

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class FleetEdge:
    """An edge of the fleet.

    Attributes:
        name: Its name.
        region: Its region.
        kind: ``"regional"``, ``"shield"`` or ``"embedded"``.
        place: Latitude and longitude in degrees.
        capacity: Relative to other edges.
        drained: Whether it is to get no new clients.
        is_here: Whether it was heard of lately.
        position: How far in the journal it is, as far as it said.
        behind: How many events that is behind the journal.
        revision: Of the configuration it serves.
        problem: What it cannot do.
        load: How busy it is.
        hit_rate: Share of requests that it answered from its store, 0 to 1.
        last_heard_ms: When it was last heard of, in milliseconds since 1970.
        version: Of the bodega that it runs.
    """

    name: str
    region: str
    kind: str
    place: tuple[float, float] | None
    capacity: float
    drained: bool
    is_here: bool
    position: int | None
    behind: int | None
    revision: int | None
    problem: str
    load: float
    hit_rate: float
    last_heard_ms: int | None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an edge needs to join.

    Attributes:
        name: The edge's name.
        token: For this edge alone; it is told this once.
        token_id: What the token is revoked by.
        command: To be run on the edge's machine; it holds the token.
        expires_ms: When the token ends, in milliseconds since 1970.
    """

    name: str
    token: str = field(repr=False)
    token_id: str
    command: str = field(repr=False)
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """A configuration that was published.

    Attributes:
        revision: Its number.
        position: Where in the journal it is; 0 for a trial.
        time_ms: When, in milliseconds since 1970.
        by: Whose token it was.
        comment: What was said of it.
        rolled_back_to: Which earlier one it is again.
        is_in_force: Whether it is the one that edges are to serve.
    """

    revision: int
    position: int
    time_ms: int
    by: str
    comment: str
    rolled_back_to: int | None = None
    is_in_force: bool = False


@dataclass(frozen=True, slots=True)
class Configuration(Revision):
    """The same with its text."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without its secret.

    Attributes:
        id: What it is revoked by.
        name: Its name: events say it.
        scopes: What it may do.
        expires_ms: When it ends, in milliseconds since 1970.
        edge: The one edge it is for.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    expires_ms: int | None
    edge: str | None = None


@dataclass(frozen=True, slots=True)
class MadeToken(Token):
    """A token with its secret, which is told this once."""

    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was changed.

    Attributes:
        position: Where in the journal.
        time_ms: When, in milliseconds since 1970.
        type: What: ``"configuration.published"``.
        version: Of the form of its data.
        by: Whose token it was.
        data: What the event says.
    """

    position: int
    time_ms: int
    type: str
    version: int
    by: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Health:
    """How a control process is.

    Attributes:
        status: ``"ok"``.
        position: Of its journal.
        n_edges: Edges of the fleet.
        n_here: Those that are here.
    """

    status: str
    position: int
    n_edges: int
    n_here: int


@dataclass(frozen=True, slots=True)
class PurgeProgress:
    """An invalidation, and how far it has come.

    Attributes:
        id: What it is asked about by.
        position: Where in the journal it is.
        time_ms: When it was asked for, in milliseconds since 1970.
        by: Whose token it was.
        selectors: What is forgotten.
        soft: Whether it is stale instead.
        applied: Edges that have applied it, and the milliseconds it took.
        waiting: Edges that are here and have not applied it yet.
        away: Edges that are away: it reaches them before they serve what it forgets, once they are back.
        is_complete: Whether all that are here have it.
        acknowledged_ms: A time by which it was in force in the control process: what `strict` counts from.
        strict_seconds: The longest `strict` of the configuration in force: a behavior that has it serves nothing of
            what was forgotten after so long, on an edge that is away as well. None if no behavior has it.
        unbound: Edges that are away and may serve another configuration, so that it says nothing of them.
    """

    id: str
    position: int
    time_ms: int
    by: str
    selectors: tuple[str, ...]
    soft: bool
    applied: Mapping[str, float] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    is_complete: bool = False
    acknowledged_ms: int = 0
    strict_seconds: float | None = None
    unbound: tuple[str, ...] = ()

    @property
    def n_edges(self) -> int:
        """How many edges are here, or have applied it."""
        return len(self.applied) + len(self.waiting)

    def milliseconds(self, share: float) -> float | None:
        """Return how long it took until a share of the edges had it, 0 to 1; None if they have not."""
        place = max(1, math.ceil(share * self.n_edges))
        times = sorted(self.applied.values())
        return times[place - 1] if place <= len(times) else None


def read(kind: type[_Answer], said: object) -> _Answer:
    """Read an answer.

    Raises:
        ControlRefused: If it is none of this kind.
    """
    fields = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(said, dict):
        raise ControlRefused("it answered something else than was asked for", hint="is it a control process?")
    needed = [
        name
        for name, each in fields.items()
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in needed if name not in said]
    if missing:
        raise ControlRefused(f"its answer lacks {', '.join(missing)}", hint="is it of another version?")
    return kind(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in said.items() if name in fields}
    )
