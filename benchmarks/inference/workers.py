"""What a process of its own costs a model: `python -m benchmarks.inference.workers`.

One small model is asked in the edge, in a worker, and as a runner in Python: CPU time of the edge and of the worker for
each row, with a run for each row and with 25 in a run; and of rows that are kept, which is what HTTP costs. 25 rows are
under way at once, and nothing is held to a core, for a worker is there to run beside the edge.
Then other files of the model are loaded: how long their trials take, and with how much memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import build, exit_status, instances, machine, process_tree
from benchmarks.exchange import LOOPBACK, Connection
from benchmarks.failure import MeasurementFailed
from benchmarks.inference import models
from benchmarks.inference.loads import NewRows
from benchmarks.inference.questions import PLAIN, row
from benchmarks.inference.served import MEMORY_BYTES
from benchmarks.instances import folders
from benchmarks.progress import say
from benchmarks.running import Running, running
from benchmarks.subjects import Place, Subject, bodega
from bodega.edge import AdminClient
from bodega.errors import EdgeNotFound

_HERE = Path(__file__).parent
_N_UNDER_WAY = 25
_N_ROWS_OF_TURN = 80 * _N_UNDER_WAY
_RUNS_OFF = 0.1
_N_TRIALS = 9
_LOAD_SECONDS = 30.0
# What is told twice at once is told with how often.
_TRIAL = re.compile(
    r"its trial took (?P<seconds>[\d.]+) s and (?P<mebibytes>\d+) MiB(?:, (?P<times>\d+) times)?$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked.

    Attributes:
        what: What answers.
        path: Where `workers.toml` has it.
        n_rows: How many rows are in a request, which is how many are in a run.
        is_kept: Whether these are the rows of the case before it.
    """

    what: str
    path: str
    n_rows: int
    is_kept: bool = False


CASES: Sequence[Case] = (
    Case("in the edge", "/edge-alone/predict", 1),
    Case("the same rows, kept", "/edge-alone/predict", 1, is_kept=True),
    Case("in a worker", "/worker-alone/predict", 1),
    Case("a runner in Python", "/runner-alone/predict", 1),
    Case("in the edge", "/edge/batch_predict", _N_UNDER_WAY),
    Case("the same rows, kept", "/edge/batch_predict", _N_UNDER_WAY, is_kept=True),
    Case("in a worker", "/worker/batch_predict", _N_UNDER_WAY),
    Case("a runner in Python", "/runner/batch_predict", _N_UNDER_WAY),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a row costs: CPU time of all threads, user and system.

    Attributes:
        edge_microseconds: The edge's, HTTP included.
        worker_microseconds: The worker's.
    """

    edge_microseconds: float
    worker_microseconds: float

    @property
    def microseconds(self) -> float:
        """Both together."""
        return self.edge_microseconds + self.worker_microseconds


@dataclass(frozen=True, slots=True)
class Trial:
    """What the log says of a trial."""

    seconds: float
    mebibytes: int


def main() -> int:
    """Measure and print.

    Returns:
        0 if it could be measured.
    """
    options = _options()
    return exit_status.of(lambda: _answer(options))


def trials(log: str) -> Sequence[Trial]:
    """Read what an edge's log says of trials."""
    return [
        Trial(float(line["seconds"]), int(line["mebibytes"]))
        for line in _TRIAL.finditer(log)
        for _ in range(int(line["times"] or 1))
    ]


def medians(turns: Sequence[Cost]) -> Cost:
    """Return the median over turns of each figure."""
    return Cost(
        statistics.median(turn.edge_microseconds for turn in turns),
        statistics.median(turn.worker_microseconds for turn in turns),
    )


def _answer(options: argparse.Namespace) -> bool:
    if options.bodega is None:
        build.prepare_bodega()
    if warning := machine.business():
        say(warning)
    edge = bodega((options.bodega or build.BODEGA).absolute())
    with (
        folders() as made,
        instances.place(
            "workers",
            within=made,
            origin_port=0,
            memory_bytes=MEMORY_BYTES,
            configuration=_HERE / "workers.toml",
        ) as place,
    ):
        models.linear(place.folder / "linear.onnx")
        shutil.copy(_HERE / "linear_runner.py", place.folder)
        with running(edge.name, edge.prepare(place), port=place.port, folder=place.folder) as process:
            _wait(place)
            costs = _costs(place, process, options.rounds)
            tried = _tried(place)
    if options.json:
        print(json.dumps(_record(edge, options.rounds, costs, tried), indent=1))
    else:
        _show(costs, tried)
    return True


def _wait(place: Place) -> None:
    deadline = time.monotonic() + _LOAD_SECONDS
    while True:
        try:
            _admin(place).models()
        except EdgeNotFound as error:
            # It listens for clients first.
            if time.monotonic() > deadline:
                raise MeasurementFailed(str(error)) from error
            time.sleep(0.05)
        else:
            return


def _costs(place: Place, process: Running, n_rounds: int) -> list[Cost]:
    turns: list[list[Cost]] = [[] for _ in CASES]
    rows = NewRows()
    first_key = rows.take()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(place.port)) for _ in range(_N_UNDER_WAY)]
        # The first round warms what is asked, and shows the edge how long a run takes.
        for at in range(n_rounds + 1):
            say(f"round {at} of {n_rounds}" if at else "warming")
            for case, found in zip(CASES, turns, strict=True):
                first_key = first_key if case.is_kept else rows.take()
                cost = _turn(place, process, connections[: _N_UNDER_WAY // case.n_rows], case, first_key)
                if at:
                    found.append(cost)
    return [medians(found) for found in turns]


def _turn(place: Place, process: Running, connections: Sequence[Connection], case: Case, first_key: int) -> Cost:
    bodies = _bodies(case, first_key)
    n_runs_before = _n_runs(place)
    before = process_tree.cpu_seconds(process.tree())
    for at in range(0, len(bodies), len(connections)):
        for connection, body in zip(connections, bodies[at:], strict=False):
            connection.post(case.path, body)
        for connection in connections:
            answer = connection.answer()
            if answer.status != 200:
                raise MeasurementFailed(f"{case.path} answers {answer.status}: {answer.body[:300]!r}")
    # The workers that are not asked have nothing to do meanwhile.
    edge = process_tree.cpu_seconds_since(before, [process.pid])
    workers = process_tree.cpu_seconds_since(before, process.tree()) - edge
    n_runs = _n_runs(place) - n_runs_before
    n_meant = 0 if case.is_kept else len(bodies)
    # A run that the machine held up for long is in two parts.
    if abs(n_runs - n_meant) > n_meant * _RUNS_OFF:
        raise MeasurementFailed(f"{len(bodies)} requests at {case.path} took {n_runs} runs")
    return Cost(edge / _N_ROWS_OF_TURN * 1e6, workers / _N_ROWS_OF_TURN * 1e6)


def _bodies(case: Case, first_key: int) -> Sequence[bytes]:
    keys = range(first_key, first_key + _N_ROWS_OF_TURN)
    if case.n_rows == 1:
        return [PLAIN.body(key) for key in keys]
    batches = ([row(key) for key in keys[at : at + case.n_rows]] for at in range(0, len(keys), case.n_rows))
    return [json.dumps({"features": batch}).encode() for batch in batches]


def _n_runs(place: Place) -> int:
    return sum(model.runs for model in _admin(place).models())


def _tried(place: Place) -> Sequence[Trial]:
    say(f"{_N_TRIALS} trials")
    log = place.folder / "output.log"
    n_before = len(trials(log.read_text()))
    for seed in range(_N_TRIALS):
        file = place.folder / f"linear-{seed}.onnx"
        models.linear(file, seed)
        _admin(place).update_model("edge", file)
    # The log says it a moment later.
    deadline = time.monotonic() + _LOAD_SECONDS
    while len(found := trials(log.read_text())[n_before:]) < _N_TRIALS:
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"the log tells of {len(found)} trials in place of {_N_TRIALS}")
        time.sleep(0.05)
    return found


def _admin(place: Place) -> AdminClient:
    return AdminClient(f"{LOOPBACK}:{place.admin_port}")


def _record(edge: Subject, n_rounds: int, costs: Sequence[Cost], tried: Sequence[Trial]) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": {edge.name: edge.version()},
        "method": {
            "figure": "CPU time (user and system) of the edge's and its workers' processes per row, median over rounds",
            "rounds": n_rounds,
            "rows_per_turn": _N_ROWS_OF_TURN,
            "rows_under_way": _N_UNDER_WAY,
        },
        "rows": [asdict(case) | asdict(cost) for case, cost in zip(CASES, costs, strict=True)],
        "trials": [asdict(each) for each in tried],
    }


def _show(costs: Sequence[Cost], tried: Sequence[Trial]) -> None:
    table = Table(title="CPU time of a row, µs")
    for name in ("", "rows in a run", "edge", "worker", "together"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for case, cost in zip(CASES, costs, strict=True):
        figures = (cost.edge_microseconds, cost.worker_microseconds, cost.microseconds)
        table.add_row(case.what, f"{case.n_rows}", *(f"{each:.1f}" for each in figures))
    # As wide as it is: in a file, too.
    Console(width=max(Console().width, 80)).print(table)
    seconds = statistics.median(each.seconds for each in tried)
    mebibytes = statistics.median(each.mebibytes for each in tried)
    print(f"a trial: {seconds:.2f} s, {mebibytes:.0f} MiB (median of {len(tried)})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference.workers", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON instead of a table")
    parser.add_argument("--bodega", type=Path, help="the bodega command to measure, instead of building one")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each measurement (default: 7)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
