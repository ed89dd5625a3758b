"""CPU time per hit from disk, of what is in the page cache, in plain and by TLS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks import comparison, load, rounds
from benchmarks.figure import Figure
from benchmarks.instances import Instance
from benchmarks.load import Front, Load
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.rounds import Series
from benchmarks.setting import Setting
from benchmarks.store.on_disk import HitsFromDisk, Wanted
from benchmarks.subjects import BODEGA


@dataclass(frozen=True, slots=True)
class Case:
    """One figure.

    Attributes:
        name: What is hit.
        front: What is spoken.
        folder: Folder of the size.
        n_objects: How many objects there are.
        n_connections: How many connections ask for them.
        bar: What bodega's CPU time may be at most, as a multiple of nginx's.
    """

    name: str
    front: Front
    folder: str
    n_objects: int
    n_connections: int
    bar: float

    def load(self, origin: FastOrigin) -> Load:
        """Return what is asked for."""
        return Load(
            self.folder,
            f"random:{self.n_objects}",
            n_connections=self.n_connections,
            is_awake=True,
            front=self.front,
            body=None if self.front is Front.HTTP1 else origin.file(self.folder),
        )


CASES: Sequence[Case] = (
    Case("hit on disk, in the page cache, 1 MiB", Front.HTTP1, "1m", 32, 16, 1.10),
    Case("hit on disk, in the page cache, 10 MiB", Front.HTTP1, "10m", 8, 8, 1.10),
    Case("hit on disk, in the page cache, 1 MiB by TLS", Front.HTTP1_TLS, "1m", 32, 16, 0.85),
    Case("hit on disk, in the page cache, 10 MiB by TLS", Front.HTTP1_TLS, "10m", 8, 8, 0.85),
)


def wanted(origin: FastOrigin) -> list[Wanted]:
    """Return what has to be on disk."""
    return [Wanted(case.load(origin), case.n_objects) for case in CASES]


def measure(setting: Setting, instances: Sequence[Instance], origin: FastOrigin, case: Case) -> Series:
    """Measure all servers in turns.

    Raises:
        MeasurementFailed: If a hit is none, or comes from memory.
    """
    say(case.name)
    what = case.load(origin)
    for each in instances:
        each.process.resume()
        # From disk to the page cache, and checked for the first time.
        load.run_all(each.place, replace(what, keys="from:0"), cores=setting.cores, n_requests=case.n_objects)
    from_disk = HitsFromDisk(instances)
    series = rounds.measure_hits(setting, instances, origin, what)
    from_disk.check(sum(turn.n_requests for turn in series.turns.get(BODEGA, ())))
    return series


def figure(case: Case, series: Series) -> Figure:
    """Compare bodega with nginx."""
    return comparison.ratio(case.name, case.bar, series.medians(), "us")
