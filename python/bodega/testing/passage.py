"""One way through a relay: what comes in at one end goes out at the other, later, in order, or not at all.

Two passages make a connection, one for each way. Everything here runs on the loop of the relay's network.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

Way: TypeAlias = Literal["there", "back"]
"""From whoever connected to the relay, or towards it."""

MOST_UNDER_WAY_BYTES = 8 << 20
"""What may be under way in one direction of one connection, as on a long fast line; whoever sends more waits."""


class End(enum.Enum):
    """What a sender does last."""

    FIN = enum.auto()
    RESET = enum.auto()


class Conditions:
    """What one way of all connections of a relay is like at the moment.

    Attributes:
        delay_seconds: Of every byte.
        jitter_seconds: On top, at random; never so that one overtakes another.
        is_stalled: Nothing passes, and nobody is told.
        left_bytes: After so many more bytes `used_up` is called; ``None`` for no bound.
        n_bytes: How many have passed.
    """

    def __init__(self, delay_seconds: float, jitter_seconds: float, chance: random.Random) -> None:
        """Begin with a line that works."""
        self.delay_seconds = delay_seconds
        self.jitter_seconds = jitter_seconds
        self.is_stalled = False
        self.left_bytes: int | None = None
        self.used_up: Callable[[], None] = lambda: None
        self.n_bytes = 0
        self._chance = chance

    def due(self, now: float) -> float:
        """Return when what is sent now arrives."""
        return now + self.delay_seconds + (self._chance.random() * self.jitter_seconds if self.jitter_seconds else 0.0)

    def take(self, data: bytes) -> bytes:
        """Return how much of this passes."""
        if self.left_bytes is not None:
            data = data[: self.left_bytes]
            self.left_bytes -= len(data)
        self.n_bytes += len(data)
        return data


class Passage(asyncio.Protocol):
    """Reads at one end of a connection, and writes what it read at the other end."""

    def __init__(self, conditions: Conditions, is_over: Callable[[], None]) -> None:
        """Keep what the way is like; `onto` says where it leads.

        Args:
            conditions: Of this way.
            is_over: Is called once this end has gone.
        """
        self._conditions = conditions
        self._is_over = is_over
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._has_been = False
        self._ends_as: End | None = None
        self._has_read_all = False
        self._has_sent_all = False
        self._onto: Passage | None = None
        self._under_way: deque[tuple[float, bytes | End]] = deque()
        self._n_under_way = 0
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_full = False
        self._is_reading = True

    @property
    def is_gone(self) -> bool:
        """Whether this end has been there and is there no more."""
        return self._transport is None and self._has_been

    def onto(self, other: Passage) -> None:
        """Lead to the end that another passage reads at."""
        self._onto = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._has_been = True
        held = transport.get_extra_info("socket")
        # What is sent is never joined here with what comes later: the delay is what was asked for, and no other.
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._ends_as is not None:
            self.end(self._ends_as)
            return
        self.pass_on()
        if self._onto is not None:
            self._onto.pass_on()

    def data_received(self, data: bytes) -> None:
        """Take what was sent."""
        self._n_under_way += len(data)
        self._take(data)

    def eof_received(self) -> bool:
        """Take that nothing more is sent; the other way stays open, if it still is."""
        self._has_read_all = True
        self._take(End.FIN)
        return not self._has_sent_all

    def connection_lost(self, error: Exception | None) -> None:
        """Pass on that this end has gone."""
        self._transport = None
        if error is not None:
            self._take(End.RESET)
        self._is_over()

    def pause_writing(self) -> None:
        """Send nothing more to this end for now."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on sending to this end."""
        self._is_full = False
        if self._onto is not None:
            self._onto.pass_on()

    def pass_on(self) -> None:
        """Write what is due, and see to it that the rest follows; called whenever something has changed."""
        self._read_or_not()
        end = self._onto
        if self._timer is not None or end is None or self._conditions.is_stalled:
            return
        while self._under_way and end._transport is not None and not end._is_full:
            due, what = self._under_way[0]
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self._in_time)
                break
            self._under_way.popleft()
            if isinstance(what, End):
                end.end(what)
                continue
            self._n_under_way -= len(what)
            end._transport.write(self._conditions.take(what))
            if self._conditions.left_bytes == 0:
                self._conditions.left_bytes = None
                self._conditions.used_up()
                return
        self._read_or_not()

    def end(self, how: End) -> None:
        """End the connection at this end, as its peer would."""
        transport = self._transport
        if transport is None:
            # It may be about to begin.
            self._ends_as = how
            return
        if how is End.FIN:
            with contextlib.suppress(OSError):
                transport.write_eof()
            self._has_sent_all = True
            if self._has_read_all:
                transport.close()
            return
        with contextlib.suppress(OSError):
            held = transport.get_extra_info("socket")
            # tcp(7), socket(7): closed with nothing to linger for, a connection is reset.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def close(self) -> None:
        """Close this end at once, with what was written to it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._under_way.clear()
        self._onto = None
        if self._transport is not None:
            self._transport.close()

    def _take(self, what: bytes | End) -> None:
        self._last_due = max(self._last_due, self._conditions.due(self._loop.time()))
        self._under_way.append((self._last_due, what))
        self.pass_on()

    def _in_time(self) -> None:
        self._timer = None
        self.pass_on()

    def _read_or_not(self) -> None:
        may_read = not self._conditions.is_stalled and self._n_under_way < MOST_UNDER_WAY_BYTES
        if self._transport is None or may_read == self._is_reading or self._transport.is_closing():
            return
        self._is_reading = may_read
        # Whoever sends into a line that is stalled notices nothing, and has its own buffers fill.
        (self._transport.resume_reading if may_read else self._transport.pause_reading)()
