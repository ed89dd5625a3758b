"""Hits in memory while the disk is busy: how much later the last percent of them comes.

The disk is kept busy by a process of its own, and the edge reads from it and writes to it at a steady rate. What makes
the rate is h2load, which tells of each answer how long it took. Between the two stand turns in which the edge has the
same requests, but the disk is idle and what is read from it is in the page cache: what these cost is not the disk's.
"""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.setup.progress import ROOT

from benchmarks import edge_stats, load, programs
from benchmarks.cores import pinned
from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.instances import Instance
from benchmarks.load import Load
from benchmarks.objects import path
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.store.on_disk import Wanted, drop_from_memory
from benchmarks.subjects import BODEGA, Place

N_OBJECTS = 512
"""Of 1 MiB, on disk."""
N_IN_MEMORY = 64
"""Of 1 KiB."""
N_CONNECTIONS = 8
PER_SECOND = 200
"""Requests on each of them."""

_BAR = 2.0
_FROM_DISK_PER_SECOND = 40
_TO_DISK_PER_SECOND = 20
_N_AT_DISK = 4
_SECONDS = 2.0
_DROP_SECONDS = 0.2
_MAX_SECONDS = 60.0
_SCRATCH_MEBIBYTES = 512
_LEAST_BUSY = 0.5
_NOTHING, _REQUESTS, _BUSY = "nothing", "requests", "requests and a busy disk"


@dataclass(frozen=True, slots=True)
class Turn:
    """Hits in memory for a few seconds.

    Attributes:
        beside: What there was beside them: nothing, large requests, or these and a busy disk.
        n_requests: How many hits.
        p50_microseconds: From request to answer, as the client sees it.
        p99_microseconds: The same.
        disk_share: Part of the time in which the disk had something to do.
        disk_mebibytes_per_second: What it read and wrote.
    """

    beside: str
    n_requests: int
    p50_microseconds: float
    p99_microseconds: float
    disk_share: float
    disk_mebibytes_per_second: float


def wanted() -> list[Wanted]:
    """Return what has to be on disk."""
    return [Wanted(Load("1m", f"shuffled:{N_OBJECTS}"), N_OBJECTS)]


def measure(setting: Setting, servers: Sequence[Instance]) -> list[Turn]:
    """Measure bodega in turns with and without others at its disk.

    Raises:
        MeasurementFailed: If a hit did not come from memory, or the disk was not busy.
    """
    each = next((server for server in servers if server.name == BODEGA), None)
    if each is None:
        return []
    say(f"hits in memory while the disk is busy, {3 * setting.n_rounds} turns of {_SECONDS:g} s")
    programs.bring(["h2load"])
    each.process.resume()
    # Twice: what is asked for again comes to memory.
    for _ in range(2):
        load.run_all(each.place, Load("1k", "from:0", 4), cores=setting.cores, n_requests=N_IN_MEMORY)
    turns: list[Turn] = []
    new_keys = iter(range(1 << 30, 1 << 40, 1 << 20))
    for _ in range(setting.n_rounds):
        turns.append(_turn(setting, each.place, _NOTHING))
        with _large_requests(setting, each.place, next(new_keys)):
            turns.append(_turn(setting, each.place, _REQUESTS))
        with _busy_disk(setting, each.place), _large_requests(setting, each.place, next(new_keys)):
            turns.append(_turn(setting, each.place, _BUSY))
    return turns


def figure(turns: Sequence[Turn]) -> Figure:
    """Compare each turn beside a busy disk with that beside nothing before it; the median."""
    p99 = {
        beside: [turn.p99_microseconds for turn in turns if turn.beside == beside]
        for beside in (_NOTHING, _REQUESTS, _BUSY)
    }
    ratios = [busy / alone for alone, busy in zip(p99[_NOTHING], p99[_BUSY], strict=True)]
    medians = {beside: statistics.median(each) for beside, each in p99.items() if each}
    rates = [turn.disk_mebibytes_per_second for turn in turns if turn.beside == _BUSY]
    detail = ", ".join(f"beside {beside} {median:.0f} us" for beside, median in medians.items())
    return Figure(
        "p99 of hits in memory while the disk is busy",
        statistics.median(ratios) if ratios else None,
        _BAR,
        "x beside nothing",
        f"({detail}, which did {statistics.median(rates):.0f} MiB/s)" if rates else "",
    )


def method() -> dict[str, Any]:
    """Return what the figure depends on."""
    return {
        "connections": N_CONNECTIONS,
        "hits_per_second": N_CONNECTIONS * PER_SECOND,
        "seconds": _SECONDS,
        "mebibytes_per_second_from_disk": _FROM_DISK_PER_SECOND,
        "mebibytes_per_second_to_disk": _TO_DISK_PER_SECOND,
    }


def record(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Return all of it for a file of results."""
    return [asdict(turn) for turn in turns]


def _turn(setting: Setting, place: Place, beside: str) -> Turn:
    device = _device(place.cache)
    n_before = edge_stats.n_hits(place, "l1")
    disk_before, began = _disk(device), time.monotonic()
    waits = sorted(_hits(setting, place))
    seconds = time.monotonic() - began
    busy_seconds, n_sectors = (now - before for now, before in zip(_disk(device), disk_before, strict=True))
    if edge_stats.n_hits(place, "l1") - n_before < len(waits):
        raise MeasurementFailed("not all of what was asked for came from memory")
    turn = Turn(
        beside=beside,
        n_requests=len(waits),
        p50_microseconds=waits[len(waits) // 2],
        p99_microseconds=waits[len(waits) * 99 // 100],
        disk_share=busy_seconds / seconds,
        disk_mebibytes_per_second=n_sectors / 2048 / seconds,
    )
    if beside == _BUSY and turn.disk_share < _LEAST_BUSY:
        raise MeasurementFailed(f"the disk was busy for {turn.disk_share:.0%} of the time only")
    return turn


def _hits(setting: Setting, place: Place) -> list[float]:
    """Ask for what is in memory, at a steady rate; returns how long each answer took, in microseconds."""
    log = place.folder / "hits.log"
    log.unlink(missing_ok=True)
    n_requests = int(N_CONNECTIONS * PER_SECOND * _SECONDS)
    keys = range(N_IN_MEMORY)
    asked = _steadily(place, "1k", keys, n_clients=N_CONNECTIONS, per_second=PER_SECOND, n_requests=n_requests)
    command = pinned([*asked, "--log-file", str(log)], setting.cores.load)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS + 60)
    # When it began, the status, and how long it took in microseconds.
    lines = [line.split("\t") for line in log.read_text().splitlines()] if done.returncode == 0 else []
    if len(lines) != n_requests or any(status != "200" for _, status, _ in lines):
        raise MeasurementFailed(f"h2load: {len(lines)} of {n_requests} answers: {done.stderr.strip()}")
    return [float(took) for _, _, took in lines]


def _steadily(
    place: Place, folder: str, keys: Iterable[int], *, n_clients: int, per_second: float, n_requests: int
) -> list[str]:
    """Return what asks for objects at a rate, which is that of each client."""
    names = place.folder / f"{folder}.txt"
    names.write_text("".join(f"http://127.0.0.1:{place.port}{path(folder, key)}\n" for key in keys), encoding="ascii")
    return [
        *(programs.find("h2load"), "--h1", "--clients", str(n_clients), "--requests", str(n_requests)),
        *("--rps", f"{per_second:g}", "--input-file", str(names)),
    ]


@contextlib.contextmanager
def _large_requests(setting: Setting, place: Place, first_key: int) -> Iterator[None]:
    """Ask the edge for what it has on disk, and for what it will write there, at a steady rate."""
    per_second = _FROM_DISK_PER_SECOND + _TO_DISK_PER_SECOND
    n_requests = int(per_second * _MAX_SECONDS)
    chance, new = random.Random(first_key), iter(range(first_key, first_key + n_requests))
    is_old = [chance.random() * per_second < _FROM_DISK_PER_SECOND for _ in range(n_requests)]
    asked = _steadily(
        place,
        "1m",
        [chance.randrange(N_OBJECTS) if old else next(new) for old in is_old],
        n_clients=_N_AT_DISK,
        per_second=per_second / _N_AT_DISK,
        n_requests=n_requests,
    )
    with _behind(setting, asked) as asking:
        yield
        if asking.poll() is not None:
            raise MeasurementFailed("who asked for what is on disk has ended before the hits did")


@contextlib.contextmanager
def _busy_disk(setting: Setting, place: Place) -> Iterator[None]:
    """Let others read and write past the page cache, and take what the edge has on disk out of it."""
    scratch = place.cache / "scratch"
    is_over = threading.Event()

    def forget() -> None:
        while not is_over.wait(_DROP_SECONDS):
            drop_from_memory(place.cache / "disk")

    others = [sys.executable, "-m", "benchmarks.store.disk_load", str(scratch), str(_SCRATCH_MEBIBYTES)]
    with _behind(setting, others) as busy:
        if busy.stdout is None or busy.stdout.readline() != b"ready\n":
            raise MeasurementFailed("what keeps the disk busy has not begun")
        forgetting = threading.Thread(target=forget)
        forgetting.start()
        try:
            yield
        finally:
            is_over.set()
            forgetting.join()
    scratch.unlink()


@contextlib.contextmanager
def _behind(setting: Setting, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends, on the core of the load and behind it: nothing raises its priority."""
    last = ["taskset", "--cpu-list", str(setting.cores.load), *command]
    with subprocess.Popen(last, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _device(folder: Path) -> str:
    """Return the name of the disk that a folder is on."""
    number = folder.stat().st_dev
    link = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not link.exists():
        raise MeasurementFailed(f"{folder} has to be on a disk (TMPDIR says where)")
    return link.resolve().name


def _disk(device: str) -> tuple[float, int]:
    """Return the seconds in which a disk had something to do so far, and the sectors that it read and wrote."""
    for line in Path("/proc/diskstats").read_text().splitlines():
        # Documentation/admin-guide/iostats.rst: 6 and 10 are sectors, 13 the milliseconds of doing I/O.
        fields = line.split()
        if fields[2] == device:
            return int(fields[12]) / 1000, int(fields[5]) + int(fields[9])
    raise MeasurementFailed(f"the system tells nothing of the disk {device}")
