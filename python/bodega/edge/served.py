"""What an edge in this process serves, as its caller says it: an origin, a distribution, or everything declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodega.distributions import Declarations, Distribution
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from bodega.units import Duration


def served_first(origin_url: str | None, ttl: Duration | None, distribution: object) -> Declarations:
    """Return what is served at first; nothing where nothing is said, which a control process says later.

    Raises:
        ConfigInvalid: If it cannot be used.
    """
    if origin_url is not None:
        return _of_origin(origin_url, ttl)
    return Declarations() if distribution is None else served(distribution)


def served(declared: object) -> Declarations:
    """Return everything that is declared, be it a distribution alone.

    Raises:
        ConfigInvalid: If it is neither.
    """
    if isinstance(declared, Declarations):
        return declared
    if isinstance(declared, Distribution):
        return Declarations(distributions=[declared])
    raise ConfigInvalid(
        f"a {type(declared).__name__} is neither a Distribution nor Declarations", path=("distribution",)
    )


def _of_origin(url: str, ttl: Duration | None) -> Declarations:
    try:
        return Declarations.of_origin(url, ttl=ttl)
    except ConfigInvalid as error:
        # The argument has another name here.
        raise ConfigInvalid(
            error.what, hint=error.hint, path=("origin_url",) if error.path == ("origin",) else error.path
        ) from None
