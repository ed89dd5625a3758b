"""What the store keeps of what is asked for, and what its disk costs.

See README.md here for method and competitors.
"""

from __future__ import annotations

import contextlib
from typing import Any

from benchmarks import certificate
from benchmarks.figure import Figure
from benchmarks.origin.fast import fast_origin
from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.store import busy_disk, disk_hits, disk_reads, disk_writes, hit_ratio, invalidation, on_disk, restart
from benchmarks.subjects import BODEGA, NGINX, NGINX_WITH_THREADS, Subject


def measure(setting: Setting) -> Report:
    """Measure all figures of this question."""
    figures, measured = _measure_disk(setting)
    invalidated = invalidation.measure()
    contests = hit_ratio.measure(setting)
    return Report(
        [*figures, *hit_ratio.figures(contests), *invalidation.figures(invalidated)],
        {**measured, "hit_ratio": hit_ratio.record(contests), "invalidation": invalidated},
        method={
            "disk": _disk_method(),
            "hit_ratio": hit_ratio.method(),
            "invalidation": invalidation.method(),
        },
    )


def _measure_disk(setting: Setting) -> tuple[list[Figure], dict[str, Any]]:
    """Measure what is read from disk and written there."""
    figures: list[Figure] = []
    measured: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(fast_origin(setting.folders.files / "disk-origin", setting.cores))
        shown = certificate.make(setting.folders.files / "disk-certificate")
        wanted = [*disk_hits.wanted(origin), *disk_reads.wanted(), *busy_disk.wanted()]
        servers = [
            stack.enter_context(on_disk.filled(setting, subject, origin, wanted, shown))
            for subject in _with_files(setting)
        ]
        for case in disk_hits.CASES:
            judged = [each for each in servers if each.subject is not NGINX_WITH_THREADS]
            series = disk_hits.measure(setting, judged, origin, case)
            measured[case.name] = series.record()
            figures.append(disk_hits.figure(case, series))
        reads = disk_reads.measure(setting, servers, origin)
        measured["reads at random"] = disk_reads.record(reads)
        figures.append(disk_reads.figure(reads))
        for each in servers:
            each.process.pause()
        hits = busy_disk.measure(setting, servers)
        measured["hits in memory while the disk is busy"] = busy_disk.record(hits)
        figures.append(busy_disk.figure(hits))
        for each in servers:
            each.process.pause()
        starts = restart.measure(setting, origin)
        measured["starts after kill -9"] = restart.record(starts)
        figures.extend(restart.figures(starts))
        written = disk_writes.measure(setting, origin)
        measured["bytes written"] = disk_writes.record(written)
        figures.extend(disk_writes.figures(written))
        for each in servers:
            each.process.resume()
    return figures, measured


def _with_files(setting: Setting) -> list[Subject]:
    chosen = [subject for subject in setting.subjects if subject.name in (BODEGA, NGINX.name)]
    return [*chosen, *([NGINX_WITH_THREADS] if NGINX in chosen else [])]


def _disk_method() -> dict[str, Any]:
    return {
        "memory_bytes": on_disk.MEMORY_BYTES,
        "disk_bytes": on_disk.DISK_BYTES,
        "connections": {case.name: case.n_connections for case in disk_hits.CASES},
        "objects": {case.name: case.n_objects for case in disk_hits.CASES},
        "read_at_random": {"objects": disk_reads.N_OBJECTS, "requests_per_turn": disk_reads.N_REQUESTS},
        "hits_while_busy": busy_disk.method(),
        "restart": {"objects": restart.N_OBJECTS, "starts": restart.N_STARTS},
        "writes": {"disk_bytes": disk_writes.DISK_BYTES},
    }
