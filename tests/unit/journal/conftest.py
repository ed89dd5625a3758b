"""Every kind of journal, before one suite of tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bodega.journal import Journal, NewEvent, SqliteJournal

START_MS = 1_800_000_000_000


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Journal]]:
    """Open the same journal, after closing it if it is open."""
    opened: list[Journal] = []

    def again() -> Journal:
        if opened:
            opened.pop().close()
        kinds = {"sqlite": lambda: SqliteJournal(tmp_path / "journal.db", clock=clock)}
        opened.append(kinds[request.param]())
        return opened[0]

    yield again
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(reopen: Callable[[], Journal]) -> Journal:
    return reopen()


def purge(tag: str, *, key: str | None = None) -> NewEvent:
    """Make an event."""
    data = {"selectors": [f"tag:{tag}"], "force": "hard"}
    return NewEvent("invalidation.requested", data, unless_known="purge", by="token:ci", key=key)


def fill(journal: Journal, n: int, *, first: int = 0) -> None:
    """Append so many events, each by itself."""
    for number in range(first, first + n):
        journal.append([purge(str(number))]).result()
