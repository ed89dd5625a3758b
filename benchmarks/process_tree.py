"""A process and all it started: their CPU time, their memory, and stopping them for a while.

CPU time comes from each process's own CPU clock, which counts what /proc/PID/stat calls utime and stime, of all threads
and of those that ended, in nanoseconds instead of ticks of 10 ms.
On loopback the kernel receives what a server sends within the server's own system call, so that this is included; what
it leaves to ksoftirqd is not (`ksoftirqd_seconds`), nor on kernels with IRQ_TIME_ACCOUNTING any of it
(`core_softirq_seconds`, which on other kernels is a part of the CPU time of whoever was running).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def pids(root: int) -> list[int]:
    """Return the process `root` and all its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu_seconds(tree: Sequence[int]) -> dict[int, float]:
    """Return the CPU time, user and system, that each of these processes has used so far."""
    used = {}
    for pid in tree:
        # One may end meanwhile, as nginx's loader of cached files does after a minute.
        with contextlib.suppress(OSError):
            # The number of a process's CPU clock, as clock_getcpuclockid(3) makes it: CPUCLOCK_SCHED is 2.
            used[pid] = time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    return used


def cpu_seconds_since(before: Mapping[int, float], tree: Sequence[int]) -> float:
    """Return the CPU time that a tree of processes has used since it had used what `before` says."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in cpu_seconds(tree).items())


def resident_bytes(tree: Sequence[int]) -> int:
    """Return the resident memory of these processes; a page that several of them share counts once."""
    return sum(_rollup(pid, "Pss") for pid in tree)


def peak_resident_bytes(pid: int) -> int:
    """Return the most memory that was ever resident in one process (`VmHWM`)."""
    return _kibibytes(_PROC / str(pid) / "status", "VmHWM")


def pause(tree: Sequence[int]) -> None:
    """Stop these processes until `resume`, so that they take no time from the one that is measured."""
    for pid in tree:
        os.kill(pid, signal.SIGSTOP)


def resume(tree: Sequence[int]) -> None:
    """Let these processes run again."""
    for pid in reversed(tree):
        os.kill(pid, signal.SIGCONT)


def ksoftirqd_seconds(core: int) -> float:
    """Return the CPU time of the kernel's thread for soft interrupts on a core; 0 where it cannot be seen."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text() == f"ksoftirqd/{core}\n":
                    return sum(cpu_seconds([int(entry.name)]).values())
    return 0.0


def core_softirq_seconds(core: int) -> float:
    """Return the time that a core spent on interrupts and soft interrupts, in ticks and by whomever they ran."""
    line = next(line for line in (_PROC / "stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    fields = [int(field) for field in line.split()[1:]]
    return (fields[5] + fields[6]) / _TICKS_PER_SECOND


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def _stat(pid: int) -> list[str]:
    # State, parent and so on: what follows the name, which may hold spaces and parentheses.
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _rollup(pid: int, field: str) -> int:
    return _kibibytes(_PROC / str(pid) / "smaps_rollup", field)


def _kibibytes(file: Path, field: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0
