from __future__ import annotations

import json

import pytest

from bodega.up.counts import EdgeCounts


def told(**latency: dict[str, float]) -> str:
    return json.dumps(
        {
            "region": "eu-west-2",
            "name": "london",
            "revision": 1,
            "requests": {"total": 10, "by_outcome": {"hit": 8, "miss": 2}},
            "latency": latency,
            "bytes": {"sent": 1000, "received": 10, "from_origin": 250},
            "origin": {"requests": 2, "errors": 0, "by_origin": {"site": 2}},
            "store": {"entries": 2, "used_bytes": 900, "capacity_bytes": 512_000_000, "evictions": 0},
        }
    )


def test_rates_follow_from_the_counts() -> None:
    level = {"sum_seconds": 0.1, "p50_seconds": 0.001, "p99_seconds": 0.002}
    counts = EdgeCounts.from_json(
        told(l1={"count": 8, **level}, miss={"count": 2, **level}, none={"count": 5, **level})
    )
    assert counts.level_rate("l1") == pytest.approx(0.8)
    assert counts.level_rate("l2") == 0
    assert counts.saved_rate == pytest.approx(0.75)
    assert counts.latency["l1"].p99_seconds == 0.002


def test_before_the_first_request_there_is_no_rate() -> None:
    assert EdgeCounts.from_json(told()).level_rate("l1") is None
