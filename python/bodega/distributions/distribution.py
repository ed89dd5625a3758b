"""Distributions: the hosts of one site, and its behaviors in order."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from bodega.distributions import checks
from bodega.distributions.behavior import Behavior
from bodega.distributions.hsts import Hsts
from bodega.distributions.shapes import ChoiceShape, DurationShape, EitherShape, ListShape, NounShape, TextShape, about
from bodega.errors import ConfigInvalid
from bodega.units import Duration

if TYPE_CHECKING:
    from collections.abc import Sequence

VIEWER_PROTOCOLS = ("allow-all", "redirect-to-https", "https-only")
"""CloudFront's words."""
REGION = "region:"
"""What stands before a region where edges are named."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """The hosts of one site, and what is done with their requests.

    Example:
        >>> shop = Distribution("shop", hosts=["shop.example.com"], behaviors=[
        ...     Behavior("/images/*", origin="s3://shop-images", policy="immutable"),
        ...     Behavior(origin="https://www.origin.example.com")])
        >>> len(shop.behaviors)
        2

    Attributes:
        name: Its name in logs and messages.
        hosts: Exact hosts, ``*.suffix``, or ``*`` for all that no other distribution names.
        behaviors: Tried in order; the first that matches decides.
        viewer_protocol: What clients without HTTPS get: ``"allow-all"``, ``"redirect-to-https"``, ``"https-only"``.
        hsts: How long browsers are told to come by HTTPS alone, or an `Hsts` that says more.
        edges: Which edges serve it: names, or regions after ``region:``; ``*`` in them stands for any characters.
    """

    name: str
    _: KW_ONLY
    behaviors: Sequence[Behavior] = field(
        metadata=about(
            ListShape(NounShape(Behavior)),
            "Tried in order; the first whose path and method match decides. The last one has no path.",
        )
    )
    hosts: str | Sequence[str] = field(
        default=("*",),
        metadata=about(
            ListShape(TextShape(examples=("shop.example.com", "*.shop.example.com")), alone=True),
            "Hosts of the site: exact, `*.suffix`, or `*` for all that no other distribution names.",
        ),
    )

    viewer_protocol: str = field(
        default="allow-all",
        metadata=about(
            ChoiceShape(VIEWER_PROTOCOLS),
            "What a client without HTTPS gets: the same as others, a redirect to the same URL with HTTPS (301, or "
            "307 for other methods than GET and HEAD), or 403.",
        ),
    )
    hsts: Duration | Hsts | None = field(
        default=None,
        metadata=about(
            EitherShape((DurationShape(), NounShape(Hsts))),
            "`Strict-Transport-Security` on answers over HTTPS, in place of what an origin says.",
            default="what origins say",
        ),
    )
    edges: str | Sequence[str] = field(
        default=("*",),
        metadata=about(
            ListShape(TextShape(examples=("tokyo-*", "region:eu-*")), alone=True),
            "Which edges of a fleet serve it: names, or regions after `region:`; `*` stands for any characters. "
            "The others are not told of it.",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        checks.name(self.name, "name")
        alone = isinstance(self.hosts, str)
        members = enumerate(checks.as_tuple(self.hosts, "hosts"))
        hosts = tuple(
            checks.host(member, "hosts") if alone else checks.host(member, "hosts", index) for index, member in members
        )
        if not hosts:
            raise ConfigInvalid(
                "a distribution without hosts answers nobody", hint='leave `hosts` out, or write ["*"]', path=("hosts",)
            )
        for index, host in enumerate(hosts):
            if host in hosts[:index]:
                raise ConfigInvalid(f'the host "{host}" is there twice', hint="remove one", path=("hosts", index))
        if self.viewer_protocol not in VIEWER_PROTOCOLS:
            known = ", ".join(f'"{word}"' for word in VIEWER_PROTOCOLS)
            hint = checks.suggest(str(self.viewer_protocol), VIEWER_PROTOCOLS) or f"write one of {known}"
            raise ConfigInvalid(
                f'"{self.viewer_protocol}" is no rule for viewers', hint=hint, path=("viewer_protocol",)
            )
        self.written_hsts()
        object.__setattr__(self, "hosts", hosts)
        edges = checks.as_tuple(self.edges, "edges")
        for index, edge in enumerate(edges):
            where = ("edges",) if isinstance(self.edges, str) else ("edges", index)
            checks.edge_pattern(edge.removeprefix(REGION), *where)
        if not edges:
            raise ConfigInvalid("no edge would serve it", hint="leave `edges` out for all of them", path=("edges",))
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "behaviors", tuple(self.behaviors))
        if not self.behaviors:
            raise ConfigInvalid(
                "a distribution without behaviors answers nothing", hint='add { origin = "..." }', path=("behaviors",)
            )
        for index, behavior in enumerate(self.behaviors):
            if not isinstance(behavior, Behavior):
                raise ConfigInvalid(f"a {type(behavior).__name__} is not a Behavior", path=("behaviors", index))

    def written_hsts(self) -> Hsts | None:
        """Return what is said of HTTPS in its long form."""
        if self.hsts is None or isinstance(self.hsts, Hsts):
            return self.hsts
        checks.duration(self.hsts, "hsts")
        return Hsts(self.hsts)
