"""Distributions: the hosts of one site, and its behaviors in order."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from bodega.distributions import checks
from bodega.distributions.behavior import Behavior
from bodega.distributions.shapes import ListShape, NounShape, TextShape, about
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        object.__setattr__(self, "hosts", hosts)
        object.__setattr__(self, "behaviors", tuple(self.behaviors))
        if not self.behaviors:
            raise ConfigInvalid(
                "a distribution without behaviors answers nothing", hint='add { origin = "..." }', path=("behaviors",)
            )
        for index, behavior in enumerate(self.behaviors):
            if not isinstance(behavior, Behavior):
                raise ConfigInvalid(f"a {type(behavior).__name__} is not a Behavior", path=("behaviors", index))
