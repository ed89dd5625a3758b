"""Who follows is sent every event in order, whoever else is slow, and whoever takes nothing is cut."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bodega.control import stream as stream_module
from bodega.control.service import Control
from bodega.journal import Place, SqliteJournal
from bodega.protocol.events import InvalidationRequested

SECONDS = 20.0


class Line:
    """A connection: takes lines at once, unless it is stopped."""

    def __init__(self, control: Control, place: Place | None = None) -> None:
        self.messages: list[bytes] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.n_waiting = 0
        self._gone = asyncio.Event()
        self.task = asyncio.create_task(control.stream.follow(place, self._receive, self._send))

    async def _receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if not self.is_open.is_set():
            self.n_waiting += 1
            try:
                await self.is_open.wait()
            finally:
                self.n_waiting -= 1
        self.messages.append(message["body"])

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.messages if each]

    @property
    def positions(self) -> list[int]:
        """Every event it got, in order."""
        return [event["position"] for said in self.said if said["kind"] == "batch" for event in said["events"]]

    async def leave(self) -> None:
        self._gone.set()
        await asyncio.wait_for(self.task, SECONDS)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - It is looked at from outside.
            await asyncio.sleep(0.005)


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    with SqliteJournal(tmp_path / "journal.db") as journal:
        control = Control(journal)
        running = asyncio.create_task(control.run())
        yield control
        running.cancel()
        await asyncio.wait([running])


async def purge(control: Control, n: int = 1) -> None:
    said = InvalidationRequested(id="0" * 16, selectors=("tag:shop",))
    await control.append(*(said.event(by="test") for _ in range(n)))


async def test_all_get_the_same_lines_and_each_event_once(control: Control) -> None:
    lines = [Line(control) for _ in range(5)]
    await until(lambda: control.stream.n_level == 5)
    for _ in range(20):
        await purge(control)
    await until(lambda: all(len(line.positions) == 20 for line in lines))
    for line in lines:
        assert line.positions == list(range(1, 21))
        assert line.said[0]["kind"] == "hello"
        batches = [said for said in line.said if said["kind"] == "batch"]
        assert all(before["events"][-1]["position"] == after["after"] for before, after in itertools.pairwise(batches))
        await line.leave()
    assert control.stream.n_level == 0


async def test_one_that_takes_nothing_holds_up_nobody_and_misses_nothing(control: Control) -> None:
    slow, quick = Line(control), Line(control)
    await until(lambda: control.stream.n_level == 2)
    slow.is_open.clear()
    for _ in range(50):
        await purge(control, 10)
    await until(lambda: len(quick.positions) == 500)
    assert control.stream.n_level == 1
    # One line waits for it, whatever came since.
    assert slow.n_waiting == 1
    assert slow.positions == []
    slow.is_open.set()
    await until(lambda: control.stream.n_level == 2)
    assert slow.positions == quick.positions == list(range(1, 501))
    await slow.leave()
    await quick.leave()


async def test_one_that_takes_nothing_for_long_is_cut(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "SLOW_SECONDS", 0.1)
    line = Line(control)
    await until(lambda: control.stream.n_level == 1)
    line.is_open.clear()
    await purge(control)
    await asyncio.wait_for(line.task, SECONDS)
    assert control.stream.n_level == 0
    assert line.n_waiting == 0


async def test_one_that_was_away_is_sent_what_it_missed_while_more_comes(control: Control) -> None:
    early = control.place
    await purge(control, 3000)
    line = Line(control, early)
    for _ in range(20):
        await purge(control)
        await asyncio.sleep(0)
    await until(lambda: len(line.positions) >= 3020)
    assert line.positions == list(range(1, 3021))
    # By few batches, not by those that others got.
    assert len([said for said in line.said if said["kind"] == "batch"]) <= 25
    await line.leave()


async def test_one_that_begins_is_told_of_all_that_was_acknowledged(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Line(control)
    await until(lambda: control.stream.n_level == 1)
    # As after a batch that was dear: the next one waits.
    monkeypatch.setattr(control.stream._pace, "wait_seconds", lambda _: 3600.0)
    await purge(control, 3)
    line = Line(control)
    await until(lambda: control.stream.n_level == 2)
    assert other.positions == []
    assert line.said[0]["position"] == 3
    await line.leave()
    await other.leave()


async def test_many_that_come_from_one_place_are_read_for_once(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = control.place
    await purge(control, 2000)
    # What was sent to others is gone, as after a restart.
    control.stream = stream_module.Stream(control.journal, control.place)
    asked: list[int] = []
    read = control.journal.read

    def count(after: int, *, n: int = 1000) -> Any:
        asked.append(after)
        return read(after, n=n)

    monkeypatch.setattr(control.journal, "read", count)
    lines = [Line(control, early) for _ in range(50)]
    await until(lambda: control.stream.n_level == 50)
    assert asked.count(0) == 1
    for line in lines:
        assert line.positions == list(range(1, 2001))
        await line.leave()


async def test_heartbeats_between_batches(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.1)
    lines = [Line(control) for _ in range(30)]
    await until(lambda: all([said["kind"] for said in line.said].count("heartbeat") >= 2 for line in lines))
    assert lines[0].said[1]["position"] == 0
    for line in lines:
        await line.leave()


async def test_at_the_end_all_are_let_go(control: Control) -> None:
    lines = [Line(control) for _ in range(3)]
    lines[2].is_open.clear()
    await until(lambda: control.stream.n_level == 2)
    lines[2].is_open.set()
    control.end()
    for line in lines:
        await asyncio.wait_for(line.task, SECONDS)
        assert line.messages[-1] == b""


async def test_a_place_of_another_journal_has_parted_and_begins_at_the_end(control: Control) -> None:
    await purge(control, 3)
    line = Line(control, Place("0" * 32, "0" * 16, 1, bytes(16)))
    await until(lambda: control.stream.n_level == 1)
    assert line.said[0]["kind"] == "parted"
    assert line.said[0]["position"] == 3
    await purge(control)
    await until(lambda: line.positions == [4])
    await line.leave()
