"""The fold: what events come to, whole or by a checkpoint."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodega.control.state import MOST_CHARACTERS, MOST_INVALIDATIONS, MOST_REVISION_CHARACTERS, State, Unknown
from bodega.errors import JournalDamaged
from bodega.journal import Event, NewEvent
from bodega.protocol.events import (
    ConfigurationPublished,
    EdgeDrained,
    EdgeRegistered,
    EdgeRemoved,
    InvalidationRequested,
    TokenCreated,
    TokenRevoked,
)

_NAMES = st.sampled_from(["a", "b", "c"])
_EVENTS = st.lists(
    st.one_of(
        st.builds(InvalidationRequested, id=_NAMES, selectors=st.just(("tag:x",))).map(lambda said: said.event(by="t")),
        st.builds(ConfigurationPublished, revision=st.integers(1, 5), text=st.just("x"), rolled_back_to=st.none()).map(
            lambda said: said.event(by="t")
        ),
        st.builds(EdgeRegistered, edge=_NAMES, region=_NAMES, place=st.none()).map(lambda said: said.event(by="t")),
        st.builds(EdgeRemoved, edge=_NAMES).map(lambda said: said.event(by="t")),
        st.builds(EdgeDrained, edge=_NAMES).map(lambda said: said.event(by="t")),
        st.builds(TokenCreated, id=_NAMES, name=_NAMES, scopes=st.just(("read",)), hash=st.just("0")).map(
            lambda said: said.event(by="t")
        ),
        st.builds(TokenRevoked, id=_NAMES).map(lambda said: said.event(by="t")),
        st.just(NewEvent("planet.discovered", {"name": "x"})),
    ),
    max_size=30,
)


def placed(position: int, new: NewEvent) -> Event:
    return Event(position, 1000 + position, new.type, new.version, new.unless_known, new.by, new.text, bytes(16))


def folded(state: State, events: list[Event]) -> State:
    for event in events:
        state.apply(event)
    return state


@settings(deadline=None)
@given(_EVENTS, st.integers(0, 30))
def test_a_checkpoint_anywhere_changes_nothing(news: list[NewEvent], cut: int) -> None:
    events = [placed(number, new) for number, new in enumerate(news, start=1)]
    part = State.from_checkpoint(folded(State(), events[:cut]).checkpoint())
    assert folded(part, events[cut:]) == folded(State(), events)


def test_what_it_must_not_pass_over_stops_it() -> None:
    state = State()
    state.apply(placed(1, NewEvent("planet.discovered", {})))
    with pytest.raises(Unknown, match=r"event 2 of the journal is a planet\.lost of version 3"):
        state.apply(placed(2, NewEvent("planet.lost", {}, version=3, unless_known="stop")))
    assert state.position == 1


def test_a_later_version_of_a_known_type_is_not_taken_for_the_known_one() -> None:
    state = State()
    later = NewEvent("invalidation.requested", {"tags": []}, version=2, unless_known="purge")
    state.apply(placed(1, later))
    assert (state.position, len(state.invalidations)) == (1, 0)


def test_fields_that_a_later_minor_version_adds_are_passed_over() -> None:
    state = State()
    new = NewEvent("edge.registered", {"edge": "tokyo-1", "region": "x", "altitude": 3})
    state.apply(placed(1, new))
    assert state.edges["tokyo-1"].said.region == "x"


def test_what_it_remembers_is_bounded_however_long_each_is() -> None:
    state = State()
    selectors = tuple(f"tag:{number}{'x' * 990}" for number in range(1000))
    length = sum(map(len, selectors))
    for number in range(1, 2 * MOST_CHARACTERS // length):
        said = InvalidationRequested(id=str(number), selectors=selectors)
        state.apply(placed(number, said.event(by="t")))
    assert len(state.invalidations) == MOST_CHARACTERS // length
    revisions = 2 * MOST_REVISION_CHARACTERS // 900_000
    for number in range(1, revisions):
        published = ConfigurationPublished(revision=number, text="x" * 900_000)
        state.apply(placed(number, published.event(by="t")))
    assert len(state.revisions) == MOST_REVISION_CHARACTERS // 900_000
    assert state.in_force is not None
    assert state.in_force.said.revision == revisions - 1
    assert State.from_checkpoint(state.checkpoint()) == state


def test_it_remembers_as_many_as_it_says() -> None:
    state = State()
    for number in range(1, MOST_INVALIDATIONS + 3):
        said = InvalidationRequested(id=str(number), selectors=("all",))
        state.apply(placed(number, said.event(by="t")))
    assert len(state.invalidations) == MOST_INVALIDATIONS
    assert next(iter(state.invalidations)) == "3"


@pytest.mark.parametrize("data", [{}, {"id": "a", "selectors": 3}, {"id": "a", "selectors": ["all"], "force": 1}])
def test_an_event_that_does_not_say_what_it_should_is_named_and_not_shown(data: dict[str, object]) -> None:
    event = Event(7, 0, "invalidation.requested", 1, "purge", "ci", json.dumps(data), b"")
    with pytest.raises(JournalDamaged, match=r"event 7 .* is no invalidation.requested of version 1"):
        State().apply(event)


@pytest.mark.parametrize("state", [b"", b"{", b'{"position": "x"}', b"\xff"])
def test_a_checkpoint_that_is_none_is_said(state: bytes) -> None:
    with pytest.raises(JournalDamaged, match="checkpoint"):
        State.from_checkpoint(state)
