"""Rates and mean latencies of an edge, under names that dashboards know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodega.edge.stats import EdgeStats


class EdgeMetrics:
    """The metrics of one edge."""

    def __init__(self, stats: Callable[[], EdgeStats]) -> None:
        """Keep where statistics come from."""
        self._stats = stats

    def get_stats(self) -> dict[str, float]:
        """Return hit rates and mean latencies since the start.

        Returns:
            ``l1_hit_rate``, ``l2_hit_rate`` and ``miss_rate``, 0 to 1, of the requests that asked the cache;
            ``avg_l1_latency_ms``, ``avg_l2_latency_ms`` and ``avg_miss_latency_ms``; 0 where there was none.

        Raises:
            EdgeClosed: If the edge is not running.
        """
        stats = self._stats()

        def mean_ms(level: str) -> float:
            return stats.latency[level].mean_seconds * 1000 if level in stats.latency else 0.0

        return {
            "l1_hit_rate": stats.share("l1"),
            "l2_hit_rate": stats.share("l2"),
            "miss_rate": stats.share("miss"),
            "avg_l1_latency_ms": mean_ms("l1"),
            "avg_l2_latency_ms": mean_ms("l2"),
            "avg_miss_latency_ms": mean_ms("miss"),
        }
