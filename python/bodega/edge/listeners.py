"""Listening sockets that one process gives to another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listeners:
    """Listening sockets, by what is spoken there.

    Attributes:
        plain: Descriptors of those for HTTP.
        tls: Descriptors of those for TLS.
    """

    plain: tuple[int, ...] = ()
    tls: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.plain or self.tls)


NO_LISTENERS = Listeners()
