from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from bodega.up.places import PLACES
from bodega.up.visit import Exchange, JsonReport, Record, TableReport, figures

TOKYO = PLACES[0]
MISS = Exchange(TOKYO, "/", 200, "miss", "tokyo; fwd=uri-miss; stored", 0.300, 0.301, 1000, 0)
HIT = replace(MISS, outcome="hit", said="tokyo; hit; ttl=59", first_byte_seconds=0.001, seconds=0.002)


def record(*, hits: int, misses: int = 1, hit: Exchange = HIT, miss: Exchange = MISS) -> Record:
    seen = Record(JsonReport(lambda _: None))
    seen.step("cold", "")
    seen.saw_many([miss] * misses)
    seen.step("crowd", "")
    seen.saw_many([hit] * hits)
    return seen


def verdicts(seen: Record, *, origin_bytes: int, distance: bool = True) -> dict[str, str]:
    table = figures(seen.by_step, origin_bytes=origin_bytes, distance=distance)
    return {figure.name: figure.verdict for figure in table}


def test_a_good_visit_reaches_every_figure() -> None:
    assert set(verdicts(record(hits=9), origin_bytes=1000).values()) == {"reached"}


@pytest.mark.parametrize(
    ("seen", "origin_bytes", "short"),
    [
        pytest.param(record(hits=4), 1000, "hit rate", id="four of five are not more than 80 %"),
        pytest.param(record(hits=99, hit=replace(HIT, seconds=0.051)), 1000, "p99 of edge hits", id="slow hits"),
        pytest.param(
            record(hits=9, miss=replace(MISS, first_byte_seconds=0.6)), 1000, "origin round trip", id="slow origin"
        ),
        pytest.param(
            record(hits=9, miss=replace(MISS, first_byte_seconds=0.1)), 1000, "origin round trip", id="too near"
        ),
        pytest.param(record(hits=9), 3100, "origin bytes saved", id="69 % saved"),
    ],
)
def test_a_figure_that_is_not_reached_is_short(seen: Record, origin_bytes: int, short: str) -> None:
    found = verdicts(seen, origin_bytes=origin_bytes)
    assert found.pop(short) == "short"
    assert set(found.values()) == {"reached"}


def test_without_distance_the_round_trip_is_not_measured() -> None:
    assert verdicts(record(hits=9), origin_bytes=1000, distance=False)["origin round trip"] == "not measured"


def test_the_json_report_is_one_object_a_line() -> None:
    lines: list[str] = []
    seen = Record(JsonReport(lines.append))
    seen.step("cold", "first")
    seen.saw_load([MISS, MISS], 0.5)
    seen.check("it came", True, "all")
    seen.report.end(figures(seen.by_step, origin_bytes=2000, distance=True), is_as_it_should_be=False)
    told = [json.loads(line) for line in lines]
    assert [each["kind"] for each in told] == ["step", "exchange", "exchange", "load", "check", *["figure"] * 4, "end"]
    assert told[1]["outcome"] == "miss"
    assert told[-1] == {"kind": "end", "ok": False}


def test_the_table_report_tells_what_came_from_where() -> None:
    output = io.StringIO()
    seen = Record(TableReport(Console(file=output, width=140)))
    seen.step("cold", "The first time.")
    seen.saw_load([MISS, HIT], 0.5)
    seen.saw(replace(HIT, path="/again"))
    seen.check("nothing was wrong", False, "something was")
    seen.report.end(figures(seen.by_step, origin_bytes=0, distance=True), is_as_it_should_be=seen.is_as_it_should_be)
    text = output.getvalue()
    for part in ("1 miss, 1 hit", "/again", "WRONG nothing was wrong", "hit rate", "Not as it should be."):
        assert part in text
