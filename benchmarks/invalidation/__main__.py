"""This question alone: `python -m benchmarks.invalidation`. It compares with no other server, so nothing is built."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import invalidation, machine, open_files, report
from benchmarks.cores import Cores
from benchmarks.instances import folders
from benchmarks.progress import say
from benchmarks.setting import Setting


def main() -> int:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.invalidation", description=__doc__)
    parser.add_argument("--part", action="append", choices=list(invalidation.PARTS), help="which part (default: all)")
    parser.add_argument("--long", action="store_true", help="three times as long")
    parser.add_argument("--record", action="store_true", help="write results under a name that git does not ignore")
    options = parser.parse_args()
    open_files.raise_limit()
    if warning := machine.business():
        say(warning)
    with folders() as made:
        setting = Setting(subjects=(), cores=Cores(0, 1), folders=made, n_rounds=1, seconds=1.0, is_long=options.long)
        found = invalidation.measure(setting, options.part or tuple(invalidation.PARTS))
    recorded = report.record("invalidation", setting, found)
    file = report.write(recorded, to_keep=options.record)
    for figure in found.figures:
        print(figure.line(), flush=True)
    print(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
    return 0 if all(each["verdict"] == "reached" for each in json.loads(file.read_text())["figures"]) else 1


if __name__ == "__main__":
    sys.exit(main())
