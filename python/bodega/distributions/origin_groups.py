"""Origins of origins: several that stand in for one another, one by region, or models under the same paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from fnmatch import fnmatchcase
from typing import TypeAlias

from bodega.distributions import checks
from bodega.distributions.model import Model
from bodega.distributions.origins import S3, HttpOrigin, SingleOrigin, origin_from_url
from bodega.distributions.shapes import CountShape, ListShape, MapShape, NameShape, about
from bodega.errors import ConfigInvalid

_MAX_MEMBERS = 8
_MAX_MODELS = 1_000
_MAX_REGIONS = 256


@dataclass(frozen=True, slots=True)
class OriginGroup:
    """Origins that stand in for one another: the first is asked, and where it fails the next.

    Only `GET`, `HEAD` and `OPTIONS` without a body go to another member than the first.

    Example:
        >>> OriginGroup(["site-a", "site-b"]).failover
        (500, 502, 503, 504)

    Attributes:
        group: 2 to 8 origins in the order in which they are asked: names of declared ones, addresses, or nouns.
        failover: Statuses after which the next member is asked, as it is after no answer at all; 400 to 599.
    """

    group: Sequence[str | SingleOrigin] = field(
        metadata=about(
            ListShape(NameShape("origins")),
            "2 to 8 origins in the order in which they are asked: names of declared ones, or addresses.",
        )
    )
    _: KW_ONLY
    failover: Sequence[int] = field(
        default=(500, 502, 503, 504),
        metadata=about(
            ListShape(CountShape(400, 599)),
            "Statuses after which the next member is asked. It always is when one gives no answer.",
            default="`[500, 502, 503, 504]`",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        if isinstance(self.group, str) or not isinstance(self.group, Sequence):
            raise ConfigInvalid(
                f"a {type(self.group).__name__} is not a list of origins",
                hint='for instance ["site-a", "site-b"]',
                path=("group",),
            )
        members = tuple(_member(member, "group", index) for index, member in enumerate(self.group))
        if not 2 <= len(members) <= _MAX_MEMBERS:
            what = "a group of one has nobody to turn to" if len(members) == 1 else f"a group of {len(members)}"
            raise ConfigInvalid(what, hint=f"name 2 to {_MAX_MEMBERS} origins", path=("group",))
        for index, member in enumerate(members):
            if member in members[:index]:
                raise ConfigInvalid("the same origin is there twice", hint="name it once", path=("group", index))
        object.__setattr__(self, "group", members)
        statuses = checks.counts(self.failover, 400, 599, "failover")
        object.__setattr__(self, "failover", tuple(dict.fromkeys(statuses)))


@dataclass(frozen=True, slots=True)
class RegionalOrigin:
    """An origin that is reached differently from each region: a copy nearby, a private way.

    Which one an edge asks is settled when it gets its configuration; nothing is decided per request.

    Example:
        >>> site = RegionalOrigin({"ap-*": "site-tokyo"}, otherwise="https://www.example.com")
        >>> site.in_region("ap-northeast-1")
        'site-tokyo'

    Attributes:
        regions: From regions, in which ``*`` stands for any characters, to names of declared origins, addresses, or
            nouns; the first that matches counts.
        otherwise: What is asked from everywhere else.
    """

    regions: Mapping[str, str | SingleOrigin] = field(
        metadata=about(
            MapShape(NameShape("origins"), "region"),
            "From regions of edges, in which `*` stands for any characters, to names of declared origins or addresses; "
            "the first that matches counts.",
        )
    )
    _: KW_ONLY
    otherwise: str | SingleOrigin = field(
        metadata=about(NameShape("origins"), "What edges in all other regions ask: a name or an address.")
    )

    def __post_init__(self) -> None:
        """Check every field."""
        if not isinstance(self.regions, Mapping):
            raise ConfigInvalid(
                f"a {type(self.regions).__name__} is no table of regions",
                hint='for instance { "ap-*" = "site-tokyo" }',
                path=("regions",),
            )
        if not 1 <= len(self.regions) <= _MAX_REGIONS:
            raise ConfigInvalid(
                f"{len(self.regions)} regions",
                hint=f"name 1 to {_MAX_REGIONS}; others ask `otherwise`",
                path=("regions",),
            )
        for region in self.regions:
            checks.edge_pattern(region, "regions", region)
        members = {region: _member(member, "regions", region) for region, member in self.regions.items()}
        object.__setattr__(self, "regions", members)
        object.__setattr__(self, "otherwise", _member(self.otherwise, "otherwise"))

    @property
    def members(self) -> tuple[str | SingleOrigin, ...]:
        """All that it may come to."""
        return (*self.regions.values(), self.otherwise)

    def in_region(self, region: str) -> str | SingleOrigin:
        """Return what is asked from a region."""
        for pattern, member in self.regions.items():
            if fnmatchcase(region, pattern):
                return member
        return self.otherwise


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """Models that answer under the same paths, each under its name: ``/models/NAME/predict``, ``/v2/models/NAME``.

    Of several that are versions of one model, the first is asked where no version is named.

    Example:
        >>> ModelGroup(["fraud", "language"]).models
        ('fraud', 'language')

    Attributes:
        models: 1 to 1000 models: names of declared ones, or nouns.
    """

    models: Sequence[str | Model] = field(
        metadata=about(
            ListShape(NameShape("origins")),
            "Names of models. Of several that are versions of one, the first is asked where no version is named.",
        )
    )

    def __post_init__(self) -> None:
        """Check every field."""
        if isinstance(self.models, str) or not isinstance(self.models, Sequence):
            raise ConfigInvalid(
                f"a {type(self.models).__name__} is not a list of models",
                hint='for instance ["fraud", "language"]',
                path=("models",),
            )
        members = tuple(
            member if isinstance(member, Model) else checks.name(member, "models", index)
            for index, member in enumerate(self.models)
        )
        if not 1 <= len(members) <= _MAX_MODELS:
            raise ConfigInvalid(f"a group of {len(members)}", hint=f"name 1 to {_MAX_MODELS} models", path=("models",))
        for index, member in enumerate(members):
            if member in members[:index]:
                raise ConfigInvalid("the same model is there twice", hint="name it once", path=("models", index))
        object.__setattr__(self, "models", members)


Origin: TypeAlias = HttpOrigin | S3 | Model | ModelGroup | OriginGroup | RegionalOrigin
"""Whatever a behavior may fetch from."""


def is_origin(value: object) -> bool:
    """Whether a value is an origin, or an origin of origins."""
    return isinstance(value, HttpOrigin | S3 | Model | ModelGroup | OriginGroup | RegionalOrigin)


def _member(member: object, *path: str | int) -> str | SingleOrigin:
    """A name stays a name, an address becomes an origin."""
    if isinstance(member, HttpOrigin | S3):
        return member
    if isinstance(member, Model | ModelGroup | OriginGroup | RegionalOrigin):
        what = "a choice by region"
        if not isinstance(member, RegionalOrigin):
            what = "a model" if isinstance(member, Model) else "a group"
        raise ConfigInvalid(f"{what} is no member", hint="name origins here instead", path=path)
    if isinstance(member, str) and "://" in member:
        try:
            return origin_from_url(member)
        except ConfigInvalid as error:
            raise error.under(*path) from None
    return checks.name(member, *path)
