"""What browsers are told about coming by HTTPS again: `Strict-Transport-Security` (RFC 6797)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

from bodega.distributions import checks
from bodega.distributions.shapes import DurationShape, FlagShape, about
from bodega.errors import ConfigInvalid
from bodega.units import Duration

_PRELOAD_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Hsts:
    """Have browsers come by HTTPS alone, for a while.

    Example:
        >>> Hsts("1y", include_subdomains=True).preload
        False

    Attributes:
        max_age: For how long a browser remembers it; 0 makes it forget.
        include_subdomains: Whether it holds for all names below the host as well.
        preload: Whether browsers may have the host in the list that they come with. Hard to take back.
    """

    max_age: Duration = field(
        metadata=about(
            DurationShape(), "For how long a browser remembers it, from each answer on; `0` makes it forget."
        )
    )
    _: KW_ONLY
    include_subdomains: bool = field(
        default=False, metadata=about(FlagShape(), "It holds for all names below the host as well.")
    )
    preload: bool = field(
        default=False,
        metadata=about(
            FlagShape(),
            "Browsers may put the host into the list they come with, which is hard to take back. "
            "Needs a year and `include_subdomains`.",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        seconds = checks.duration(self.max_age, "max_age")
        checks.flag(self.include_subdomains, "include_subdomains")
        checks.flag(self.preload, "preload")
        if self.preload and seconds < _PRELOAD_SECONDS:
            raise ConfigInvalid(
                f'"{self.max_age}" is too short for `preload`', hint='write "1y" or longer', path=("max_age",)
            )
        if self.preload and not self.include_subdomains:
            raise ConfigInvalid(
                "`preload` is for a host with all names below it",
                hint="set include_subdomains = true, or leave `preload` out",
                path=("preload",),
            )
