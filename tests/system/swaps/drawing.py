"""The curve of memory, drawn by the interpreter that has matplotlib: reads JSON, writes a PNG."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]

mpl.use("Agg")
from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    """Draw a curve for each run."""
    told: dict[str, Any] = json.load(sys.stdin)
    figure, axes = pyplot.subplots(1, len(told["runs"]), figsize=(11, 3.6), dpi=110, squeeze=False)
    for axis, run in zip(axes[0], told["runs"], strict=True):
        megabytes = [each / 1e6 for each in run["resident_bytes"]]
        first = run["resident_bytes_first"] / 1e6
        axis.plot(range(1, len(megabytes) + 1), megabytes, color="#1f5fa8", linewidth=1)
        axis.axhspan(first, first * 1.1, color="#3f9b6b", alpha=0.15, label="10 % over what it was at first")
        axis.set_ylim(0, max(megabytes) * 1.2)
        axis.set_xlabel(f"swaps of a model of {run['name']}")
        axis.set_ylabel("resident memory of the edge (MB)")
        axis.legend(fontsize=8, loc="lower right")
        axis.grid(alpha=0.3)
    answers = sum(run["answers"] for run in told["runs"])
    wrong = sum(len(run["wrong"]) for run in told["runs"])
    figure.suptitle(f"Versions that change places under load: {answers:,} answers, {wrong} wrong", fontsize=10)
    figure.tight_layout()
    figure.savefig(sys.argv[1], metadata={"Software": None})


if __name__ == "__main__":
    main()
