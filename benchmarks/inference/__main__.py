"""This question alone, without the servers of the others: `python -m benchmarks.inference`.

`--set-up` makes the environments of the other servers and builds what is measured, and measures nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import build, cores, exit_status, inference, machine, open_files, programs, report
from benchmarks.failure import MeasurementFailed
from benchmarks.inference import table
from benchmarks.inference.peers import NAMES, PEERS
from benchmarks.instances import folders
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.subjects import bodega


def main() -> int:
    """Measure, print, and keep the results.

    Returns:
        0 if every figure was reached, 1 if one is short or could not be measured.
    """
    options = _options()
    return exit_status.of(lambda: _answer(options))


def _answer(options: argparse.Namespace) -> bool:
    if unknown := sorted(set(options.peers) - set(NAMES)):
        raise MeasurementFailed(f"no such server: {', '.join(unknown)}; known are {', '.join(NAMES)}")
    peers = [peer for peer in PEERS if peer.name in options.peers]
    programs.bring(["nginx"])
    build.prepare_load_generator()
    if options.bodega is None:
        build.prepare_bodega()
    for peer in peers:
        peer.set_up()
    if options.set_up:
        return True
    open_files.raise_limit()
    if warning := machine.business():
        say(warning)
    with folders() as made:
        setting = Setting(
            subjects=[bodega((options.bodega or build.BODEGA).absolute())],
            cores=cores.choose(),
            folders=made,
            n_rounds=options.rounds or (15 if options.long else 5),
            seconds=options.seconds or 1.0,
            is_long=options.long,
        )
        found = inference.measure(setting, peers)
    file = report.write(report.record("inference", setting, found), to_keep=options.record)
    table.show(found.measured)
    for figure in found.figures:
        print(figure.line(), flush=True)
    print(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
    return all(figure.verdict == "reached" for figure in found.figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--set-up", action="store_true", help="make environments and build; measure nothing")
    parser.add_argument("--long", action="store_true", help="three times the rounds")
    parser.add_argument("--record", action="store_true", help="write results under a name that git does not ignore")
    parser.add_argument(
        "--peers",
        type=lambda names: [name for name in names.split(",") if name],
        default=list(NAMES),
        help=f"which others, separated by commas (default: {','.join(NAMES)})",
    )
    parser.add_argument("--bodega", type=Path, help="the bodega command to measure, instead of building one")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement (default: 5, with --long 15)")
    parser.add_argument("--seconds", type=float, help="seconds of each server's turn (default: 1)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
