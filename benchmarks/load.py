"""The load: `bodega-loadgen` on its own core, a closed loop over kept connections that checks every answer."""

from __future__ import annotations

import json
import resource
import subprocess
from dataclasses import dataclass

from benchmarks import build, objects
from benchmarks.cores import Cores, pinned
from benchmarks.failure import MeasurementFailed


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask for.

    Attributes:
        folder: Which size.
        keys: `same:KEY`, `random:COUNT` or `from:FIRST`.
        n_connections: How many requests are under way at once.
        is_awake: Whether whoever asks never sleeps; with an origin on the same core it has to.
    """

    folder: str
    keys: str
    n_connections: int = 64
    is_awake: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """What was asked and answered, and the time that this took."""

    n_requests: int
    seconds: float
    cpu_seconds: float


def run(port: int, load: Load, *, cores: Cores, seconds: float) -> Count:
    """Ask for a while."""
    return _run(port, load, cores, ["--seconds", f"{seconds:g}"], timeout_seconds=seconds + 60)


def run_all(port: int, load: Load, *, cores: Cores, n_requests: int) -> Count:
    """Ask a number of times."""
    return _run(port, load, cores, ["--requests", str(n_requests)], timeout_seconds=300)


def _run(port: int, load: Load, cores: Cores, until: list[str], *, timeout_seconds: float) -> Count:
    command = [
        *(str(build.LOAD_GENERATOR), "--port", str(port), "--folder", load.folder),
        *("--body-bytes", str(objects.SIZES[load.folder]), "--connections", str(load.n_connections)),
        *("--keys", load.keys, *until),
        *(["--paths-in-bodies"] if load.folder in objects.FOLDERS_WITH_PATHS else []),
        *(["--awake"] if load.is_awake else []),
    ]
    before = _cpu_seconds_of_children()
    done = subprocess.run(
        pinned(command, cores.load), capture_output=True, text=True, check=False, timeout=timeout_seconds
    )
    if done.returncode != 0:
        raise MeasurementFailed(f"the load stopped: {done.stderr.strip()}")
    counted = json.loads(done.stdout)
    return Count(
        n_requests=counted["requests"],
        seconds=counted["seconds"],
        cpu_seconds=_cpu_seconds_of_children() - before,
    )


def _cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
