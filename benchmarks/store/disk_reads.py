"""Reading at random what is on disk and not in the page cache: how long that takes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import comparison, load, process_tree, rounds
from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.instances import Instance
from benchmarks.load import Load
from benchmarks.objects import SIZES
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.store.on_disk import HitsFromDisk, Wanted, drop_from_memory, read_bytes
from benchmarks.subjects import BODEGA, MEBIBYTE

N_OBJECTS = 1024
N_REQUESTS = 512
"""Of each turn: every object at most once."""

_WHAT = Load("1m", f"shuffled:{N_OBJECTS}", n_connections=16)
_BAR = 1.0
# So much of what is sent has to come from the disk.
_LEAST_READ = 0.95


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did in one round.

    Attributes:
        milliseconds_per_mebibyte: Time that passed per MiB of bodies.
        mebibytes_per_second: Its reciprocal.
        cpu_microseconds: CPU time per request.
        read_share: Bytes that were read from the disk, by those that were sent.
    """

    milliseconds_per_mebibyte: float
    mebibytes_per_second: float
    cpu_microseconds: float
    read_share: float


def wanted() -> list[Wanted]:
    """Return what has to be on disk."""
    return [Wanted(_WHAT, N_OBJECTS)]


def measure(setting: Setting, instances: Sequence[Instance], origin: FastOrigin) -> dict[str, list[Turn]]:
    """Measure all servers in turns.

    Raises:
        MeasurementFailed: If what was read was not on disk, or not in the server's cache at all.
    """
    say(f"reading at random from {N_OBJECTS} objects of 1 MiB that are not in the page cache")
    turns: dict[str, list[Turn]] = {each.name: [] for each in instances}
    from_disk = HitsFromDisk(instances)
    n_origin_before = origin.n_requests()
    rounds.pause_all(instances)
    try:
        for _ in range(setting.n_rounds):
            for each in instances:
                drop_from_memory(each.place.cache)
                each.process.resume()
                turns[each.name].append(_turn(setting, each))
                each.process.pause()
    finally:
        for each in instances:
            each.process.resume()
    if (n_missed := origin.n_requests() - n_origin_before) > 0:
        raise MeasurementFailed(f"{n_missed} objects were not on disk")
    from_disk.check(N_REQUESTS * len(turns.get(BODEGA, ())))
    return turns


def figure(turns: dict[str, list[Turn]]) -> Figure:
    """Compare bodega with the better way of nginx."""
    medians = {name: statistics.median(turn.milliseconds_per_mebibyte for turn in each) for name, each in turns.items()}
    return comparison.ratio("time to read at random what is on disk alone", _BAR, medians, "ms/MiB")


def record(turns: dict[str, list[Turn]]) -> dict[str, Any]:
    """Return all of it for a file of results."""
    return {name: [asdict(turn) for turn in each] for name, each in turns.items()}


def _turn(setting: Setting, each: Instance) -> Turn:
    tree = each.process.tree()
    read_before = read_bytes(tree)
    cpu_before = process_tree.cpu_seconds(tree)
    count = load.run_all(each.place, _WHAT, cores=setting.cores, n_requests=N_REQUESTS)
    cpu_seconds = process_tree.cpu_seconds_since(cpu_before, tree)
    sent_bytes = count.n_requests * SIZES[_WHAT.folder]
    read_share = (read_bytes(tree) - read_before) / sent_bytes
    if read_share < _LEAST_READ:
        raise MeasurementFailed(
            f"{each.name} read only {read_share:.0%} of what it sent from a disk: {each.place.cache} has to be on one "
            "(TMPDIR says where)"
        )
    sent_mebibytes = sent_bytes / MEBIBYTE
    return Turn(
        milliseconds_per_mebibyte=count.seconds / sent_mebibytes * 1e3,
        mebibytes_per_second=sent_mebibytes / count.seconds,
        cpu_microseconds=cpu_seconds / count.n_requests * 1e6,
        read_share=read_share,
    )
