"""The control process without its HTTP: the journal, what it comes to, and who follows."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from bodega.control.presence import Presence
from bodega.control.progress import Progress
from bodega.control.state import State
from bodega.control.tokens import make_token
from bodega.protocol.batch import Batch, encode_batch, encode_place
from bodega.protocol.events import InvalidationRequested, TokenCreated

if TYPE_CHECKING:
    from bodega.control.limits import Bucket
    from bodega.journal import Journal, NewEvent, Place
    from bodega.protocol.events import Scope

HEARTBEAT_SECONDS = 1.0
_RECENT_BATCHES = 256
_MOST_IN_A_BATCH = 1000
_CHECKPOINT_EVERY = 5_000


class Control:
    """The journal and its fold, within one event loop.

    Args:
        journal: Which this process appends to.
        wall_ms: The time in milliseconds since 1970.
    """

    def __init__(self, journal: Journal, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """Bring the state up to the journal's head."""
        self.journal = journal
        self.identity = journal.head()
        """Journal and epoch, which stay as they are while this process has it."""
        self.wall_ms = wall_ms
        self.presence = Presence(wall_ms=wall_ms)
        self.progress = Progress()
        newest = journal.newest_checkpoint()
        self.state = State() if newest is None else State.from_checkpoint(newest.state)
        self._checkpoint_at = self.state.position
        self._recent: OrderedDict[int, Batch] = OrderedDict()
        self._changed = asyncio.Condition()
        self._acknowledged = asyncio.Condition()
        self._advancing = asyncio.Lock()
        self._is_ending = False
        self.publishing = asyncio.Lock()
        """Held by who looks at the newest revision and appends the next."""
        self.buckets: dict[str, Bucket] = {}
        """What each token may still ask for."""
        self._fold()

    async def run(self) -> None:
        """Follow the journal until called off."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake(_: int) -> None:
            # The loop may have ended while the last group was written.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

        end = self.journal.on_append(wake)
        try:
            while True:
                await self.advance()
                await woken.wait()
                woken.clear()
        finally:
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
        """Take what has been appended into the state, and wake whoever follows."""
        async with self._advancing:
            if self._fold():
                async with self._changed:
                    self._changed.notify_all()

    def _fold(self) -> bool:
        began = self.state.position
        while events := self.journal.read(self.state.position, n=_MOST_IN_A_BATCH):
            head = self.journal.head()
            for event in events:
                self.state.apply(event)
                if event.type == InvalidationRequested.type:
                    self.progress.begin(event.position)
            batch = encode_batch(head, events)
            self._recent[batch.after] = batch
            while len(self._recent) > _RECENT_BATCHES:
                self._recent.popitem(last=False)
        if self.state.position - self._checkpoint_at >= _CHECKPOINT_EVERY:
            self.journal.checkpoint(self.state.position, self.state.checkpoint())
            self._checkpoint_at = self.state.position
        return self.state.position > began

    async def follow(self, place: Place | None) -> AsyncIterator[bytes]:
        """Yield lines for a follower, without an end: where it stands, then batches, with a heartbeat between them.

        Args:
            place: Where it is; ``None`` if it has never followed: it begins at the head.
        """
        head = self.journal.head()
        why = None if place is None else self.journal.parted(place)
        if place is None or why is not None:
            kind = "hello" if why is None else "parted"
            yield encode_place(kind, head, **({} if why is None else {"why": why}))
            at = head.position
        else:
            yield encode_place("hello", head)
            at = place.position
        while not self._is_ending:
            batch = self._batch_after(at)
            if batch is not None:
                yield batch.line
                at = batch.last
            elif not await self.changes(at, HEARTBEAT_SECONDS) and not self._is_ending:
                yield encode_place("heartbeat", self.journal.head())

    def _batch_after(self, after: int) -> Batch | None:
        if after >= self.state.position:
            return None
        if after in self._recent:
            return self._recent[after]
        # Somebody who was away: batches of others do not begin where it is.
        events = self.journal.read(after, n=_MOST_IN_A_BATCH)
        return encode_batch(self.journal.head(), events) if events else None

    async def changes(self, after: int, timeout_seconds: float) -> bool:
        """Wait until the state is beyond a position; false if that took too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds), self._changed:
                await self._changed.wait_for(lambda: self.state.position > after or self._is_ending)
        return self.state.position > after

    async def end(self) -> None:
        """Let go of all who follow, so that the process can end: they come again."""
        self._is_ending = True
        async with self._changed:
            self._changed.notify_all()

    async def acknowledged(self, edge: str, position: int) -> None:
        """An edge has applied everything up to a position."""
        if self.progress.reach(edge, position):
            async with self._acknowledged:
                self._acknowledged.notify_all()

    async def until(self, is_so: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait until something about edges is so; false if that took too long."""
        ends = asyncio.get_running_loop().time() + timeout_seconds
        while not is_so():
            left = ends - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            # An edge that leaves says nothing: looked at again a second later at the latest.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, HEARTBEAT_SECONDS)), self._acknowledged:
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
