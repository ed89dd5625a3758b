"""CPU time per miss: an object that was never asked for is fetched, answered, and kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import comparison, load, rounds
from benchmarks.figure import Figure
from benchmarks.instances import Instance, instance
from benchmarks.load import Load
from benchmarks.origin.fast import fast_origin
from benchmarks.progress import say
from benchmarks.rounds import NewKeys, Series
from benchmarks.setting import Setting
from benchmarks.subjects import MEBIBYTE, TRAFFIC_SERVER

_MEMORY_BYTES = 128 * MEBIBYTE
_N_CONNECTIONS = 64

METHOD = {"memory_bytes": _MEMORY_BYTES, "connections": _N_CONNECTIONS}
"""What a file of results says of this."""


@dataclass(frozen=True, slots=True)
class Case:
    """One figure.

    Attributes:
        name: What is missed.
        folder: Folder of the size.
        n_to_fill: How many objects fill every server, so that each further one displaces others.
        bar: What bodega's CPU time may be at most, as a multiple of Traffic Server's.
    """

    name: str
    folder: str
    n_to_fill: int
    bar: float


CASES: Sequence[Case] = (
    Case("miss 1 KiB", "1k", 100_000, 1.0),
    Case("miss 100 KiB", "100k", 3_000, 1.0),
)


def measure(setting: Setting) -> Iterator[tuple[Case, Series]]:
    """Measure all servers in turns, case by case."""
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(fast_origin(setting.folders.files / "origin", setting.cores))
        instances = [
            stack.enter_context(
                instance(
                    subject,
                    subject.name,
                    within=setting.folders,
                    origin_port=origin.port,
                    memory_bytes=_MEMORY_BYTES,
                    cores=setting.cores,
                )
            )
            for subject in setting.subjects
        ]
        keys = NewKeys()
        for case in CASES:
            say(f"{case.name}: filling")
            for each in instances:
                _fill(setting, each, case, keys)
            say(case.name)
            yield case, rounds.measure_misses(setting, instances, origin, case.folder, keys)


def figure(case: Case, series: Series) -> Figure:
    """Compare bodega with Traffic Server, the best of those that collapse requests as well."""
    return comparison.ratio(case.name, case.bar, series.medians(), "us", to=TRAFFIC_SERVER.name)


def _fill(setting: Setting, each: Instance, case: Case, keys: NewKeys) -> None:
    what = Load(case.folder, f"from:{keys.take()}", n_connections=_N_CONNECTIONS)
    load.run_all(each.place, what, cores=setting.cores, n_requests=case.n_to_fill)
