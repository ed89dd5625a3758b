"""A client of a control process: what the command line does, from Python.

Start at `connect`. Calls block; what takes time returns a handle, which can be waited for or awaited. In a coroutine,
``await asyncio.to_thread(fleet.invalidate, tags=[...])`` keeps the loop free for the call itself.
"""

from __future__ import annotations

from bodega.client.answers import (
    Configuration,
    Event,
    FleetEdge,
    Health,
    Invitation,
    MadeToken,
    PurgeProgress,
    Revision,
    Token,
)
from bodega.client.configurations import Configurations
from bodega.client.edges import Edges
from bodega.client.finding import ControlAddress, find_control
from bodega.client.fleet import Fleet, connect
from bodega.client.invalidation_system import CacheInvalidationSystem
from bodega.client.purge import DirectPurge, Purge
from bodega.client.tokens import Tokens

__all__ = [
    "CacheInvalidationSystem",
    "Configuration",
    "Configurations",
    "ControlAddress",
    "DirectPurge",
    "Edges",
    "Event",
    "Fleet",
    "FleetEdge",
    "Health",
    "Invitation",
    "MadeToken",
    "Purge",
    "PurgeProgress",
    "Revision",
    "Token",
    "Tokens",
    "connect",
    "find_control",
]
