"""What a miss costs: CPU time per object fetched and kept, and a crowd of clients before one cold object.

See README.md here for method and competitors.
"""

from __future__ import annotations

from typing import Any

from benchmarks.figure import Figure
from benchmarks.fills import crowd, miss_cost
from benchmarks.report import Report
from benchmarks.setting import Setting


def measure(setting: Setting) -> Report:
    """Measure all figures of this question."""
    figures: list[Figure] = []
    measured: dict[str, Any] = {}
    for case, series in miss_cost.measure(setting):
        measured[case.name] = series.record()
        figures.append(miss_cost.figure(case, series))
    crowds = crowd.measure(setting)
    measured["crowd"] = crowd.record(crowds)
    figures.extend(crowd.figures(crowds))
    return Report(figures, measured, method={**miss_cost.METHOD, **crowd.METHOD})
