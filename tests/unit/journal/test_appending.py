"""Appending: in order, all or none, once by key, and in groups."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.journal.conftest import START_MS, fill, purge

from bodega.errors import AppendRefused, JournalError
from bodega.journal import Appended, Event, Journal, NewEvent, SqliteJournal
from bodega.journal.event import NO_CHAIN


def test_positions_begin_with_one_and_leave_nothing_out(journal: Journal) -> None:
    assert journal.head().position == 0
    assert journal.append([purge("a"), purge("b")]).result() == [Appended(1, is_new=True), Appended(2, is_new=True)]
    assert journal.append([purge("c")]).result() == [Appended(3, is_new=True)]
    assert [event.position for event in journal.read(0)] == [1, 2, 3]


def test_an_event_is_read_as_it_was_appended(journal: Journal) -> None:
    new = NewEvent("edge.registered", {"edge": "tokyo-1", "capacity": 1.5}, version=3, unless_known="stop", by="Åsa")
    journal.append([new]).result()
    [event] = journal.read(0)
    assert (event.type, event.version, event.unless_known, event.by) == ("edge.registered", 3, "stop", "Åsa")
    assert (event.data, event.time_ms) == ({"edge": "tokyo-1", "capacity": 1.5}, START_MS)


def test_it_goes_on_where_it_ended(reopen: Callable[[], Journal]) -> None:
    before = reopen()
    fill(before, 3)
    place = before.head()
    after = reopen()
    assert after.head() == place
    fill(after, 1)
    assert [event.position for event in after.read(0)] == [1, 2, 3, 4]


def test_the_same_event_with_the_same_key_is_appended_once(reopen: Callable[[], Journal]) -> None:
    journal = reopen()
    journal.append([purge("a", key="k-1")]).result()
    journal = reopen()
    assert journal.append([purge("b"), purge("a", key="k-1")]).result() == [
        Appended(2, is_new=True),
        Appended(1, is_new=False),
    ]
    assert journal.head().position == 2


def test_a_key_of_another_event_is_refused_and_nothing_is_appended(journal: Journal) -> None:
    journal.append([purge("a", key="k-1")]).result()
    with pytest.raises(AppendRefused, match='"k-1" was used for another event; it is that of event 1'):
        journal.append([purge("x"), purge("b", key="k-1")]).result()
    assert journal.head().position == 1


def test_one_key_twice_in_a_call(journal: Journal) -> None:
    same = [purge("a", key="k"), purge("a", key="k")]
    assert journal.append(same).result() == [Appended(1, is_new=True), Appended(1, is_new=False)]
    with pytest.raises(AppendRefused, match="used for another event"):
        journal.append([purge("b", key="l"), purge("c", key="l")]).result()
    assert journal.head().position == 1


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"type": "Purge", "data": {}}, '"Purge" is no type of events'),
        ({"type": "invalidation", "data": {}}, "is no type of events"),
        ({"type": "edge.joined", "data": {}, "version": 0}, "0 is no version"),
        ({"type": "edge.joined", "data": {}, "unless_known": "panic"}, '"panic" is nothing'),
        ({"type": "edge.joined", "data": {"load": float("nan")}}, "are not JSON"),
        ({"type": "edge.joined", "data": {"load": {1, 2}}}, "are not JSON"),
        ({"type": "edge.joined", "data": {"name": "\ud800"}}, "are not JSON"),
        ({"type": "edge.joined", "data": {"name": "x" * (1 << 20)}}, "1,048,576 is the most"),
        ({"type": "edge.joined", "data": {}, "key": ""}, "a key of 0 characters"),
        ({"type": "edge.joined", "data": {}, "key": "k" * 201}, "a key of 201 characters"),
    ],
)
def test_what_could_not_be_read_again_is_refused(event: dict[str, Any], said: str) -> None:
    with pytest.raises(AppendRefused, match=said):
        NewEvent(**event)


def test_many_callers_get_an_order_without_a_gap_in_few_groups(journal: Journal) -> None:
    n_threads, n_each = 16, 50
    answers: list[list[int]] = [[] for _ in range(n_threads)]

    def append(thread: int) -> None:
        waiting = [journal.append([purge(f"{thread}-{number}")]) for number in range(n_each)]
        answers[thread] = [future.result()[0].position for future in waiting]

    threads = [threading.Thread(target=append, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(positions == sorted(positions) for positions in answers)
    assert sorted(position for positions in answers for position in positions) == list(range(1, 801))
    if isinstance(journal, SqliteJournal):
        # One sync a group: with one for each event this would be 800.
        assert journal.n_groups <= 400


def test_whoever_awaits_is_answered_as_well(journal: Journal) -> None:
    async def append() -> list[Appended]:
        return await asyncio.wrap_future(journal.append([purge("a")]))

    assert asyncio.run(append()) == [Appended(1, is_new=True)]


def test_what_was_called_off_in_time_is_not_written(journal: Journal) -> None:
    busy = threading.Event()

    def keep_busy(_: int) -> None:
        busy.wait(30)

    journal.on_append(keep_busy)
    first = journal.append([purge("a")])
    first.result()
    # The writing thread is with its listener now.
    second, third = journal.append([purge("b")]), journal.append([purge("c")])
    assert second.cancel()
    busy.set()
    assert third.result() == [Appended(2, is_new=True)]


def test_listeners_hear_of_positions_until_they_leave_and_harm_nobody(journal: Journal) -> None:
    heard: list[int] = []
    end = journal.on_append(heard.append)

    def fail(_: int) -> None:
        raise ZeroDivisionError

    journal.on_append(fail)
    fill(journal, 2)
    # The last word of a group may come after its answers.
    fill(journal, 1)
    assert heard[:2] == [1, 2]
    end()
    fill(journal, 2)
    assert set(heard) <= {1, 2, 3}


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="has been closed"):
        journal.append([purge("a")]).result()


def test_closing_writes_what_was_asked_for(reopen: Callable[[], Journal]) -> None:
    journal = reopen()
    waiting = [journal.append([purge(str(number))]) for number in range(200)]
    journal = reopen()
    assert [future.result()[0].position for future in waiting] == list(range(1, 201))
    assert journal.head().position == 200


@settings(deadline=None)
@given(by=st.text(), text=st.text(), position=st.integers(1), time_ms=st.integers(0))
def test_a_chain_is_over_what_json_says_of_the_event(by: str, text: str, position: int, time_ms: int) -> None:
    event = Event(position, time_ms, "a.b", 1, "purge", by, text, NO_CHAIN)
    said = json.dumps([position, time_ms, "a.b", 1, "purge", by, text])
    assert event.chained(b"x" * 16) == hashlib.blake2b(b"x" * 16 + said.encode(), digest_size=16).digest()
