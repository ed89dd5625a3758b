"""The stream that edges follow: each line is encoded once, and written to one follower after the other.

A follower is *level* once it has been sent all that the others have. Level ones are written to in one go, without a
task of their own waking up, as far as their connections take it at once. Whoever does not take it, or comes from
further back, catches up on its own: it is sent larger batches, and waited for, until it is level. One that takes
nothing for `SLOW_SECONDS` is cut. So nobody waits for anybody, and what is kept for each is what its connection holds
and one line.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from bodega.control.pace import HEARTBEAT_SECONDS, Pace
from bodega.errors import EventsGone
from bodega.protocol.batch import Batch, encode_batch, encode_place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import Message, Receive, Send

    from bodega.journal import Event, Journal, Place

SLOW_SECONDS = 10.0
"""How long a follower that catches up may take for a line."""

_MOST_EVENTS = 5_000
_ENOUGH_EVENTS = 500
_MOST_KEPT_BYTES = 32 << 20
_N_SLOTS = 20
_LOG = structlog.get_logger("bodega.control")


class Stream:
    """What has been sent to those who are level, and who they are.

    Args:
        journal: Where those who come from further back are sent from.
        place: The journal's end; who is there is level.
    """

    def __init__(self, journal: Journal, place: Place) -> None:
        """Begin with nobody."""
        self._journal = journal
        self._place = place
        self._sent = place
        self._unsent: list[Event] = []
        # Followers by the part of a second in which each is sent heartbeats.
        self._slots: list[set[_Follower]] = [set() for _ in range(_N_SLOTS)]
        self._next_slot = 0
        self._pace = Pace()
        self._sending: asyncio.TimerHandle | asyncio.Handle | None = None
        self._batches = _Batches()
        self._is_ending = False

    @property
    def n_level(self) -> int:
        """How many followers are level."""
        return sum(map(len, self._slots))

    def publish(self, events: Sequence[Event], place: Place) -> None:
        """Send events that are new to everybody, as soon as it is time."""
        self._unsent.extend(events)
        self._place = place
        if self._sending is None:
            wait_seconds = self._pace.wait_seconds(time.monotonic())
            loop = asyncio.get_running_loop()
            self._sending = loop.call_later(wait_seconds, self._send) if wait_seconds else loop.call_soon(self._send)

    async def run(self) -> None:
        """Send heartbeats until called off, to a part of the followers at a time."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS / _N_SLOTS)
            self._next_slot = (self._next_slot + 1) % _N_SLOTS
            if followers := self._slots[self._next_slot]:
                for follower in [each for each in followers if not each.may_follow()]:
                    follower.leave()
                self._write(encode_place("heartbeat", self._sent), self._sent.position, followers)

    async def follow(
        self, place: Place | None, receive: Receive, send: Send, may_follow: Callable[[], bool] = lambda: True
    ) -> None:
        """Send lines to a follower, without an end: where the journal is, then batches, with heartbeats between them.

        Args:
            place: Where it is; ``None`` if it has never followed: it begins at the end.
            receive: Of ASGI.
            send: Of ASGI; the answer has been started.
            may_follow: Whether it still may; asked again with every heartbeat.
        """
        why = None if place is None else self._journal.parted(place)
        # The journal's end, also if the others have not been sent all up to there: whoever applies this much lacks
        # nothing that was acknowledged before it asked. What it then gets twice it passes over.
        first = encode_place("hello", self._place) if why is None else encode_place("parted", self._place, why=why)
        at = self._place.position if place is None or why is not None else place.position
        await send(_body(first))
        has_gone = asyncio.create_task(_until_gone(receive))
        slot = min(self._slots, key=len)
        try:
            while may_follow() and not (has_gone.done() or self._is_ending):
                if at < self._sent.position:
                    at = await self._catch_up(at, send)
                    continue
                follower = _Follower(send, may_follow)
                has_gone.add_done_callback(follower.leave)
                slot.add(follower)
                try:
                    at = await follower.left
                finally:
                    slot.discard(follower)
                    has_gone.remove_done_callback(follower.leave)
            await _in_time(send({"type": "http.response.body", "body": b""}))
        except TimeoutError:
            _LOG.warning("a follower took nothing, and was cut", after=at, seconds=SLOW_SECONDS)
        except EventsGone as error:
            # It asks again, and is told that it has parted.
            _LOG.warning("a follower was cut", after=at, why=error.what)
        finally:
            has_gone.cancel()

    def end(self) -> None:
        """Let go of everybody: they come again."""
        self._is_ending = True
        for slot in self._slots:
            for follower in slot:
                follower.leave()

    def _send(self) -> None:
        self._sending = None
        began, cost = time.monotonic(), time.thread_time()
        events, self._unsent = self._unsent, []
        while events:
            batch = encode_batch(self._place, events)
            events = events[batch.last - batch.after :]
            self._batches.keep(batch)
            for slot in self._slots:
                self._write(batch.line, self._sent.position, slot)
            self._sent = batch.place
        # Of this thread's own time: what others took of the core meanwhile is no reason to wait longer.
        self._pace.sent(began, time.thread_time() - cost)

    def _write(self, line: bytes, at: int, followers: set[_Follower]) -> None:
        message = _body(line)
        slow = [follower for follower in followers if not follower.takes(message)]
        for follower in slow:
            followers.discard(follower)
            follower.leave_at(at)

    async def _catch_up(self, at: int, send: Send) -> int:
        batch = await self._batches.after(at, self._sent.position, self._read)
        await _in_time(send(_body(batch.line)))
        return batch.last

    def _read(self, after: int) -> Batch:
        return encode_batch(self._place, self._journal.read(after, n=_MOST_EVENTS))


class _Follower:
    """One that is level."""

    __slots__ = ("_send", "left", "may_follow")

    def __init__(self, send: Send, may_follow: Callable[[], bool]) -> None:
        self._send = send
        self.may_follow = may_follow
        self.left: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Done once it is level no more, with its position."""

    def takes(self, message: Message) -> bool:
        """Send a line if that needs no waiting, else nothing of it.

        What sends is a coroutine that waits, if it has to, before it hands anything over. One step of it says which.
        """
        sending = self._send(message)
        step = sending.__await__()
        try:
            next(step)
        except StopIteration:
            return True
        except OSError:
            return False
        step.close()
        return False

    def leave(self, _: object = None) -> None:
        """Be level no more."""
        self.leave_at(-1)

    def leave_at(self, position: int) -> None:
        """Be level no more, at a position."""
        if not self.left.done():
            self.left.set_result(position)


class _Batches:
    """Batches that were encoded lately, by the position before them; one that is being read is read once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Batch] = OrderedDict()
        self._n_bytes = 0
        self._reading: dict[int, asyncio.Future[Batch]] = {}

    def keep(self, batch: Batch) -> None:
        self._forget(batch.after)
        self._kept[batch.after] = batch
        self._n_bytes += len(batch.line)
        while self._n_bytes > _MOST_KEPT_BYTES:
            self._forget(next(iter(self._kept)))

    async def after(self, position: int, end: int, read: Callable[[int], Batch]) -> Batch:
        """Return a batch from a position on: the one that others got, unless it is a small part of what is missing."""
        kept = self._kept.get(position)
        if kept is not None and (kept.last >= end or kept.last - kept.after >= _ENOUGH_EVENTS):
            return kept
        reading = self._reading.get(position)
        if reading is None:
            reading = self._reading[position] = asyncio.ensure_future(asyncio.to_thread(read, position))
            reading.add_done_callback(lambda done: self._was_read(position, done))
        return await asyncio.shield(reading)

    def _was_read(self, position: int, done: asyncio.Future[Batch]) -> None:
        del self._reading[position]
        if not done.cancelled() and done.exception() is None:
            self.keep(done.result())

    def _forget(self, position: int) -> None:
        if (batch := self._kept.pop(position, None)) is not None:
            self._n_bytes -= len(batch.line)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _in_time(sending: Awaitable[None]) -> None:
    async with asyncio.timeout(SLOW_SECONDS):
        await sending


def _body(line: bytes) -> Message:
    return {"type": "http.response.body", "body": line, "more_body": True}
