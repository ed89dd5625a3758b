from __future__ import annotations

import json
from typing import Any

import pytest

from bodega.edge import EdgeMetrics, EdgeStats


def said(**levels: tuple[int, float]) -> str:
    latency = {
        level: {"count": count, "sum_seconds": total, "p50_seconds": 0.001, "p99_seconds": 0.002}
        for level, (count, total) in levels.items()
    }
    document: dict[str, Any] = {
        "region": "eu-west-1",
        "name": "<edge>",
        "revision": 3,
        "uptime_seconds": 61.4,
        "draining": False,
        "connections": 2,
        "requests": {"total": 1234, "by_outcome": {"hit": 3}},
        "latency": latency,
        "bytes": {"sent": 5_000_000, "received": 10, "from_origin": 999},
        "origin": {"requests": 2, "errors": 1, "by_origin": {"site": 2}, "failing": {}, "failovers": {}},
        "store": {"entries": 1, "used_bytes": 1500, "capacity_bytes": 512_000_000, "evictions": 0},
        "sequence": 4,
    }
    return json.dumps(document)


def test_what_the_core_says_is_read() -> None:
    stats = EdgeStats.from_json(said(l1=(3, 0.003), miss=(1, 0.2), none=(7, 0.1)))
    assert (stats.region, stats.revision, stats.n_requests, stats.sequence) == ("eu-west-1", 3, 1234, 4)
    assert stats.hit_rate == 0.75
    assert stats.latency["l1"].mean_seconds == 0.001
    assert stats.to_dict()["latency"]["miss"]["count"] == 1
    assert json.dumps(stats.to_dict())


def test_models_have_a_line_each() -> None:
    document = json.loads(said(l1=(3, 0.003)))
    busy = {"model": "fraud", "version": "v1", "file_bytes": 2_000_000, "rows": 1200, "runs": 100, "run_seconds": 0.25}
    busy |= {
        "waiting": 3,
        "rejected": {"queue_full": 1, "deadline": 1},
        "failures": {"model": 4},
        "worker_restarts": 2,
        "worker_memory_bytes": 5_000_000,
    }
    document["models"] = [busy, {"model": "idle", "version": "v2", "of_tomorrow": 1}]
    stats = EdgeStats.from_json(json.dumps(document))
    assert [row for label, row in stats.rows() if label == "model"] == [
        (
            "fraud@v1, 2.0 MB; 1,200 computed in 100 runs of 2.5 ms; 5.0 MB in its process; "
            "3 waiting; 2 rejected; 4 failed; 2 restarts"
        ),
        "idle@v2, 0 B; not asked yet",
    ]
    assert json.dumps(stats.to_dict())


def test_an_edge_one_minor_version_older_or_newer_is_read() -> None:
    """A newer command line raised KeyError at an edge that did not count failovers yet."""
    document = json.loads(said(l1=(3, 0.003)))
    del document["origin"]["failing"], document["origin"]["failovers"]
    document |= {"of_tomorrow": 1}
    document["store"]["of_tomorrow"] = {"a": 1}
    document["latency"]["l1"]["of_tomorrow"] = 0.5
    stats = EdgeStats.from_json(json.dumps(document))
    assert (stats.failing, stats.failovers, stats.n_origin_requests) == ({}, {}, 2)
    assert "of_tomorrow" not in json.dumps(stats.to_dict())
    assert "2, 1 failed" in str(stats)


@pytest.mark.parametrize("part", list(json.loads(said(l1=(3, 0.003)))))
def test_what_an_edge_does_not_count_is_0(part: str) -> None:
    document = json.loads(said(l1=(3, 0.003)))
    del document[part]
    stats = EdgeStats.from_json(json.dumps(document))
    whole = EdgeStats.from_json(said(l1=(3, 0.003)))
    changed = [value for name, value in stats.to_dict().items() if value != whole.to_dict()[name]]
    assert all(not value for value in changed)
    assert str(stats)


def test_statistics_show_as_a_table() -> None:
    table = str(EdgeStats.from_json(said(l1=(3, 0.003), miss=(1, 0.2))))
    assert "hit rate            75.0%" in table
    assert "from memory         3   p50 1.0 ms   p99 2.0 ms" in table
    assert "origin requests     2, 1 failed" in table
    assert "5.0 MB sent, 999 B from origins" in table
    assert "1 entry, 1.5 kB of 512MB" in table


def test_origins_that_fail_and_those_that_stand_in_are_shown() -> None:
    document = json.loads(said(miss=(1, 0.2)))
    assert "failing origins" not in str(EdgeStats.from_json(json.dumps(document)))
    document["origin"] |= {"failing": {"site-b": 0.5, "site-a": 12.0}, "failovers": {"site": 1200, "files": 34}}
    stats = EdgeStats.from_json(json.dumps(document))
    assert (stats.failing["site-a"], stats.failovers["site"]) == (12.0, 1200)
    assert "origin requests     2, 1 failed, 1,234 to another of a group" in str(stats)
    assert "failing origins     site-a, site-b" in str(stats)


def test_statistics_show_in_notebooks_with_names_escaped() -> None:
    html = EdgeStats.from_json(said(l1=(3, 0.003)))._repr_html_()
    assert html.startswith("<table>")
    assert "&lt;edge&gt;" in html


def test_an_edge_that_was_asked_nothing_has_no_rates() -> None:
    stats = EdgeStats.from_json(said(l1=(0, 0.0), miss=(0, 0.0)))
    assert stats.hit_rate == 0
    assert "hit rate         -" in str(stats)


def test_metrics_have_the_names_that_dashboards_know() -> None:
    stats = EdgeStats.from_json(said(l1=(6, 0.006), l2=(2, 0.01), miss=(2, 0.4)))
    metrics = EdgeMetrics(lambda: stats).get_stats()
    assert metrics == pytest.approx(
        {
            "l1_hit_rate": 0.6,
            "l2_hit_rate": 0.2,
            "miss_rate": 0.2,
            "avg_l1_latency_ms": 1.0,
            "avg_l2_latency_ms": 5.0,
            "avg_miss_latency_ms": 200.0,
        }
    )


@pytest.mark.parametrize(
    ("said_of_it", "shown"),
    [
        ({"is_cut": True}, "http://c, cut off, and never level so far"),
        ({"is_cut": True, "position": 7, "level_age_seconds": 61.2}, "http://c, cut off, level 61s ago"),
        ({"is_cut": False}, "http://c, has joined no journal yet"),
        ({"position": 7}, "http://c, at position 7, not level yet"),
        ({"position": 1234, "behind": 0, "level_age_seconds": 0.2}, "http://c, at position 1,234, level 1s ago"),
        ({"position": 7, "behind": 1}, "http://c, at position 7, 1 event behind"),
        ({"position": 7, "behind": 5000, "of_tomorrow": 1}, "http://c, at position 7, 5,000 behind"),
    ],
)
def test_whom_an_edge_follows_and_how_that_goes_is_shown(said_of_it: dict[str, Any], shown: str) -> None:
    document = json.loads(said(l1=(3, 0.003)))
    assert EdgeStats.from_json(json.dumps(document | {"following": None})).following is None
    document["following"] = {"control": "http://c", **said_of_it}
    stats = EdgeStats.from_json(json.dumps(document))
    assert ["follows", shown] in [line.split(maxsplit=1) for line in str(stats).splitlines()]
    assert json.dumps(stats.to_dict())
    assert "problem" not in str(stats)
    document["following"]["problem"] = "revision 3 cannot be used here"
    assert "revision 3 cannot be used here" in str(EdgeStats.from_json(json.dumps(document)))
