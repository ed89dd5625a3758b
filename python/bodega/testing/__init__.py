"""What tests of an edge need: a scripted origin, lines with delays and cuts, a free port, one way to wait.

Nothing here talks with an edge or knows of one. Start at `Origin`.
"""

from __future__ import annotations

from bodega.testing.answer import Answer, Received
from bodega.testing.origin import Origin
from bodega.testing.passage import End
from bodega.testing.ports import free_port
from bodega.testing.relay import Network, Relay
from bodega.testing.trouble import Trouble, random_troubles
from bodega.testing.waiting import wait_until

__all__ = [
    "Answer",
    "End",
    "Network",
    "Origin",
    "Received",
    "Relay",
    "Trouble",
    "free_port",
    "random_troubles",
    "wait_until",
]
