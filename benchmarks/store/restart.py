"""An edge with a million objects on disk, killed and started again: how soon it serves, and has its index."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import edge_stats, instances, load
from benchmarks.exchange import Connection
from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.instances import Instance
from benchmarks.load import Load
from benchmarks.objects import is_right, path
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.store import on_disk
from benchmarks.subjects import BODEGA, Place, Subject

N_OBJECTS = 1_000_000
N_STARTS = 5
_FOLDER = "1k"
_N_CHECKED = 500
_BAR_SERVES_SECONDS = 1.0
_BAR_INDEX_SECONDS = 10.0
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Start:
    """One life's beginning.

    Attributes:
        serves_seconds: From the start of its process until the first answer.
        index_seconds: From there, too, until everything on disk had been found.
        n_entries: What had been found.
        n_missed: Of 500 objects, those that the origin had to be asked for afterwards.
    """

    serves_seconds: float
    index_seconds: float
    n_entries: int
    n_missed: int


def measure(setting: Setting, origin: FastOrigin) -> list[Start]:
    """Fill a disk, and start an edge on it again and again; each is killed.

    Raises:
        MeasurementFailed: If what was on disk is not found again.
    """
    subject = next((each for each in setting.subjects if each.name == BODEGA), None)
    if subject is None:
        return []
    say(f"filling a disk with {N_OBJECTS:,} objects of 1 KiB (a minute or two)")
    with instances.place(
        "disk-restart",
        within=on_disk.folders(setting),
        origin_port=origin.port,
        memory_bytes=on_disk.MEMORY_BYTES,
        disk_bytes=on_disk.DISK_BYTES,
    ) as place:
        n_asked = _fill(setting, subject, place)
        say(f"starting on {N_OBJECTS:,} objects after `kill -9`, {N_STARTS} times")
        return [_start(setting, subject, place, origin, n_asked) for _ in range(N_STARTS)]


def figures(starts: Sequence[Start]) -> list[Figure]:
    """Judge the medians."""
    serves = [start.serves_seconds for start in starts]
    index = [start.index_seconds for start in starts]
    detail = f"({starts[0].n_entries:,} entries, {len(starts)} starts)" if starts else ""
    return [
        Figure(name, statistics.median(seconds) if seconds else None, bar, "seconds", detail)
        for name, seconds, bar in (
            ("ready to serve after kill -9 with 1,000,000 on disk", serves, _BAR_SERVES_SECONDS),
            ("whole index after kill -9 with 1,000,000 on disk", index, _BAR_INDEX_SECONDS),
        )
    ]


def record(starts: Sequence[Start]) -> list[dict[str, Any]]:
    """Return all of it for a file of results."""
    return [asdict(start) for start in starts]


def _fill(setting: Setting, subject: Subject, place: Place) -> int:
    """Ask for new objects until there are enough on disk; returns for how many."""
    n_asked = 0
    with _killed(setting, subject, place) as each:
        while (n_missing := N_OBJECTS - _n_entries(place)) > 0:
            if n_asked > 2 * N_OBJECTS:
                raise MeasurementFailed(f"the disk has dropped half of {n_asked:,} objects")
            what = Load(_FOLDER, f"from:{n_asked}", n_connections=16)
            load.run_all(each.place, what, cores=setting.cores, n_requests=n_missing)
            n_asked += n_missing
            edge_stats.wait(place, "written what it has", lambda disk: disk["queue_bytes"] == 0)
    return n_asked


def _start(setting: Setting, subject: Subject, place: Place, origin: FastOrigin, n_asked: int) -> Start:
    # As after a crash of the machine: nothing of it is in memory any more.
    on_disk.drop_from_memory(place.cache)
    began = time.monotonic()
    with _killed(setting, subject, place):
        _ask(place, 0)
        serves_seconds = time.monotonic() - began
        while not edge_stats.read(place)["disk"]["recovered"]:
            time.sleep(_LOOK_SECONDS)
        index_seconds = time.monotonic() - began
        n_before = origin.n_requests()
        chance = random.Random(7)
        for _ in range(_N_CHECKED):
            _ask(place, chance.randrange(n_asked))
        n_missed = origin.n_requests() - n_before
        # What the disk could not take when it was filled is not there now either.
        if n_missed > 2 * _N_CHECKED * (n_asked - N_OBJECTS) / n_asked + 1:
            raise MeasurementFailed(f"{n_missed} of {_N_CHECKED} objects on disk were not found after the start")
        return Start(serves_seconds, index_seconds, _n_entries(place), n_missed)


def _ask(place: Place, key: int) -> None:
    asked = path(_FOLDER, key)
    with Connection(place.port) as connection:
        if not is_right(asked, answer := connection.ask(asked)):
            raise MeasurementFailed(f"bodega answers {asked} wrongly: {answer.head!r}")


def _n_entries(place: Place) -> int:
    edge_stats.wait(place, "found what it has", lambda disk: bool(disk["recovered"]))
    return int(edge_stats.read(place)["disk"]["entries"])


@contextlib.contextmanager
def _killed(setting: Setting, subject: Subject, place: Place) -> Iterator[Instance]:
    """Run it until the block ends; then it is killed."""
    with instances.at(place, subject, cores=setting.cores) as each:
        yield each
        for pid in each.process.tree():
            os.kill(pid, signal.SIGKILL)
