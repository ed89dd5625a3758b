"""Cut, and look what came of it: `python -m tests.system.cuts --cuts 1000`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.system.cuts.cutting import Cutter
from tests.system.cuts.history import check
from tests.system.cuts.summary import summary, words
from tests.system.cuts.world import world


def main() -> int:
    """Run, print, and say by the status whether all was as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--edges", type=int, default=3, help="how many edges (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="of what is cut when (default: 1)")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between cuts, on average (default: 0.5)")
    parser.add_argument("--write", type=Path, help="a file for the summary as JSON")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bodega-cuts-") as folder:
        with world(Path(folder), n_edges=options.edges, seed=options.seed) as made:
            cutter = Cutter(made, options.seed, pause_seconds=options.pause)
            cutter.run(options.cuts)
            if cutter.problems:
                print("\n".join(cutter.problems))
                return 1
            made.settle()
        findings = check(made.history)
    said = summary(made.history, findings, cutter.done, seed=options.seed, seconds=time.monotonic() - began)
    print(words(said))
    if options.write is not None:
        options.write.write_text(json.dumps(said, indent=1) + "\n")
    return 1 if findings.all else 0


if __name__ == "__main__":
    sys.exit(main())
