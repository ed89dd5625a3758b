"""Edges that do something wrong on purpose, so that the checker is seen to find it: `... MUTATION edge ...`."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from bodega.cli import main
from bodega.edge.agent.agent import Agent


def acknowledges_early() -> None:
    """Say that a batch is applied half a second before it is."""
    apply, heartbeat = Agent._apply, Agent._heartbeat
    claimed: dict[str, Any] = {}

    def applies_later(agent: Agent, batch: bytes) -> None:
        said = json.loads(batch)
        claimed["at"] = {
            "journal": said["journal"],
            "epoch": said["epoch"],
            "position": said["events"][-1]["position"],
            "chain": said["chain"],
        }
        agent._due.wake()
        time.sleep(0.5)
        apply(agent, batch)
        claimed.clear()

    def claims(agent: Agent) -> dict[str, Any]:
        return {**heartbeat(agent), **claimed}

    Agent._apply = applies_later  # type: ignore[method-assign, assignment]
    Agent._heartbeat = claims  # type: ignore[method-assign, assignment]


def loses_some() -> None:
    """Apply nothing of every third batch, and say that it was applied."""
    apply = Agent._apply
    n_batches = 0

    def applies_some(agent: Agent, batch: bytes) -> None:
        nonlocal n_batches
        n_batches += 1
        if n_batches % 3 == 0:
            said = json.loads(batch)
            for event in said["events"]:
                if event["type"] == "invalidation.requested":
                    event["data"]["selectors"] = ["tag:of-nothing"]
            batch = json.dumps(said).encode()
        apply(agent, batch)

    Agent._apply = applies_some  # type: ignore[method-assign, assignment]


MUTATIONS = {each.__name__: each for each in (acknowledges_early, loses_some)}

if __name__ == "__main__":
    MUTATIONS[sys.argv.pop(1)]()
    main()
