"""What the store keeps of what is asked for.

See README.md here for method and competitors.
"""

from __future__ import annotations

from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.store import hit_ratio, invalidation


def measure(setting: Setting) -> Report:
    """Measure all figures of this question."""
    invalidated = invalidation.measure()
    contests = hit_ratio.measure(setting)
    return Report(
        [*hit_ratio.figures(contests), *invalidation.figures(invalidated)],
        {"hit_ratio": hit_ratio.record(contests), "invalidation": invalidated},
        method={"hit_ratio": hit_ratio.method(), "invalidation": invalidation.method()},
    )
