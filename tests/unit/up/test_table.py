from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bodega.up.admin import Admin
from bodega.up.counts import EdgeCounts, Latency
from bodega.up.edge_process import EdgeProcess
from bodega.up.places import PLACES
from bodega.up.table import Row, Watch, json_line, live_table, plain_line

COUNTS = EdgeCounts(
    region="ap-northeast-1",
    name="tokyo",
    requests=100,
    by_outcome={"hit": 90, "miss": 10},
    latency={"l1": Latency(90, 0.0002, 0.001), "miss": Latency(10, 0.3, 0.31)},
    bytes_sent=1000,
    bytes_from_origin=100,
    origin_requests=10,
    entries=10,
    used_bytes=5_000_000,
    capacity_bytes=512_000_000,
)


@pytest.fixture
def edge(tmp_path: Path) -> EdgeProcess:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return EdgeProcess(PLACES[0], "127.0.0.1:8080", Admin("127.0.0.1:1"), ended, tmp_path / "log")


def test_a_row_is_shown_in_three_forms(edge: EdgeProcess) -> None:
    row = Row(edge, COUNTS, 12.5)
    line = "tokyo (ap-northeast-1): 12.5 requests/s, 100 in all, 90.0 % from memory, 10.0 % from the origin, "
    assert plain_line(row) == line + "hits p50/p99 0.20/1.00 ms, origin bytes saved 90.0 %"
    told = json.loads(json_line(row))
    assert told["level_rates"] == {"l1": 0.9, "l2": 0.0, "miss": 0.1}
    assert told["bytes_saved_rate"] == 0.9
    console = Console(file=io.StringIO(), width=160)
    console.print(live_table([row]))
    assert "300.00/310.00 ms" in console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO


def test_requests_per_second_are_counted_between_two_looks(edge: EdgeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.0])
    monkeypatch.setattr(Admin, "counts", lambda _self: COUNTS)
    monkeypatch.setattr("bodega.up.table.time.monotonic", lambda: next(times))
    watch = Watch([edge])
    assert watch.look()[0].requests_per_second == 0
    monkeypatch.setattr(Admin, "counts", lambda _self: EdgeCounts.from_json(_with_requests(130)))
    assert watch.look()[0].requests_per_second == 15


def _with_requests(n_requests: int) -> str:
    return json.dumps(
        {
            "region": "r",
            "name": "tokyo",
            "requests": {"total": n_requests, "by_outcome": {}},
            "latency": {},
            "bytes": {"sent": 0, "from_origin": 0},
            "origin": {"requests": 0},
            "store": {"entries": 0, "used_bytes": 0, "capacity_bytes": 0},
        }
    )
