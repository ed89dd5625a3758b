"""Swap models under load, and look what came of it: `python -m tests.system.swaps --write a.json --draw a.png`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.system.swaps.swapping import Outcome, Plan, run
from tools.setup import python

_DRAWING = Path(__file__).with_name("drawing.py")
_MEGABYTE = 1_000_000


def main() -> int:
    """Run, print, and say by the status whether all was as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=100, help="swaps of a model of 100 MB (default: 100)")
    parser.add_argument("--small", type=int, default=1000, help="swaps of a model of 1 MB (default: 1000)")
    parser.add_argument("--write", type=Path, help="a file for what was measured, as JSON")
    parser.add_argument("--draw", type=Path, help="a file for the curve of memory, as PNG")
    options = parser.parse_args()
    plans = [Plan("100 MB", 100 * _MEGABYTE, options.large), Plan("1 MB", _MEGABYTE, options.small)]
    outcomes: list[Outcome] = []
    for plan in plans:
        if plan.n_swaps:
            with tempfile.TemporaryDirectory(prefix="bodega-swaps-") as folder:
                outcomes.append(run(plan, Path(folder)))
            print(_words(outcomes[-1]), flush=True)
    told = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "runs": [each.as_json() for each in outcomes],
    }
    if options.write is not None:
        options.write.write_text(json.dumps(told) + "\n")
    if options.draw is not None:
        environment = python.separate("plots", pins="plots")
        command = [environment / "bin" / "python", _DRAWING, options.draw]
        subprocess.run(command, input=json.dumps(told), text=True, check=True)
    problems = [problem for each in outcomes for problem in each.problems()]
    print("\n".join(problems) or "as it has to be")
    return 1 if problems else 0


def _words(outcome: Outcome) -> str:
    said = outcome.as_json()
    first, last = said["resident_bytes_first"] / _MEGABYTE, said["resident_bytes_last"] / _MEGABYTE
    return (
        f"{said['swaps']} swaps of {said['name']}: {said['answers']:,} answers, {len(outcome.wrong)} wrong; resident "
        f"{first:.1f} MB, then {last:.1f} MB ({said['growth']:.3f}); a swap "
        f"{said['swap_seconds_median'] * 1000:.0f} ms, at most {said['swap_seconds_max'] * 1000:.0f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
