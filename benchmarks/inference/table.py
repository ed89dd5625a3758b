"""What every server had, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show(measured: Mapping[str, Any]) -> None:
    """Print CPU time, and latency where it was looked at; a row for each load."""
    named: dict[str, None] = {}
    for said in measured.values():
        named.update(dict.fromkeys(said.get("cpu_microseconds_median", {})))
    names = [name for name in named if all(name not in said for said in [measured.get("cached", {}).get("turns", {})])]
    table = Table(title="µs: CPU time a request, and latency; median of turns, and how far the furthest was")
    table.add_column("load", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    for load, said in measured.items():
        cpu = said.get("cpu_microseconds_median", {})
        if not any(name in cpu for name in names):
            continue
        label = f"{load} ({said['per_second']:,} a second)" if "per_second" in said else load
        table.add_row(f"{label}: CPU", *(_shown(said, name, "cpu_microseconds") for name in names))
        if "p50_microseconds_median" in said:
            table.add_row("  p50", *(_shown(said, name, "p50_microseconds") for name in names))
            table.add_row("  p99", *(_shown(said, name, "p99_microseconds") for name in names))
    # As wide as it is: in a file, too.
    Console(width=max(Console().width, 60 + 16 * len(names))).print(table)


def _shown(said: Mapping[str, Any], name: str, what: str) -> str:
    if name not in said["turns"]:
        return "-"
    turns = [turn[what] for turn in said["turns"][name]]
    median = said[f"{what}_median"][name]
    # How far the furthest turn was from the median.
    spread = max(abs(turn - median) for turn in turns) / median
    return f"{median:,.0f} ±{spread:.0%}" if median >= 10 else f"{median:.1f} ±{spread:.0%}"
