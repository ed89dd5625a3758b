"""What is asked of a control process, and what it answers: the bodies of its HTTP API."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from bodega.protocol.events import Kind, Name, Scope

MAX_SELECTORS = 1000
MAX_POSITION = 2**53
"""Beyond it not every reader of JSON counts exactly."""


def _on_earth(place: tuple[float, float]) -> tuple[float, float]:
    latitude, longitude = place
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise ValueError("a latitude is -90 to 90, a longitude -180 to 180")
    return place


Place: TypeAlias = Annotated[
    tuple[float, float],
    AfterValidator(_on_earth),
    # As a list of two, which more programs that read such documents understand than the form for tuples.
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
    Field(strict=False, description="Latitude and longitude in degrees."),
]
_Lifetime: TypeAlias = Annotated[
    float | None, Field(gt=0, le=315_360_000, description="At most ten years; by default without an end.")
]


class _Body(BaseModel):
    # What is no number would be no JSON either, once it is told to others.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Asked(_Body):
    # `true` is not taken for 1, nor "yes" for true.
    model_config = ConfigDict(strict=True)


class Problem(_Body):
    """One thing that is wrong, and where."""

    what: str
    hint: str = ""
    where: str = ""
    line: int | None = None
    path: list[str | int] = []


class Refused(_Body):
    """Why nothing was done."""

    error: str
    hint: str = ""
    problems: list[Problem] = []


class Invalidate(_Asked):
    """What is to be forgotten, everywhere."""

    selectors: Annotated[list[Annotated[str, Field(max_length=2048)]], Field(min_length=1, max_length=MAX_SELECTORS)]
    soft: bool = False
    key: Annotated[str | None, Field(max_length=160, description="The same request with the same key counts once.")] = (
        None
    )


class Invalidation(_Body):
    """An invalidation, and how far it has come."""

    id: str
    position: int
    time_ms: int
    by: str
    selectors: list[str]
    soft: bool
    applied: dict[str, float] = Field(
        default={}, description="Edges that have applied it, and the milliseconds it took."
    )
    waiting: list[str] = Field(default=[], description="Edges that are here and have not applied it yet.")
    away: list[str] = Field(default=[], description="Edges that are away: it reaches them when they come back.")
    is_complete: bool = False
    acknowledged_ms: int = Field(
        default=0,
        description="A time by which it was known here, in milliseconds since 1970: `strict` counts from it.",
    )
    strict_seconds: float | None = Field(
        default=None,
        description="The longest `strict` of the configuration in force: after so long a behavior that has it serves "
        "nothing of what was forgotten, on edges that are away as well. None: no behavior has it.",
    )
    unbound: list[str] = Field(
        default=[],
        description="Edges that are away and may serve another configuration than that: `strict_seconds` says nothing "
        "of them.",
    )


class Publish(_Asked):
    """A whole configuration: the text of `bodega.toml` without `[edge]`."""

    text: Annotated[str, Field(max_length=900_000)]
    comment: Annotated[str, Field(max_length=1000)] = ""
    expects: Annotated[
        int | None, Field(description="The revision that is to be replaced; another one is a conflict.")
    ] = None
    dry_run: bool = False


class Revision(_Body):
    """A configuration that was published."""

    revision: int
    position: int
    time_ms: int
    by: str
    comment: str
    rolled_back_to: int | None = None
    is_in_force: bool = False


class Configuration(Revision):
    """The same with its text."""

    text: str


_HeardEvery: TypeAlias = Annotated[
    float, Field(ge=1, le=3600, description="How often it is heard of: after three times as long it is away.")
]


class _FromEdge(BaseModel):
    # An edge may be a version ahead: what it says beyond this is not understood here, and nothing is lost.
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class Register(_FromEdge):
    """What an edge says of itself."""

    instance: Annotated[str, Field(min_length=8, max_length=64, description="Of this one process.")]
    region: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Kind = "regional"
    place: Place | None = None
    capacity: Annotated[float, Field(gt=0, le=1e6, strict=True)] = 1.0
    version: Annotated[str, Field(max_length=64, description="Of bodega.")] = ""
    heard_every_seconds: _HeardEvery = 1.0
    replaces: Annotated[
        str | None,
        Field(min_length=8, max_length=64, description="The process of the same name that this one takes over from."),
    ] = None


class At(_Body):
    """Where in the journal somebody is."""

    journal: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    epoch: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    position: Annotated[int, Field(ge=0, le=MAX_POSITION)]
    chain: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class Heartbeat(_FromEdge):
    """What an edge says every second, and as soon as it has applied something."""

    instance: Annotated[str, Field(min_length=8, max_length=64)]
    number: Annotated[
        int | None,
        Field(ge=0, le=MAX_POSITION, description="Grows with each: one that was overtaken on the way is passed over."),
    ] = None
    at: At | None = None
    heard_every_seconds: _HeardEvery = 1.0
    leaves: Annotated[bool, Field(description="It ends, and is away from now on: nobody has to wait for it.")] = False
    revision: int | None = None
    problem: Annotated[str, Field(max_length=1000)] = ""
    load: Annotated[float, Field(ge=0)] = 0.0
    hit_rate: Annotated[float, Field(ge=0, le=1)] = 0.0


class Heard(_Body):
    """What an edge is told in turn."""

    position: int
    drained: bool
    journal: str = Field(default="", description="Of which journal that position is.")
    epoch: str = Field(default="", description="The epoch in force.")
    acknowledge_within_ms: int = Field(
        default=0, description="How soon to say what was applied, at a moment of its own choice within; 0: at once."
    )
    heartbeat_seconds: float = Field(default=1.0, description="How often to say that it is here.")


class Edge(_Body):
    """An edge of the fleet."""

    name: Name
    region: str
    kind: Kind
    place: Place | None
    capacity: float
    version: str = ""
    drained: bool
    is_here: bool
    position: int | None
    behind: int | None
    revision: int | None
    problem: str
    load: float
    hit_rate: float
    last_heard_ms: int | None


class Invite(_Asked):
    """An edge that is to join."""

    name: Name
    region: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    kind: Kind | None = None
    place: Place | None = None
    capacity: Annotated[float | None, Field(gt=0, le=1e6)] = None
    expires_in_seconds: _Lifetime = None
    url: Annotated[
        str | None,
        Field(
            max_length=300,
            pattern=r"^https?://[A-Za-z0-9.:_\[\]-]+/?$",
            description="This control process as the edge reaches it; by default as the question did.",
        ),
    ] = None


class Invitation(_Body):
    """What an edge needs to join; the token is told this once."""

    name: Name
    token: str
    token_id: str
    command: str
    expires_ms: int | None = None


class NewToken(_Asked):
    """A token that is to be made."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)]
    expires_in_seconds: _Lifetime = None
    edge: Annotated[Name | None, Field(description="The one edge that it is for; its scope is `edges` alone.")] = None


class Token(_Body):
    """A token, without its secret."""

    id: str
    name: Name
    scopes: list[Scope]
    expires_ms: int | None
    edge: Name | None = None


class MadeToken(Token):
    """A token with its secret, which is told this once."""

    token: str


class Journaled(_Body):
    """An event, for people who look who changed what."""

    position: int
    time_ms: int
    type: str
    version: int
    by: str
    data: dict[str, object]


class Health(_Body):
    """How the control process is."""

    status: Literal["ok"]
    position: int
    n_edges: int
    n_here: int
