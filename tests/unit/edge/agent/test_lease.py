"""Since when nothing is missing: a pure fold over questions and answers, by one steady clock."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodega.edge.agent.lease import Lease


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def said(position: Any, journal: Any = "a", epoch: Any = "b") -> dict[str, Any]:
    return {"position": position, "journal": journal, "epoch": epoch}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    lease = Lease(clock)
    lease.begin(said(0))
    return lease


def test_who_has_applied_what_was_answered_was_level_when_it_asked(lease: Lease, clock: Clock) -> None:
    asked_at = lease.now()
    clock.seconds += 0.5
    lease.answered(asked_at, said(7))
    assert lease.reached(6) is None
    clock.seconds += 0.25
    assert lease.reached(7) == asked_at
    # The same once more says nothing new.
    assert lease.reached(8) is None


def test_under_constant_change_an_older_answer_is_reached_while_the_newest_is_not(lease: Lease, clock: Clock) -> None:
    for position in (10, 20, 30):
        lease.answered(lease.now(), said(position))
        clock.seconds += 1
    assert lease.reached(25) == 101.0
    assert lease.reached(30) == 102.0


@pytest.mark.parametrize(
    "answer",
    [
        said(1, "another"),
        said(1, "a", "another"),
        said(1, "", ""),
        said(1, None, None),
        said("1"),
        said(None),
        {},
        {"position": 1, "drained": False},
    ],
    ids=str,
)
def test_an_answer_that_names_no_place_of_this_history_proves_nothing(lease: Lease, answer: dict[str, Any]) -> None:
    lease.answered(lease.now(), answer)
    assert lease.reached(1_000) is None


def test_nothing_is_proved_before_it_is_known_which_history_is_followed() -> None:
    lease = Lease()
    lease.answered(lease.now(), said(0))
    assert lease.reached(1_000) is None


def test_answers_of_before_another_history_began_are_forgotten(lease: Lease) -> None:
    lease.answered(lease.now(), said(5))
    lease.begin(said(3, epoch="c"))
    assert lease.reached(5) is None
    # The same one once more forgets nothing.
    lease.answered(lease.now(), said(3, epoch="c"))
    lease.begin(said(3, epoch="c"))
    assert lease.reached(3) is not None


def test_answers_that_are_never_reached_take_no_room(lease: Lease) -> None:
    for position in range(10_000):
        lease.answered(lease.now(), said(1_000_000 + position))
    assert len(lease._open) < 100


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(1, 5)),
            st.tuples(st.just("ask"), st.just(0)),
            st.tuples(st.just("apply"), st.integers(1, 5)),
            st.tuples(st.just("wait"), st.integers(1, 5)),
        ),
        max_size=60,
    )
)
def test_an_edge_that_counts_as_level_as_of_a_moment_has_what_there_was_then(steps: list[tuple[str, int]]) -> None:
    clock = Clock()
    lease = Lease(clock)
    lease.begin(said(0))
    head, applied = 0, 0
    # What the journal's head was, at each moment of the clock's.
    heads = {clock.seconds: 0}
    for step, n in steps:
        match step:
            case "append":
                head += n
            case "ask":
                lease.answered(lease.now(), said(head))
            case "apply":
                applied = min(head, applied + n)
                moment = lease.reached(applied)
                if moment is not None:
                    assert applied >= heads[moment]
            case "wait":
                clock.seconds += n
                heads[clock.seconds] = head
