"""What an invalidation takes, how many there may be in a second, and what hits pay for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks import build
from benchmarks.figure import Figure

_KINDS = ("tag", "prefix", "everything", "pattern")
_WANTED_PER_SECOND = 10_000


def measure() -> Mapping[str, float]:
    """Run `crates/bodega-store/benches/invalidation.rs`.

    Raises:
        MeasurementFailed: If it cannot be built or run.
    """
    measured: dict[str, float] = json.loads(build.bench("bodega-store", "invalidation"))
    return measured


def figures(measured: Mapping[str, float]) -> list[Figure]:
    """Judge what was measured."""
    judged = [
        Figure(
            f"invalidation of a {kind} that reaches 1,000,000 entries"
            if kind != "everything"
            else "invalidation of everything, 1,000,000 entries",
            measured[f"{kind}_ns"] / 1e6,
            1.0,
            "ms",
            f"({measured[f'{kind}_ns']:.0f} ns, most {measured[f'{kind}_most_ns'] / 1000:.0f} us; acknowledged "
            f"from the disk after {measured[f'{kind}_synced_ns'] / 1e6:.1f} ms)",
        )
        for kind in _KINDS
    ]
    per_second = measured["sustained_per_second"]
    return [
        *judged,
        Figure(
            "10,000 invalidations by tag or URL, each on the disk",
            _WANTED_PER_SECOND / per_second,
            1.0,
            "seconds",
            f"({per_second:,.0f} a second by 32 callers for 5 s; the slowest took "
            f"{measured['sustained_slowest_us'] / 1000:.0f} ms; "
            f"the log ended with {measured['log_bytes'] / 1e6:.1f} MB)",
        ),
        Figure(
            "a look-up with 256 live pattern rules",
            measured["rules_ratio"],
            1.1,
            "x without",
            f"({measured['look_up_ns']:.0f} ns without; the first one of an entry {measured['rules_first_ns']:.0f} ns)",
        ),
    ]


def method() -> Mapping[str, Any]:
    """Return what the figures depend on."""
    return {"entries": 1_000_000, "callers": 32, "rules": 256}
