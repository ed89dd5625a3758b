from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bodega.edge import AdminClient, EdgeStats
from bodega.up.edge_process import EdgeProcess
from bodega.up.places import PLACES
from bodega.up.program import Program
from bodega.up.table import Row, Watch, json_line, live_table, plain_line, saved, share

STATS = EdgeStats.from_json(
    json.dumps(
        {
            "region": "ap-northeast-1",
            "name": "tokyo",
            "revision": 1,
            "uptime_seconds": 60,
            "draining": False,
            "connections": 3,
            "requests": {"total": 100, "by_outcome": {"hit": 90, "miss": 10}},
            "latency": {
                "l1": {"count": 90, "sum_seconds": 0.02, "p50_seconds": 0.0002, "p99_seconds": 0.001},
                "miss": {"count": 10, "sum_seconds": 3, "p50_seconds": 0.3, "p99_seconds": 0.31},
            },
            "bytes": {"sent": 1000, "received": 10, "from_origin": 100},
            "origin": {"requests": 10, "errors": 0, "by_origin": {"site": 10}, "failing": {}, "failovers": {}},
            "store": {"entries": 10, "used_bytes": 5_000_000, "capacity_bytes": 512_000_000, "evictions": 0},
            "models": [{"model": "magika", "rows": 30}, {"model": "breast-cancer", "rows": 12}],
            "sequence": 0,
        }
    )
)


@pytest.fixture
def edge(tmp_path: Path) -> EdgeProcess:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    program = Program("the edge in Tokyo", ended, tmp_path / "log")
    return EdgeProcess(PLACES[0], "127.0.0.1:8080", "127.0.0.1:8443", program, AdminClient("127.0.0.1:1"))


def test_a_row_is_shown_in_three_forms(edge: EdgeProcess) -> None:
    row = Row(edge, STATS, 12.5)
    line = "tokyo (ap-northeast-1): 12.5 requests/s, 100 in all, 90.0 % from memory, 10.0 % from the origin, "
    assert plain_line(row) == line + "hits p50/p99 0.20/1.00 ms, origin bytes saved 90.0 %, 42 predictions computed"
    told = json.loads(json_line(row))
    assert told["level_rates"] == {"l1": 0.9, "l2": 0.0, "miss": 0.1}
    assert told["bytes_saved_rate"] == 0.9
    assert told["predicted"] == {"magika": 30, "breast-cancer": 12}
    assert told["tls_url"] == "https://localhost:8443"
    console = Console(file=io.StringIO(), width=160)
    console.print(live_table([row]))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
    assert "300.00/310.00 ms" in drawn
    assert "localhost:8443" in drawn


def test_requests_per_second_are_counted_between_two_looks(edge: EdgeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.0])
    monkeypatch.setattr(AdminClient, "stats", lambda _self: STATS)
    monkeypatch.setattr("bodega.up.table.time.monotonic", lambda: next(times))
    watch = Watch([edge])
    assert watch.look()[0].requests_per_second == 0
    monkeypatch.setattr(AdminClient, "stats", lambda _self: replace(STATS, n_requests=130))
    assert watch.look()[0].requests_per_second == 15


def test_before_the_first_request_there_is_no_rate() -> None:
    nothing = replace(STATS, n_requests=0, latency={}, sent_bytes=0)
    assert (share(nothing, "l1"), saved(nothing)) == (None, None)
