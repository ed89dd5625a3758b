"""Memory per cached object of 1 KiB: how much a server grows over 100,000 of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import comparison, load
from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.instances import Instance
from benchmarks.load import Load
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.rounds import TOLERATED_SHARE
from benchmarks.setting import Setting
from benchmarks.subjects import BODEGA

N_OBJECTS = 100_000
_BAR_KIBIBYTES = 1.4

# Connections are made and used before growth is counted: their buffers are no part of an object.
_N_BEFORE = 20_000


def measure(setting: Setting, instances: Sequence[Instance], origin: FastOrigin) -> dict[str, float]:
    """Fill every server, and return the bytes that each grew by per object.

    Raises:
        MeasurementFailed: If an object is not there afterwards.
    """
    grown = {}
    for each in instances:
        say(f"memory of {N_OBJECTS:,} objects of 1 KiB: {each.name}")
        load.run_all(each.place, Load("1k", "same:0"), cores=setting.cores, n_requests=_N_BEFORE)
        before = each.held_bytes()
        every_key = Load("1k", "from:0")
        load.run_all(each.place, every_key, cores=setting.cores, n_requests=N_OBJECTS)
        n_origin_requests = origin.n_requests()
        load.run_all(each.place, every_key, cores=setting.cores, n_requests=N_OBJECTS)
        n_missed = origin.n_requests() - n_origin_requests
        if n_missed > N_OBJECTS * TOLERATED_SHARE:
            raise MeasurementFailed(f"{each.name} holds {N_OBJECTS - n_missed:,} of {N_OBJECTS:,} objects")
        if not each.subject.takes_memory_at_start:
            grown[each.name] = (each.held_bytes() - before) / N_OBJECTS
    return grown


def figure(grown: Mapping[str, float]) -> Figure:
    """Judge what bodega grew by."""
    kibibytes = {name: value / 1024 for name, value in grown.items()}
    return Figure(
        "memory per object of 1 KiB with a head of 200 bytes",
        kibibytes.get(BODEGA),
        _BAR_KIBIBYTES,
        "KiB",
        comparison.shown(kibibytes, "KiB"),
    )
