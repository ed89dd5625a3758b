from __future__ import annotations

import pytest

from bodega.up.visit.cache_status import outcome


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("tokyo; hit; ttl=59", "hit"),
        ("tokyo; hit; ttl=-3", "stale"),
        ("tokyo; fwd=stale; ttl=-3; detail=if-error", "stale"),
        ("tokyo; fwd=uri-miss; stored", "miss"),
        ("tokyo; fwd=uri-miss; collapsed", "collapsed"),
        ("tokyo; fwd=stale; fwd-status=304; stored", "revalidated"),
        ("tokyo; fwd=stale; fwd-status=200; stored", "miss"),
        ("tokyo; fwd=bypass; detail=policy-none", "pass"),
        ("tokyo; fwd=method", "pass"),
        ("tokyo; detail=configured", "none"),
        ("shield; hit; ttl=9, tokyo; fwd=uri-miss; stored", "miss"),
        ('"tokyo"; hit; ttl=59', "hit"),
        ("elsewhere; hit", "none"),
        ("", "none"),
    ],
)
def test_the_outcome_is_what_this_edge_says(said: str, expected: str) -> None:
    assert outcome(said, "tokyo") == expected
