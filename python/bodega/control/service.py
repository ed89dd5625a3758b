"""The control process without its HTTP: the journal, what it comes to, and who follows."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from bodega.control import pace
from bodega.control.places import Places
from bodega.control.presence import Presence
from bodega.control.progress import Progress
from bodega.control.state import MOST_INVALIDATIONS, State
from bodega.control.stream import Stream
from bodega.control.tokens import make_token
from bodega.errors import JournalError
from bodega.protocol.api import Heard
from bodega.protocol.events import InvalidationRequested, TokenCreated

if TYPE_CHECKING:
    from bodega.control.limits import Bucket
    from bodega.journal import Event, Journal, NewEvent
    from bodega.protocol.api import Heartbeat
    from bodega.protocol.events import Scope

_MOST_AT_ONCE = 1000
_CHECKPOINT_EVERY = 5_000
_LOOK_AGAIN_SECONDS = 1.0
_LOG = structlog.get_logger("bodega.control")
_COST_OF_A_LOOK_SECONDS = 20e-6


class Control:
    """The journal and its fold, within one event loop.

    Args:
        journal: Which this process appends to.
        wall_ms: The time in milliseconds since 1970.
    """

    def __init__(self, journal: Journal, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """Bring the state up to the journal's head."""
        self.journal = journal
        self.wall_ms = wall_ms
        self.presence = Presence(wall_ms=wall_ms)
        self.progress = Progress()
        self.places = Places(journal)
        newest = journal.newest_checkpoint()
        self.state = State() if newest is None else State.from_checkpoint(newest.state)
        self._checkpoint_at = self.state.position
        self.place = journal.head()
        """Where the state is; journal and epoch stay as they are while this process has it."""
        self._acknowledged = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._advancing = asyncio.Lock()
        self.publishing = asyncio.Lock()
        """Held by who looks at the newest revision and appends the next."""
        self.buckets: dict[str, Bucket] = {}
        """What each token may still ask for."""
        self._known_ms: OrderedDict[int, int] = OrderedDict()
        self._fold()
        self._begun_ms = wall_ms()
        self.stream = Stream(journal, self.place)

    async def run(self) -> None:
        """Follow the journal until called off."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake(_: int) -> None:
            # The loop may have ended while the last group was written.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

        end = self.journal.on_append(wake)
        heartbeats = asyncio.create_task(self.stream.run())
        try:
            while True:
                await self.advance()
                await woken.wait()
                woken.clear()
        finally:
            heartbeats.cancel()
            end()

    async def append(self, *events: NewEvent) -> list[int]:
        """Append events; once it returns they are on the disk, and in the state.

        Raises:
            JournalError: If they are not.
        """
        appended = await asyncio.wrap_future(self.journal.append(events))
        await self.advance()
        return [each.position for each in appended]

    async def advance(self) -> None:
        """Take what has been appended into the state, and send it to whoever follows."""
        async with self._advancing:
            if events := self._fold():
                self._know(events)
                self.stream.publish(events, self.place)
                self._keep_now_and_then()

    def known_ms(self, position: int) -> int:
        """Return a time by which each answer to a heartbeat told of an invalidation, in milliseconds since 1970.

        What `strict` counts from: who was level after it had applied the invalidation. Of what is older than this
        process it is when this process began.
        """
        return self._known_ms.get(position, self._begun_ms)

    def _know(self, events: Sequence[Event]) -> None:
        now_ms = self.wall_ms()
        for event in events:
            if event.type == InvalidationRequested.type:
                self._known_ms[event.position] = now_ms
        # More than are remembered one by one, so that none of those is taken for an older one.
        while len(self._known_ms) > 2 * MOST_INVALIDATIONS:
            self._known_ms.popitem(last=False)

    def _fold(self) -> list[Event]:
        found: list[Event] = []
        while events := self.journal.read(self.state.position, n=_MOST_AT_ONCE):
            for event in events:
                self.state.apply(event)
                if event.type == InvalidationRequested.type:
                    # By its own time: it may be from before this process.
                    age_ms = max(0, self.wall_ms() - event.time_ms)
                    self.progress.begin(event.position, seconds_ago=age_ms / 1000)
            last = events[-1]
            self.place = replace(self.place, position=last.position, chain=last.chain)
            found += events
            if len(events) < _MOST_AT_ONCE:
                break
        return found

    def _keep_now_and_then(self) -> None:
        is_kept = self._keeping is None or self._keeping.done()
        if is_kept and self.state.position - self._checkpoint_at >= _CHECKPOINT_EVERY:
            self._checkpoint_at = self.state.position
            # Nobody waits for the disk meanwhile. One that cannot be kept costs time at the next start, no more.
            work = asyncio.to_thread(self._keep, self.state.position, self.state.checkpoint())
            self._keeping = asyncio.create_task(work)

    def _keep(self, position: int, state: bytes) -> None:
        try:
            self.journal.checkpoint(position, state)
        except JournalError as error:
            _LOG.warning("no checkpoint was kept", position=position, why=error.what)

    def end(self) -> None:
        """Let go of all who follow, so that the process can end: they come again."""
        self.stream.end()

    def hear(self, edge: str, said: Heartbeat) -> Heard:
        """An edge of the fleet, which no other process pretends to be, says that it is here, and how far."""
        if not self.presence.has_overtaken(edge, said):
            position = self.places.position(said.at)
            every_seconds = 0.0 if said.leaves else said.heard_every_seconds
            self.presence.hear(edge, said.instance, said, position=position, every_seconds=every_seconds)
            has_reached = position is not None and self.progress.reach(edge, position)
            if has_reached or said.leaves:
                self._tell()
        n_edges = len(self.state.edges)
        return Heard(
            position=self.state.position,
            drained=self.state.edges[edge].drained,
            journal=self.place.journal,
            epoch=self.place.epoch,
            acknowledge_within_ms=pace.acknowledge_within_ms(n_edges),
            heartbeat_seconds=pace.heartbeat_seconds(n_edges),
        )

    def _tell(self) -> None:
        if self._telling is None:
            # Whoever waits looks at every edge: once for many that speak at the same time.
            seconds = _COST_OF_A_LOOK_SECONDS * len(self.state.edges)
            self._telling = asyncio.get_running_loop().call_later(seconds, self._told)

    def _told(self) -> None:
        self._telling = None
        self._acknowledged.set()
        self._acknowledged = asyncio.Event()

    async def until(self, is_so: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait until something about edges is so; false if that took too long."""
        ends = asyncio.get_running_loop().time() + timeout_seconds
        while not is_so():
            left = ends - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            # An edge that leaves says nothing: looked at again a second later at the latest.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_AGAIN_SECONDS)):
                    await self._acknowledged.wait()
        return True

    async def make_token(
        self,
        name: str,
        scopes: tuple[Scope, ...],
        *,
        by: str,
        expires_ms: int | None = None,
        edge: str | None = None,
    ) -> tuple[TokenCreated, str]:
        """Make a token; return what is kept of it, and itself."""
        token_id, token, hashed = make_token()
        created = TokenCreated(id=token_id, name=name, scopes=scopes, hash=hashed, expires_ms=expires_ms, edge=edge)
        await self.append(created.event(by=by))
        return created, token


def new_id() -> str:
    """Return a new id of an invalidation."""
    return secrets.token_hex(8)
