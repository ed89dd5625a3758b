"""What an edge has of the control process that it follows: it applies what the journal says, and says how far that is.

`agent` is its threads, `link` how the control process is asked, `stream` what it says without end, `lease` since when
nothing is missing, `kept` what outlives the process, `explain` what is wrong in words. Nothing of it looks at the time
of day. `docs/concepts/journal.md` describes the stream. Start at `Agent`.
"""

from __future__ import annotations

from bodega.edge.agent.agent import Agent
from bodega.edge.agent.kept import Kept
from bodega.edge.agent.link import ControlLink

__all__ = ["Agent", "ControlLink", "Kept"]
