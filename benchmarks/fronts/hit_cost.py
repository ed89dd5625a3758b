"""CPU time per hit by TLS, with HTTP/1.1 and with HTTP/2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import comparison, load, rounds
from benchmarks.figure import Figure
from benchmarks.instances import Instance
from benchmarks.load import Front, Load
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.rounds import Series
from benchmarks.setting import Setting


@dataclass(frozen=True, slots=True)
class Case:
    """One figure.

    Attributes:
        name: What is hit.
        front: What is spoken.
        folder: Folder of the size.
        n_connections: How many connections there are.
        n_streams: How many requests are under way at once on each.
        bar: What bodega's CPU time may be at most, as a multiple of the best other server's.
    """

    name: str
    front: Front
    folder: str
    n_connections: int
    n_streams: int
    bar: float


CASES: Sequence[Case] = (
    Case("HTTP/1.1 by TLS, hit 1 KiB", Front.HTTP1_TLS, "1k", 64, 1, 0.85),
    Case("HTTP/1.1 by TLS, hit 100 KiB", Front.HTTP1_TLS, "100k", 64, 1, 0.90),
    Case("HTTP/2 by TLS, hit 1 KiB", Front.HTTP2_TLS, "1k", 16, 32, 0.85),
    Case("HTTP/2 by TLS, hit 100 KiB", Front.HTTP2_TLS, "100k", 16, 8, 0.90),
)


def measure(setting: Setting, instances: Sequence[Instance], origin: FastOrigin, case: Case) -> Series:
    """Measure all servers in turns."""
    say(case.name)
    what = Load(
        case.folder,
        "same:0",
        n_connections=case.n_connections,
        n_streams=case.n_streams,
        # Nothing else needs the load's core: whoever asks stays awake, so that no server pays for waking it.
        is_awake=True,
        front=case.front,
        body=origin.file(case.folder),
    )
    warm(setting, instances, what)
    return rounds.measure_hits(setting, instances, origin, what)


def warm(setting: Setting, instances: Sequence[Instance], what: Load) -> None:
    """Ask every server as often as it takes to have the object."""
    for each in instances:
        each.process.resume()
        load.run_all(each.place, what, cores=setting.cores, n_requests=4 * what.n_connections)


def figure(case: Case, series: Series) -> Figure:
    """Compare bodega with the best other server."""
    return comparison.ratio(case.name, case.bar, series.medians(), "us")
