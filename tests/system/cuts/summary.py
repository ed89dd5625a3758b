"""What a run has shown, as JSON and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.system.cuts.history import Findings, History, kept_position


def summary(history: History, findings: Findings, cuts: Counter[str], *, seed: int, seconds: float) -> dict[str, Any]:
    """Return what can be kept of a run."""
    hits = sum("; hit" in each.how for each in history.answered)
    taken = [each for each in history.purged if each.position > kept_position(history, each.generation)]
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "cuts": {"all": cuts.total(), **dict(sorted(cuts.items()))},
        "edges": len({each.edge for each in history.answered}),
        "purges_acknowledged": len(history.purged),
        "purges_that_a_restore_took": len(taken),
        "acknowledgements_seen": len(history.reached),
        "answers": len(history.answered),
        "answers_from_the_cache": hits,
        "failed_while_their_edge_was_killed": len(history.failed) - len(findings.failed),
        "lost_unnoticed": len(findings.lost),
        "out_of_order": len(findings.out_of_order),
        "stale": len(findings.stale),
        "failed": len(findings.failed),
        "findings": findings.all[:20],
    }


def words(said: Mapping[str, Any]) -> str:
    """Return it as a person reads it."""
    cuts = ", ".join(f"{n:,} {kind}" for kind, n in said["cuts"].items() if kind != "all")
    restored = (
        f"{said['purges_that_a_restore_took']:,} of them out of the journal, and every edge confirmed what it had"
    )
    seen = (
        f"{said['answers_from_the_cache']:,} of them hits, against {said['acknowledgements_seen']:,} acknowledgements"
    )
    lines = [
        f"{said['cuts']['all']:,} cuts in {said['seconds']:,.0f} s (seed {said['seed']}): {cuts}",
        f"{said['purges_acknowledged']:,} purges were acknowledged; restores took {restored}",
        f"{said['answers']:,} answers of {said['edges']} edges, {seen}",
        f"lost unnoticed: {said['lost_unnoticed']}; out of order: {said['out_of_order']}",
        f"stale after the edge had acknowledged: {said['stale']}; failed though the edge ran: {said['failed']}",
    ]
    return "\n".join([*lines, *said["findings"]])
