"""Servers that have everything on disk and nothing in memory: filled in one life, measured in the next."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import edge_stats, instances, load
from benchmarks.certificate import Certificate
from benchmarks.failure import MeasurementFailed
from benchmarks.instances import Folders, Instance
from benchmarks.load import Load
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.subjects import BODEGA, MEBIBYTE, Subject

MEMORY_BYTES = 64 * MEBIBYTE
DISK_BYTES = 4096 * MEBIBYTE

# A disk that cannot keep up drops what it was offered; the next life brings what is missing.
_MAX_LIVES = 6


@dataclass(frozen=True, slots=True)
class Wanted:
    """Objects that are to be there.

    Attributes:
        what: How they are asked for.
        n_objects: How many, from the first key on.
    """

    what: Load
    n_objects: int


@contextlib.contextmanager
def filled(
    setting: Setting,
    subject: Subject,
    origin: FastOrigin,
    wanted: Sequence[Wanted],
    certificate: Certificate,
) -> Iterator[Instance]:
    """Run a server that has these objects on disk, started anew since they came there.

    Raises:
        MeasurementFailed: If it does not keep all of them.
    """
    label = "disk-" + "".join(letter for letter in subject.name if letter.isalnum())
    say(f"filling the disk of {subject.name}")
    with instances.place(
        label,
        within=folders(setting),
        origin_port=origin.port,
        memory_bytes=MEMORY_BYTES,
        certificate=certificate,
        disk_bytes=DISK_BYTES,
    ) as place:
        for _ in range(_MAX_LIVES):
            with instances.at(place, subject, cores=setting.cores) as each:
                n_before = origin.n_requests()
                _ask_all(setting, each, wanted)
                if origin.n_requests() == n_before:
                    break
        else:
            raise MeasurementFailed(f"{subject.name} has not kept everything on disk in {_MAX_LIVES} lives")
        # What was asked for meanwhile may have come to memory.
        with instances.at(place, subject, cores=setting.cores) as each:
            _wait_until_found(each)
            yield each


def folders(setting: Setting) -> Folders:
    """Return folders for servers whose caches are to be on disk, not in memory."""
    caches = setting.folders.files / "caches"
    caches.mkdir(exist_ok=True)
    return replace(setting.folders, caches=caches)


def drop_from_memory(folder: Path) -> None:
    """Take all files of a folder out of the page cache."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        file = os.open(path, os.O_RDONLY)
        try:
            # Pages that are not on disk yet stay.
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def read_bytes(tree: Sequence[int]) -> int:
    """Return what these processes have had the system read from disks so far."""
    total = 0
    for pid in tree:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/io").read_text().splitlines():
                name, _, value = line.partition(":")
                total += int(value) if name == "read_bytes" else 0
    return total


class HitsFromDisk:
    """Makes sure that all of bodega's hits come from its disk: counts them by level, before and after."""

    def __init__(self, servers: Sequence[Instance]) -> None:
        self._bodega = next((each for each in servers if each.name == BODEGA), None)
        self._before = self._count()

    def check(self, n_requests: int) -> None:
        """Compare with what was asked since.

        Raises:
            MeasurementFailed: If there were fewer from disk, or any from memory.
        """
        in_memory, on_disk = (now - before for now, before in zip(self._count(), self._before, strict=True))
        if self._bodega is not None and (in_memory or on_disk < n_requests):
            raise MeasurementFailed(f"of {n_requests} hits {on_disk} came from bodega's disk, {in_memory} from memory")

    def _count(self) -> tuple[int, int]:
        if self._bodega is None:
            return 0, 0
        self._bodega.process.resume()
        place = self._bodega.place
        return edge_stats.n_hits(place, "l1"), edge_stats.n_hits(place, "l2")


def _ask_all(setting: Setting, each: Instance, wanted: Sequence[Wanted]) -> None:
    _wait_until_found(each)
    for one in wanted:
        every_key = replace(one.what, keys="from:0", n_connections=4, is_awake=False)
        load.run_all(each.place, every_key, cores=setting.cores, n_requests=one.n_objects)
    if each.name == BODEGA:
        edge_stats.wait(each.place, "written what it has", lambda disk: disk["queue_bytes"] == 0)


def _wait_until_found(each: Instance) -> None:
    if each.name == BODEGA:
        edge_stats.wait(each.place, "found what it has", lambda disk: bool(disk["recovered"]))
