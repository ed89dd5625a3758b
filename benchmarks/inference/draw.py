"""Draws a file of results: `python -m benchmarks.inference.draw RESULTS.json docs/inference-latency.png`.

matplotlib draws, in an environment of its own (`requirements/plots.txt`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tools.setup import python

_DRAWING = Path(__file__).with_name("drawing.py")


def main() -> int:
    """Draw."""
    results, picture = map(Path, sys.argv[1:])
    recorded = json.loads(results.read_text())
    environment = python.separate("plots", pins="plots")
    told = {**recorded["measured"], "machine": recorded["machine"], "date": recorded["date"]}
    subprocess.run([environment / "bin" / "python", _DRAWING, picture], input=json.dumps(told), text=True, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
