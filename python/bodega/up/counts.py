"""What an edge has counted, as its `/stats` says it, and what follows from it: hit rates, bytes saved."""

from __future__ import annotations

import json
from dataclasses import dataclass

FROM_CACHE = frozenset({"hit", "stale", "collapsed"})
"""Outcomes that asked nothing of the origin for themselves. A revalidation asks, even if little comes back."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies of one level.

    Attributes:
        count: Requests answered from there.
        p50_seconds: Half of them were at most this slow.
        p99_seconds: 99 of 100 were at most this slow.
    """

    count: int = 0
    p50_seconds: float = 0.0
    p99_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class EdgeCounts:
    """What one edge has counted since it started.

    Attributes:
        region: Its region.
        name: Its name.
        requests: Requests in all.
        by_outcome: Requests by outcome.
        latency: By level: ``l1``, ``l2``, ``miss``, ``none``.
        bytes_sent: To clients.
        bytes_from_origin: From origins.
        origin_requests: Requests to origins.
        entries: Stored answers.
        used_bytes: Memory they take.
        capacity_bytes: Memory they may take.
    """

    region: str
    name: str
    requests: int
    by_outcome: dict[str, int]
    latency: dict[str, Latency]
    bytes_sent: int
    bytes_from_origin: int
    origin_requests: int
    entries: int
    used_bytes: int
    capacity_bytes: int

    @classmethod
    def from_json(cls, text: str | bytes) -> EdgeCounts:
        """Read the answer of `/stats`."""
        told = json.loads(text)
        latency = {
            level: Latency(each["count"], each["p50_seconds"] or 0.0, each["p99_seconds"] or 0.0)
            for level, each in told["latency"].items()
        }
        return cls(
            region=told["region"],
            name=told["name"],
            requests=told["requests"]["total"],
            by_outcome=told["requests"]["by_outcome"],
            latency=latency,
            bytes_sent=told["bytes"]["sent"],
            bytes_from_origin=told["bytes"]["from_origin"],
            origin_requests=told["origin"]["requests"],
            entries=told["store"]["entries"],
            used_bytes=told["store"]["used_bytes"],
            capacity_bytes=told["store"]["capacity_bytes"],
        )

    def level_rate(self, level: str) -> float | None:
        """Return the share of requests answered from a level, of all that a level answered; None before the first."""
        total = sum(self.latency.get(each, Latency()).count for each in ("l1", "l2", "miss"))
        return self.latency.get(level, Latency()).count / total if total else None

    @property
    def saved_rate(self) -> float | None:
        """The share of the bytes sent that no origin had to send; None before the first."""
        return 1 - self.bytes_from_origin / self.bytes_sent if self.bytes_sent else None
