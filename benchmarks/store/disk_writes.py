"""How much bodega writes to its disk for what it admits there, while the disk is full and takes ever new objects."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks import edge_stats, instances, load
from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.load import Load
from benchmarks.objects import SIZES
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.store.on_disk import folders
from benchmarks.subjects import BODEGA, MEBIBYTE, Place, Subject

DISK_BYTES = 256 * MEBIBYTE
_MEMORY_BYTES = 64 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Case:
    """One figure.

    Attributes:
        name: What is written, and where to.
        what: What is asked for: twice what the disk holds, each object as likely.
        n_requests: How often.
        bar: What may be written at most for each byte admitted.
        is_paced: Whether each request waits until what came of the one before is on the disk: large objects come from
            the origin faster than any disk takes them, and what is dropped is not admitted.
    """

    name: str
    what: Load
    n_requests: int
    bar: float
    is_paced: bool = False


def _twice_the_disk(folder: str) -> Load:
    # Few at once, so that the disk keeps up.
    return Load(folder, f"random:{_n_objects(folder)}", n_connections=2)


def _n_objects(folder: str) -> int:
    return 2 * DISK_BYTES // SIZES[folder]


CASES: Sequence[Case] = (
    Case("segments (16 KiB)", _twice_the_disk("16k"), 150_000, 1.3),
    Case("slots (10 MiB)", _twice_the_disk("10m"), 300, 1.15, is_paced=True),
)


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one case.

    Attributes:
        written_bytes: What was written, again or for the first time.
        admitted_bytes: What was offered and taken.
        n_dropped: Objects and slices that were not written, as the disk could not keep up.
        hit_share: Requests that were answered without the origin.
    """

    written_bytes: int
    admitted_bytes: int
    n_dropped: int
    hit_share: float


def measure(setting: Setting, origin: FastOrigin) -> dict[str, Written]:
    """Return what bodega wrote in each case."""
    subject = next((subject for subject in setting.subjects if subject.name == BODEGA), None)
    if subject is None:
        return {}
    return {case.name: _measure(setting, subject, origin, case) for case in CASES}


def figures(measured: dict[str, Written]) -> list[Figure]:
    """Judge what was written."""
    judged = []
    for case in CASES:
        written = measured.get(case.name)
        value = None if written is None else written.written_bytes / written.admitted_bytes
        detail = (
            ""
            if written is None
            else f"({written.written_bytes / 1e9:.2f} of {written.admitted_bytes / 1e9:.2f} GB, "
            f"{written.n_dropped:,} dropped, {written.hit_share:.1%} of requests were hits)"
        )
        judged.append(Figure(f"bytes written by bytes admitted, {case.name}", value, case.bar, "x admitted", detail))
    return judged


def record(measured: dict[str, Written]) -> dict[str, Any]:
    """Return all of it for a file of results."""
    return {name: asdict(written) for name, written in measured.items()}


def _measure(setting: Setting, subject: Subject, origin: FastOrigin, case: Case) -> Written:
    say(f"bytes written for bytes admitted: {case.name}")
    with (
        instances.place(
            f"writes-{case.what.folder}",
            within=folders(setting),
            origin_port=origin.port,
            memory_bytes=_MEMORY_BYTES,
            disk_bytes=DISK_BYTES,
        ) as place,
        instances.at(place, subject, cores=setting.cores),
    ):
        n_before = origin.n_requests()
        if case.is_paced:
            chance = random.Random(7)
            for _ in range(case.n_requests):
                one = replace(case.what, keys=f"same:{chance.randrange(_n_objects(case.what.folder))}", n_connections=1)
                load.run_all(place, one, cores=setting.cores, n_requests=1)
                _wait_until_written(place)
        else:
            load.run_all(place, case.what, cores=setting.cores, n_requests=case.n_requests)
            _wait_until_written(place)
        n_missed = origin.n_requests() - n_before
        disk = edge_stats.read(place)["disk"]
    if case.is_paced and disk["dropped"]:
        raise MeasurementFailed(f"{disk['dropped']} slices were dropped, though nobody was in a hurry")
    return Written(
        written_bytes=disk["written_bytes"],
        admitted_bytes=disk["admitted_bytes"],
        n_dropped=disk["dropped"],
        hit_share=1 - n_missed / case.n_requests,
    )


def _wait_until_written(place: Place) -> None:
    edge_stats.wait(place, "written what it has", lambda disk: disk["queue_bytes"] == 0)
