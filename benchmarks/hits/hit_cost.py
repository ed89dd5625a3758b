"""CPU time per hit, by size of the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import comparison, rounds
from benchmarks.exchange import Connection
from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.hits.memory import N_OBJECTS
from benchmarks.instances import Instance
from benchmarks.load import Load
from benchmarks.objects import is_right, path
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.rounds import Series
from benchmarks.setting import Setting

# Some servers keep an object only from the second request for it on.
_TIMES_TO_WARM = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One figure.

    Attributes:
        name: What is hit.
        folder: Folder of the size.
        keys: Which keys are asked for.
        n_connections: Fewer for large objects, so that what is under way fits the processor's caches as it would with
            clients that are far away and slow.
        bar: What bodega's CPU time may be at most, as a multiple of the best other server's.
    """

    name: str
    folder: str
    keys: str
    n_connections: int
    bar: float


CASES: Sequence[Case] = (
    Case("hit 1 KiB", "1k", "same:0", 64, 0.80),
    Case(f"hit 1 KiB, {N_OBJECTS:,} at random", "1k", f"random:{N_OBJECTS}", 64, 0.80),
    Case("hit 16 KiB", "16k", "same:0", 64, 0.95),
    Case("hit 100 KiB", "100k", "same:0", 64, 1.10),
    Case("hit 1 MiB", "1m", "same:0", 16, 1.10),
    Case("hit 10 MiB", "10m", "same:0", 8, 1.10),
)


def measure(setting: Setting, instances: Sequence[Instance], origin: FastOrigin, case: Case) -> Series:
    """Measure all servers in turns."""
    say(case.name)
    for each in instances:
        _warm(each, case.folder)
    # Nothing else needs the load's core: whoever asks stays awake, so that no server pays for waking it.
    what = Load(case.folder, case.keys, n_connections=case.n_connections, is_awake=True)
    return rounds.measure_hits(setting, instances, origin, what)


def figure(case: Case, series: Series) -> Figure:
    """Compare bodega with the best other server."""
    return comparison.ratio(case.name, case.bar, series.medians(), "us")


def _warm(each: Instance, folder: str) -> None:
    each.process.resume()
    asked = path(folder, 0)
    with Connection(each.port) as connection:
        for _ in range(_TIMES_TO_WARM):
            if not is_right(asked, connection.ask(asked)):
                raise MeasurementFailed(f"{each.name} answers {asked} wrongly")
