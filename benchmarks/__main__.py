"""Measure bodega beside other servers: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import (
    build,
    cores,
    exit_status,
    fills,
    fronts,
    hits,
    inference,
    invalidation,
    machine,
    open_files,
    programs,
    report,
    store,
)
from benchmarks.failure import MeasurementFailed
from benchmarks.instances import folders
from benchmarks.progress import say
from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.subjects import BODEGA, NAMES, PEERS, Subject, bodega

QUESTIONS: Mapping[str, Callable[[Setting], Report]] = {
    "hits": hits.measure,
    "fills": fills.measure,
    "fronts": fronts.measure,
    "store": store.measure,
    "invalidation": invalidation.measure,
    "inference": inference.measure,
}


def main() -> int:
    """Answer the questions that the command line names.

    Returns:
        0 if every figure was reached, 1 if one is short or could not be measured.
    """
    options = _options()
    return exit_status.of(lambda: _answer(options))


def _answer(options: argparse.Namespace) -> bool:
    subjects = _subjects(options)
    programs.bring(["nginx", "openssl", *(program for subject in subjects for program in subject.programs)])
    build.prepare_load_generator()
    open_files.raise_limit()
    if warning := machine.business():
        say(warning)
    chosen_cores = cores.choose()
    recorded = []
    for question in options.question or QUESTIONS:
        with folders() as made:
            setting = Setting(
                subjects=subjects,
                cores=chosen_cores,
                folders=made,
                n_rounds=options.rounds or (21 if options.long else 7),
                seconds=options.seconds or 1.0,
                is_long=options.long,
            )
            found = QUESTIONS[question](setting)
        recorded.append(report.record(question, setting, found))
        file = report.write(recorded[-1], to_keep=options.record)
        if not options.json:
            for figure in found.figures:
                print(figure.line(), flush=True)
            print(f"{question}: {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
    if options.json:
        print(json.dumps(recorded, indent=1))
    return all(figure["verdict"] == "reached" for each in recorded for figure in each["figures"])


def _subjects(options: argparse.Namespace) -> Sequence[Subject]:
    unknown = [name for name in options.subjects if name not in NAMES]
    if unknown:
        raise MeasurementFailed(f"no such server: {', '.join(unknown)}; known are {', '.join(NAMES)}")
    chosen = [peer for peer in PEERS if peer.name in options.subjects]
    if BODEGA not in options.subjects:
        say("bodega is left out: nothing is judged")
        return chosen
    if options.bodega is None:
        build.prepare_bodega()
    return [bodega((options.bodega or build.BODEGA).absolute()), *chosen]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--question", action="append", choices=list(QUESTIONS), help="which question (default: all)")
    parser.add_argument("--long", action="store_true", help="more rounds, and what is told but not judged")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of lines")
    parser.add_argument("--record", action="store_true", help="write results under a name that git does not ignore")
    parser.add_argument(
        "--subjects",
        type=lambda names: names.split(","),
        default=list(NAMES),
        help=f"which servers, separated by commas (default: {','.join(NAMES)})",
    )
    parser.add_argument("--bodega", type=Path, help="the bodega command to measure, instead of building one")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement (default: 7, with --long 21)")
    parser.add_argument("--seconds", type=float, help="seconds of each server's turn (default: 1)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
