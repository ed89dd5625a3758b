"""How many files and sockets this program, and whatever it starts, may have open."""

from __future__ import annotations

import contextlib
import resource

WANTED = 140_000
"""Enough for a server that keeps 100,000 cached files open."""


def raise_limit() -> None:
    """Raise the limit as far as possible; beyond the hard limit only some administrators may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(hard, WANTED), hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return


def limit() -> int:
    """Return the limit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
