"""Shows what the edges are doing: a live table on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from bodega.up.counts import EdgeCounts, Latency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.up.edge_process import EdgeProcess


@dataclass(frozen=True, slots=True)
class Row:
    """One edge at one moment.

    Attributes:
        edge: Which.
        counts: What it has counted so far.
        requests_per_second: Since the moment before.
    """

    edge: EdgeProcess
    counts: EdgeCounts
    requests_per_second: float


class Watch:
    """Asks the edges for their counts, and compares with the time before."""

    def __init__(self, edges: Sequence[EdgeProcess]) -> None:
        """Watch `edges`."""
        self._edges = edges
        self._before: dict[str, tuple[float, int]] = {}

    def look(self) -> list[Row]:
        """Return how every edge is doing now.

        Raises:
            EdgeNotFound: If one does not answer.
        """
        return [self._row(edge) for edge in self._edges]

    def _row(self, edge: EdgeProcess) -> Row:
        counts, now = edge.admin.counts(), time.monotonic()
        then, n_before = self._before.get(edge.place.name, (now, counts.requests))
        self._before[edge.place.name] = (now, counts.requests)
        elapsed = now - then
        return Row(edge, counts, (counts.requests - n_before) / elapsed if elapsed > 0 else 0.0)


def live_table(rows: Sequence[Row]) -> Table:
    """Draw the rows as a table for a terminal."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("edge")
    table.add_column("region")
    for heading in (
        "requests/s",
        "requests",
        "memory",
        "disk",
        "origin",
        "hit p50/p99",
        "miss p50/p99",
        "bytes saved",
        "kept",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        counts = row.counts
        table.add_row(
            f"[link={row.edge.url}]{row.edge.place.title}[/link]",
            counts.region,
            f"{row.requests_per_second:.1f}",
            str(counts.requests),
            *(_percent(counts.level_rate(level)) for level in ("l1", "l2", "miss")),
            _quantiles(counts.latency.get("l1")),
            _quantiles(counts.latency.get("miss")),
            _percent(counts.saved_rate),
            f"{counts.entries}, {counts.used_bytes / 1e6:.1f} MB",
        )
    return table


def plain_line(row: Row) -> str:
    """Write one row as a line of text."""
    counts = row.counts
    return (
        f"{row.edge.place.name} ({counts.region}): {row.requests_per_second:.1f} requests/s, {counts.requests} in all, "
        f"{_percent(counts.level_rate('l1'))} from memory, {_percent(counts.level_rate('miss'))} from the origin, "
        f"hits p50/p99 {_quantiles(counts.latency.get('l1'))}, origin bytes saved {_percent(counts.saved_rate)}"
    )


def json_line(row: Row) -> str:
    """Write one row as a JSON object."""
    counts = row.counts
    return json.dumps(
        {
            "kind": "edge",
            "name": row.edge.place.name,
            "region": counts.region,
            "url": row.edge.url,
            "requests_per_second": round(row.requests_per_second, 3),
            "requests": counts.requests,
            "by_outcome": counts.by_outcome,
            "level_rates": {level: counts.level_rate(level) for level in ("l1", "l2", "miss")},
            "latency_seconds": {
                level: {"count": each.count, "p50": each.p50_seconds, "p99": each.p99_seconds}
                for level, each in counts.latency.items()
            },
            "bytes_saved_rate": counts.saved_rate,
            "entries": counts.entries,
            "used_bytes": counts.used_bytes,
        }
    )


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f} %"


def _quantiles(latency: Latency | None) -> str:
    if latency is None or latency.count == 0:
        return "-"
    return f"{1000 * latency.p50_seconds:.2f}/{1000 * latency.p99_seconds:.2f} ms"
