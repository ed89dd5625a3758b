"""What an answer from memory costs: CPU time per hit by size, memory per object, and the bound on memory.

See README.md here for method and competitors.
"""

from __future__ import annotations

import contextlib
from typing import Any

from benchmarks.figure import Figure
from benchmarks.hits import bound, hit_cost, memory
from benchmarks.instances import instance
from benchmarks.origin.fast import HEAD_BYTES, fast_origin
from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.subjects import MEBIBYTE

_MEMORY_BYTES = 512 * MEBIBYTE


def measure(setting: Setting) -> Report:
    """Measure all figures of this question."""
    figures: list[Figure] = []
    measured: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(fast_origin(setting.folders.files / "origin", setting.cores))
        instances = [
            stack.enter_context(
                instance(
                    subject,
                    subject.name,
                    within=setting.folders,
                    origin_port=origin.port,
                    memory_bytes=_MEMORY_BYTES,
                    cores=setting.cores,
                )
            )
            for subject in setting.subjects
        ]
        # First, as it fills each server with the small objects that the others ask for.
        grown = memory.measure(setting, instances, origin)
        measured["bytes_per_object"] = grown
        for case in hit_cost.CASES:
            series = hit_cost.measure(setting, instances, origin, case)
            measured[case.name] = series.record()
            figures.append(hit_cost.figure(case, series))
        figures.append(memory.figure(grown))
    exceeded = bound.measure(setting)
    measured["peak_growth_by_bound"] = exceeded
    figures.append(bound.figure(exceeded))
    return Report(
        figures,
        measured,
        method={
            "memory_bytes": _MEMORY_BYTES,
            "origin_head_bytes_at_1_kib": HEAD_BYTES,
            "connections": {case.name: case.n_connections for case in hit_cost.CASES},
        },
    )
