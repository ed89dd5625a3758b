"""How often things are sent and said, by what it costs and how many there are."""

from __future__ import annotations

import pytest

from bodega.control.pace import Pace, acknowledge_within_ms, heartbeat_seconds


def test_the_first_is_sent_at_once_and_the_next_by_what_that_cost() -> None:
    pace = Pace()
    assert pace.wait_seconds(100.0) == 0
    pace.sent(100.0, 0.02)
    # A quarter of the time is for sending.
    assert pace.wait_seconds(100.02) == pytest.approx(0.04)
    assert pace.wait_seconds(100.06) == pytest.approx(0.0)
    assert pace.wait_seconds(200.0) == 0


def test_however_dear_it_waits_a_quarter_of_a_second_at_most() -> None:
    pace = Pace()
    pace.sent(100.0, 3.0)
    assert pace.wait_seconds(100.0) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("n_edges", "within_ms", "every_seconds"),
    [(0, 0, 1.0), (100, 0, 1.0), (101, 101, 1.0), (1000, 1000, 1.0), (5000, 5000, 5.0)],
)
def test_a_fleet_of_any_size_speaks_a_bounded_number_of_times(
    n_edges: int, within_ms: int, every_seconds: float
) -> None:
    assert acknowledge_within_ms(n_edges) == within_ms
    assert heartbeat_seconds(n_edges) == every_seconds
    assert n_edges / heartbeat_seconds(n_edges) <= 1000
