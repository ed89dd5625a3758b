"""The picture, drawn by the interpreter that has matplotlib: reads JSON, writes a PNG. Started by `draw`."""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]

mpl.use("Agg")
from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9822b", "#888888"


def main() -> None:
    """Draw when each follower had applied a purge by its delay, and how late the last one was."""
    told: dict[str, Any] = json.load(sys.stdin)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), dpi=110)
    for kind, color, label in (
        ("real", _BLUE, f"{told['n_real']} real edges"),
        ("light", _ORANGE, f"{told['n_light']} light followers"),
    ):
        names = [name for name in told["one_way_delays_ms"] if name.startswith(kind)]
        delays = [told["one_way_delays_ms"][name] for name in names]
        middle = [_at(told, name, 50) for name in names]
        late = [_at(told, name, 99) for name in names]
        left.scatter(delays, middle, s=18, color=color, label=f"{label}, median")
        left.scatter(delays, late, s=18, color=color, marker="^", alpha=0.45, label=f"{label}, p99")
    left.plot([0, 150], [0, 150], color=_GREY, linewidth=1, label="one-way delay")
    left.set_xlabel("one-way delay of its line (ms)")
    left.set_ylabel("from the call until applied (ms)")
    left.set_ylim(bottom=0)
    left.legend(fontsize=8)
    left.grid(alpha=0.3)
    everywhere = sorted(told["everywhere_beyond_delay_ms"])
    shares = [100 * (index + 1) / len(everywhere) for index in range(len(everywhere))]
    right.step(everywhere, shares, where="post", color=_BLUE)
    for share, bar in ((50, 20), (99, 100)):
        right.plot(bar, share, marker="x", color=_ORANGE)
        right.annotate(f" bar: {bar} ms", (bar, share), fontsize=8, color=_ORANGE, va="top")
    right.set_xscale("log")
    right.set_xlabel("applied everywhere, beyond the one-way delay (ms)")
    right.set_ylabel("of purges (%)")
    right.grid(alpha=0.3, which="both")
    machine = told["machine"]
    what = f"{len(everywhere)} purges; {machine.get('cores', '?')} cores, {told['date'][:10]}"
    figure.suptitle(f"A purge to 50 followers behind lines of 5 to 150 ms ({what})", fontsize=10)
    figure.tight_layout()
    figure.savefig(sys.argv[1], metadata={"Software": None})


def _at(told: dict[str, Any], name: str, share: int) -> float:
    beyond = told["beyond_delay_ms"][name]
    return float(told["one_way_delays_ms"][name] + statistics.quantiles(beyond, n=100)[share - 1])


if __name__ == "__main__":
    main()
