"""What the store keeps of what is asked for.

See README.md here for method and competitors.
"""

from __future__ import annotations

from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.store import hit_ratio


def measure(setting: Setting) -> Report:
    """Measure all figures of this question."""
    contests = hit_ratio.measure(setting)
    return Report(
        hit_ratio.figures(contests),
        {"hit_ratio": hit_ratio.record(contests)},
        method={"hit_ratio": hit_ratio.method()},
    )
