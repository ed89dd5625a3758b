"""When an edge says how far it is: each thing once, by whoever is free."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bodega.edge.agent.due import Due
from bodega.testing import wait_until

LONG = 3600.0


def in_threads(n: int, run: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=run, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    return threads


def test_what_is_new_is_said_once_though_two_wait() -> None:
    due, said = Due(), []
    threads = in_threads(2, lambda: said.append(due.wait(lambda: LONG)))
    due.wake()
    wait_until(lambda: said)
    assert said == [True]
    due.end()
    for thread in threads:
        thread.join(20)
    assert sorted(said) == [False, True]


def test_what_is_new_while_one_speaks_is_said_by_the_other() -> None:
    due = Due()
    due.wake()
    assert due.wait(lambda: LONG)
    # The first is still waiting for its answer.
    due.wake()
    assert due.wait(lambda: LONG)


def test_now_and_then_something_is_said_in_any_case() -> None:
    due = Due()
    assert due.wait(lambda: 0.01) is False


def test_what_is_new_while_somebody_holds_back_is_said_along() -> None:
    due, said = Due(), []
    due.wake()
    assert due.wait(lambda: LONG)
    threads = in_threads(1, lambda: said.append(due.wait(lambda: LONG)))
    with due.held():
        due.wake()
        due.wake()
    assert said == []
    due.wake()
    threads[0].join(20)
    assert said == [True]


def test_at_the_end_nobody_waits() -> None:
    due = Due()
    due.end()
    assert due.wait(lambda: LONG) is False
