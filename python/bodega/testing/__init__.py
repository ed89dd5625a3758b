"""What tests of an edge need: a scripted origin over real sockets, a free port, one way to wait.

Nothing here talks with an edge or knows of one. Start at `Origin`.
"""

from __future__ import annotations

from bodega.testing.answer import Answer, Received
from bodega.testing.origin import Origin
from bodega.testing.ports import free_port
from bodega.testing.waiting import wait_until

__all__ = [
    "Answer",
    "Origin",
    "Received",
    "free_port",
    "wait_until",
]
