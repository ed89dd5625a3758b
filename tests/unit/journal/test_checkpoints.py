"""State up to a position, and what may go once it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.journal.conftest import Clock, fill, purge

from bodega.errors import JournalError
from bodega.journal import Event, Journal


def test_the_newest_counts(reopen: Callable[[], Journal]) -> None:
    journal = reopen()
    assert journal.newest_checkpoint() is None
    fill(journal, 3)
    journal.checkpoint(3, b"three")
    journal.checkpoint(2, b"two")
    kept = reopen().newest_checkpoint()
    assert kept is not None
    assert (kept.position, kept.state) == (3, b"three")


def test_there_is_none_of_the_future(journal: Journal) -> None:
    with pytest.raises(JournalError, match="there is no event 1"):
        journal.checkpoint(1, b"")


def test_without_a_checkpoint_nothing_goes(journal: Journal, clock: Clock) -> None:
    fill(journal, 3)
    clock.now_ms += 10**9
    assert journal.compact(keep_seconds=0) == 0
    assert journal.oldest() == 1


def test_what_is_young_stays(journal: Journal, clock: Clock) -> None:
    fill(journal, 3)
    clock.now_ms += 60_000
    fill(journal, 3, first=3)
    journal.checkpoint(6, b"six")
    assert journal.compact(keep_seconds=30) == 3
    assert [event.position for event in journal.read(3)] == [4, 5, 6]


def test_everything_may_go_and_positions_go_on(reopen: Callable[[], Journal], clock: Clock) -> None:
    journal = reopen()
    fill(journal, 3)
    journal.checkpoint(3, b"three")
    clock.now_ms += 1
    journal.compact(keep_seconds=0)
    place = journal.head()
    journal = reopen()
    assert (journal.head(), journal.oldest()) == (place, 4)
    fill(journal, 1, first=3)
    assert [event.position for event in journal.read(3)] == [4]


def test_a_key_outlives_its_event_by_a_day(journal: Journal, clock: Clock) -> None:
    journal.append([purge("a", key="k")]).result()
    journal.checkpoint(1, b"")
    clock.now_ms += 3600 * 1000
    assert journal.compact(keep_seconds=0) == 1
    assert not journal.append([purge("a", key="k")]).result()[0].is_new
    journal.append([purge("b")]).result()
    journal.checkpoint(2, b"")
    clock.now_ms += 25 * 3600 * 1000
    journal.compact(keep_seconds=0)
    assert journal.append([purge("a", key="k")]).result()[0].is_new


def _fold(state: dict[str, int], events: list[Event]) -> dict[str, int]:
    for event in events:
        [selector] = event.data["selectors"]
        state[selector] = state.get(selector, 0) * 31 + event.position
    return state


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=20), st.integers(0, 20))
def test_a_checkpoint_and_what_follows_is_all_of_it(
    reopen: Callable[[], Journal], clock: Clock, tags: list[str], cut: int
) -> None:
    journal = reopen()
    # The file is the same in every example: each goes on from the state that the last one left.
    before = journal.newest_checkpoint()
    first = journal.head().position
    whole = {} if before is None else json.loads(before.state)
    whole = _fold(whole, journal.read(0 if before is None else before.position))
    journal.append([purge(tag) for tag in tags]).result()
    at = first + min(cut, len(tags))
    new = journal.read(first)

    part = _fold(dict(whole), new[: at - first])
    if at > 0:
        journal.checkpoint(at, json.dumps(part).encode())
        clock.now_ms += 1
        journal.compact(keep_seconds=0)
    kept = journal.newest_checkpoint()
    state = {} if kept is None else json.loads(kept.state)
    assert _fold(state, journal.read(0 if kept is None else kept.position)) == _fold(dict(whole), new)
