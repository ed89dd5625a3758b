"""Where the three edges pretend to be, and how far each is from the origin."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A place with an edge.

    Attributes:
        name: The edge's name, in `Cache-Status` and on screens.
        region: Its region, as metrics name it.
        is_far: Whether the origin is far away from it.
    """

    name: str
    region: str
    is_far: bool

    @property
    def title(self) -> str:
        """The name as a person reads it."""
        return self.name.capitalize()


PLACES = (
    Place("tokyo", "ap-northeast-1", is_far=True),
    Place("london", "eu-west-2", is_far=True),
    Place("virginia", "us-east-1", is_far=False),
)
"""The order of ports, tables and visits. The origin is in Virginia."""

ONE_WAY_DELAY_MS = 75
"""From a far place to the origin, one way: a new connection and a request take four of them."""
