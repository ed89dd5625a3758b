"""Which core serves and which core makes the load.

The server under measurement has a core for itself; whoever asks it, and the origin behind it, share the other one, and
so does this program.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from benchmarks import priority
from benchmarks.failure import MeasurementFailed


@dataclass(frozen=True, slots=True)
class Cores:
    """The two cores of a measurement."""

    server: int
    load: int


def choose() -> Cores:
    """Take the first two cores that this process may use, and move this process to the second.

    Raises:
        MeasurementFailed: If there is only one.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise MeasurementFailed("two cores are needed: one for the server, one for the load")
    cores = Cores(server=usable[0], load=usable[1])
    os.sched_setaffinity(0, {cores.load})
    return cores


def pinned(command: list[str], core: int) -> list[str]:
    """Return the command that runs `command` on one core, before others if it may; its process id stays its own."""
    return priority.niced(["taskset", "--cpu-list", str(core), *command])
