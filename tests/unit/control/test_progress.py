"""Which edge had applied what after how long; who is here; how much a token may ask for."""

from __future__ import annotations

import pytest

from bodega.control.limits import Bucket
from bodega.control.presence import HEARD_EVERY_SECONDS, MISSED, Presence
from bodega.control.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_each_edge_has_a_time_of_its_own() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.begin(4)
    progress.begin(7)
    clock.seconds += 0.010
    assert progress.reach("tokyo-1", 5)
    clock.seconds += 0.020
    assert progress.reach("paris-1", 9)
    assert progress.reach("tokyo-1", 9)
    assert not progress.reach("tokyo-1", 9)
    assert progress.reached(4) == pytest.approx({"tokyo-1": 10.0, "paris-1": 30.0})
    assert progress.reached(7) == pytest.approx({"paris-1": 30.0, "tokyo-1": 30.0})
    assert progress.reached(99) == {}


def test_an_edge_that_begins_anew_is_not_counted_twice() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.begin(4)
    progress.reach("tokyo-1", 4)
    clock.seconds += 1
    progress.reach("tokyo-1", 0)
    progress.reach("tokyo-1", 4)
    assert progress.reached(4) == {"tokyo-1": 0.0}


def test_an_invalidation_from_before_the_process_counts_from_its_own_time() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.begin(4, seconds_ago=2.0)
    progress.reach("tokyo-1", 4)
    assert progress.reached(4) == pytest.approx({"tokyo-1": 2000.0})


def test_what_is_kept_is_bounded_and_says_nothing_rather_than_a_wrong_time() -> None:
    clock = Clock()
    progress = Progress(clock)
    for position in range(1, 60_000):
        progress.begin(position)
        clock.seconds += 0.5
        progress.reach("tokyo-1", position)
        clock.seconds += 0.5
    assert progress.reached(59_999) == pytest.approx({"tokyo-1": 500.0})
    assert progress.reached(55_000) == pytest.approx({"tokyo-1": 500.0})
    assert progress.reached(1) == {}
    # An edge that is heard of for the first time has reached what is old, too, just now.
    progress.reach("paris-1", 59_999)
    assert progress.reached(59_999)["paris-1"] == pytest.approx(1000.0)
    progress.forget("paris-1")
    assert list(progress.reached(59_999)) == ["tokyo-1"]


def test_three_heartbeats_missed_is_away() -> None:
    clock = Clock()
    presence = Presence(clock, wall_ms=lambda: 5)
    assert not presence.is_here("tokyo-1")
    presence.hear("tokyo-1", "a")
    assert presence.is_here("tokyo-1")
    assert presence.other_instance("tokyo-1", "b")
    assert not presence.other_instance("tokyo-1", "a")
    clock.seconds += MISSED * HEARD_EVERY_SECONDS
    assert not presence.is_here("tokyo-1")
    assert not presence.other_instance("tokyo-1", "b")


def test_one_that_is_heard_of_now_and_then_is_here_in_between() -> None:
    clock = Clock()
    presence = Presence(clock, wall_ms=lambda: 5)
    presence.hear("tokyo-1", "a", every_seconds=10.0)
    clock.seconds += 29.9
    assert presence.is_here("tokyo-1")
    clock.seconds += 0.1
    assert not presence.is_here("tokyo-1")
    # What it said last counts.
    presence.hear("tokyo-1", "a")
    clock.seconds += MISSED * HEARD_EVERY_SECONDS
    assert not presence.is_here("tokyo-1")


def test_a_bucket_fills_by_itself_and_no_further() -> None:
    bucket = Bucket(10.0, 20.0, now=0.0)
    assert bucket.take(20, now=0.0) == 0
    assert bucket.take(5, now=0.0) == pytest.approx(0.5)
    assert bucket.take(5, now=0.5) == 0
    assert bucket.take(20, now=1000.0) == 0
    assert bucket.take(1, now=1000.0) > 0
