"""The picture, drawn by the interpreter that has matplotlib: reads JSON, writes a PNG. Started by `draw`."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]

mpl.use("Agg")
from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

_LEVELS = (
    ("1 KiB from memory", "#888888", "--"),
    ("a prediction from memory", "#1f5fa8", "-"),
    ("a prediction from disk", "#3f9b6b", "-"),
    ("computed (trees)", "#d9822b", "-"),
    ("computed (network)", "#a83232", "-"),
)
_ALONE = "trees, distinct rows, 1 connection"


def main() -> None:
    """Draw latency by level, and beside it the medians of all servers."""
    told: dict[str, Any] = json.load(sys.stdin)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), dpi=110)
    levels = told["latency_quantiles_microseconds_by_level"]
    for name, color, style in _LEVELS:
        quantiles = levels[name]
        shares = [100 * index / (len(quantiles) - 1) for index in range(len(quantiles))]
        left.plot(quantiles, shares, color=color, linestyle=style, label=name)
    left.set_xscale("log")
    left.set_xlabel("latency at one connection (µs)")
    left.set_ylabel("of answers (%)")
    left.legend(fontsize=8, loc="lower right")
    left.grid(alpha=0.3, which="both")
    alone = told[_ALONE]["p50_microseconds_median"]
    names = sorted(alone, key=lambda name: alone[name], reverse=True)
    colors = ["#d9822b" if name == "bodega" else "#888888" for name in names]
    right.scatter([alone[name] for name in names], names, color=colors)
    for name in names:
        right.annotate(f"  {alone[name]:,.0f}", (alone[name], name), fontsize=8, va="center")
    right.set_xscale("log")
    right.margins(x=0.15)
    right.set_xlabel("median, computed (trees), at one connection (µs)")
    right.grid(alpha=0.3, axis="x")
    what = f"{told['machine'].get('cores', '?')} cores, {told['date'][:10]}"
    figure.suptitle(f"A prediction by where it comes from ({what})", fontsize=10)
    figure.tight_layout()
    figure.savefig(sys.argv[1], metadata={"Software": None})


if __name__ == "__main__":
    main()
