"""Shows what the edges are doing: a live table on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.edge import EdgeStats
    from bodega.up.edge_process import EdgeProcess


@dataclass(frozen=True, slots=True)
class Row:
    """One edge at one moment.

    Attributes:
        edge: Which.
        stats: What it has done so far.
        requests_per_second: Since the moment before.
    """

    edge: EdgeProcess
    stats: EdgeStats
    requests_per_second: float


class Watch:
    """Asks the edges what they have done, and compares with the time before."""

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
        stats, now = edge.admin.stats(), time.monotonic()
        then, n_before = self._before.get(edge.place.name, (now, stats.n_requests))
        self._before[edge.place.name] = (now, stats.n_requests)
        elapsed = now - then
        return Row(edge, stats, (stats.n_requests - n_before) / elapsed if elapsed > 0 else 0.0)


def share(stats: EdgeStats, level: str) -> float | None:
    """Return the share of a level among the requests that asked the cache, 0 to 1; None where none did."""
    return stats.share(level) if any(map(stats.count, ("l1", "l2", "miss"))) else None


def saved(stats: EdgeStats) -> float | None:
    """Return the share of the bytes sent that no origin had to send, at most 1; None before the first byte."""
    return 1 - stats.from_origin_bytes / stats.sent_bytes if stats.sent_bytes else None


def live_table(rows: Sequence[Row]) -> Table:
    """Draw the rows as a table for a terminal."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("edge")
    table.add_column("https")
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
        "predicted",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        stats = row.stats
        table.add_row(
            f"[link={row.edge.url}]{row.edge.place.title}[/link]",
            f"[link={row.edge.tls_url}]{row.edge.tls_url.removeprefix('https://')}[/link]",
            stats.region,
            f"{row.requests_per_second:.1f}",
            str(stats.n_requests),
            *(_percent(share(stats, level)) for level in ("l1", "l2", "miss")),
            _quantiles(stats, "l1"),
            _quantiles(stats, "miss"),
            _percent(saved(stats)),
            f"{stats.n_entries}, {stats.used_bytes / 1e6:.1f} MB",
            _predicted(stats),
        )
    return table


def plain_line(row: Row) -> str:
    """Write one row as a line of text."""
    stats = row.stats
    return (
        f"{row.edge.place.name} ({stats.region}): {row.requests_per_second:.1f} requests/s, {stats.n_requests} in all, "
        f"{_percent(share(stats, 'l1'))} from memory, {_percent(share(stats, 'miss'))} from the origin, "
        f"hits p50/p99 {_quantiles(stats, 'l1')}, origin bytes saved {_percent(saved(stats))}, "
        f"{_predicted(stats)} predictions computed"
    )


def json_line(row: Row) -> str:
    """Write one row as a JSON object."""
    stats = row.stats
    return json.dumps(
        {
            "kind": "edge",
            "name": row.edge.place.name,
            "region": stats.region,
            "url": row.edge.url,
            "tls_url": row.edge.tls_url,
            "requests_per_second": round(row.requests_per_second, 3),
            "requests": stats.n_requests,
            "by_outcome": stats.by_outcome,
            "level_rates": {level: share(stats, level) for level in ("l1", "l2", "miss")},
            "latency_seconds": {
                level: {"count": each.count, "p50": each.p50_seconds, "p99": each.p99_seconds}
                for level, each in stats.latency.items()
            },
            "bytes_saved_rate": saved(stats),
            "entries": stats.n_entries,
            "used_bytes": stats.used_bytes,
            "predicted": {each.model: each.n_rows for each in stats.models},
        }
    )


def _predicted(stats: EdgeStats) -> str:
    """Say how many predictions were computed here, those that were kept not among them."""
    return str(sum(each.n_rows for each in stats.models)) if stats.models else "no"


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f} %"


def _quantiles(stats: EdgeStats, level: str) -> str:
    if stats.count(level) == 0:
        return "-"
    latency = stats.latency[level]
    return f"{1000 * latency.p50_seconds:.2f}/{1000 * latency.p99_seconds:.2f} ms"
