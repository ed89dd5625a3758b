"""Lines between machines, on one machine: relays of TCP connections with delays, stalls, cuts and refusals.

A `Network` is a thread with a loop; a `Relay` is an address that leads to another one. What a relay does is decided by
what it is told and by a seed, nothing else. Start at `Network.relay`.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, TypeVar

from bodega.testing.passage import Conditions, End, Passage, Way
from bodega.testing.trouble import Trouble

if TYPE_CHECKING:
    from typing import Self

_Value = TypeVar("_Value")

_WAYS: tuple[Way, Way] = ("there", "back")


class Network:
    """Relays that share a thread.

    Example:
        >>> with Network() as network:
        ...     relay = network.relay("127.0.0.1:80", delay_seconds=0.02)
        ...     relay.address.startswith("127.0.0.1:")
        True
    """

    def __init__(self) -> None:
        """Nothing runs before `start`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bodega-network", daemon=True)
        self._relays: list[Relay] = []

    def start(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End every relay and the thread."""
        for relay in self._relays:
            relay.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def relay(
        self,
        target: str,
        *,
        delay_seconds: float | tuple[float, float] = 0.0,
        jitter_seconds: float = 0.0,
        seed: int = 0,
    ) -> Relay:
        """Return a new address that leads to another one.

        Args:
            target: ``HOST:PORT`` where connections lead.
            delay_seconds: One way; or two, for the way there and the way back.
            jitter_seconds: At most so much on top, at random; nothing is overtaken.
            seed: Of what is at random.
        """
        relay = Relay(self, target, delay_seconds=delay_seconds, jitter_seconds=jitter_seconds, seed=seed)
        self._relays.append(relay)
        return relay

    def run(self, work: Callable[[], _Value]) -> _Value:
        """Do something on the thread of the relays, and wait for it."""

        async def on_the_loop() -> _Value:
            return work()

        return asyncio.run_coroutine_threadsafe(on_the_loop(), self._loop).result()

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something on the thread of the relays later."""
        self._loop.call_soon_threadsafe(lambda: self._loop.call_later(seconds, work))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the relays run on."""
        return self._loop


class Relay:
    """An address that leads to another one, over a line that can be troubled. Made by `Network.relay`.

    Delays hold for what is sent, and for the end of sending; a connection to the relay itself is there at once.
    """

    def __init__(
        self,
        network: Network,
        target: str,
        *,
        delay_seconds: float | tuple[float, float],
        jitter_seconds: float,
        seed: int,
    ) -> None:
        """Listen."""
        self._network = network
        self._chance = random.Random(seed)  # noqa: S311 - What is wanted is the same again.
        there, back = delay_seconds if isinstance(delay_seconds, tuple) else (delay_seconds, delay_seconds)
        self._conditions = {
            way: Conditions(delay, jitter_seconds, self._chance)
            for way, delay in zip(_WAYS, (there, back), strict=True)
        }
        self._connections: dict[Passage, Passage] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        # Bound and not listening: it keeps the port while connections are refused.
        self._port_holder = socket.socket()
        self._port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port_holder.bind(("127.0.0.1", 0))
        self.n_connections = 0
        """How many connections were taken since it began."""
        self.retarget(target)
        self.accept()

    @property
    def address(self) -> str:
        """``HOST:PORT`` to connect to."""
        return f"127.0.0.1:{self._port_holder.getsockname()[1]}"

    @property
    def url(self) -> str:
        """The same as a URL, without TLS."""
        return f"http://{self.address}"

    @property
    def n_open(self) -> int:
        """How many connections pass through it now."""
        return len(self._connections)

    def n_bytes(self, way: Way) -> int:
        """How many bytes have passed on a way."""
        return self._conditions[way].n_bytes

    def retarget(self, target: str) -> None:
        """Lead new connections to another address."""
        host, _, port = target.rpartition(":")
        self._target = (host.strip("[]"), int(port))

    def delay(self, seconds: float, way: Way | Literal["both"] = "both") -> None:
        """Delay what is sent from now on by so much."""

        def set_delay() -> None:
            for each in self._ways(way):
                each.delay_seconds = seconds

        self._network.run(set_delay)

    def stall(self, way: Way | Literal["both"] = "both") -> None:
        """Let nothing pass from now on, not even an end: whoever waits is told nothing. `resume` ends it."""
        self._network.run(lambda: self._stall(way))

    def resume(self) -> None:
        """Let pass again, what was sent meanwhile too."""
        self._network.run(self._resume)

    def cut(self, how: End = End.FIN, *, after_bytes: int | None = None, way: Way = "back") -> None:
        """End every connection, at both ends; new ones are taken.

        Args:
            how: As if closed, or reset.
            after_bytes: Only once so many more bytes have passed, in the midst of a line if need be.
            way: The way on which they are counted.
        """

        def cut_later() -> None:
            conditions = self._conditions[way]
            conditions.used_up = lambda: self._cut(how)
            conditions.left_bytes = after_bytes

        self._network.run(cut_later if after_bytes else lambda: self._cut(how))

    def refuse(self) -> None:
        """Refuse new connections, as where nobody listens. `accept` ends it."""
        self._network.run(self._refuse)

    def accept(self) -> None:
        """Take new connections again."""
        asyncio.run_coroutine_threadsafe(self._accept(), self._network.loop).result()

    def play(self, troubles: Iterable[Trouble]) -> None:
        """Begin to have troubles, each at its time from now; returns at once."""
        for trouble in troubles:
            self._network.later(trouble.at_seconds, lambda trouble=trouble: self._begin(trouble))  # type: ignore[misc]
            if trouble.kind in ("stall", "refuse"):
                self._network.later(trouble.at_seconds + trouble.seconds, lambda trouble=trouble: self._over(trouble))  # type: ignore[misc]

    def close(self) -> None:
        """End it. May be called again."""

        def end() -> None:
            self._refuse()
            self._cut(End.FIN)
            for each in self._opening:
                each.cancel()

        self._network.run(end)
        self._port_holder.close()

    def _begin(self, trouble: Trouble) -> None:
        match trouble.kind:
            case "stall":
                self._stall(trouble.way)
            case "refuse":
                self._refuse()
                self._cut(End.RESET)
            case "cut":
                self._cut(End.FIN)
            case "reset":
                self._cut(End.RESET)

    def _over(self, trouble: Trouble) -> None:
        if trouble.kind == "stall":
            self._resume()
        else:
            task = self._network.loop.create_task(self._accept())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _ways(self, way: Way | Literal["both"]) -> list[Conditions]:
        return [self._conditions[each] for each in _WAYS if way in (each, "both")]

    def _stall(self, way: Way | Literal["both"]) -> None:
        for each in self._ways(way):
            each.is_stalled = True
        self._look()

    def _resume(self) -> None:
        for each in self._conditions.values():
            each.is_stalled = False
        self._look()

    def _look(self) -> None:
        for there, back in list(self._connections.items()):
            there.pass_on()
            back.pass_on()

    def _cut(self, how: End) -> None:
        for each in self._conditions.values():
            each.left_bytes = None
        for there, back in list(self._connections.items()):
            for end in (there, back):
                if how is End.RESET:
                    end.end(how)
                end.close()
        self._connections.clear()

    def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _accept(self) -> None:
        if self._listener is not None:
            return
        host, port = self._port_holder.getsockname()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._taken, host, port, reuse_address=True, backlog=1024)

    def _taken(self) -> Passage:
        self.n_connections += 1

        def over() -> None:
            # Both ends have gone, or the other one is told by what is still under way.
            if there.is_gone and back.is_gone:
                self._connections.pop(there, None)

        there = Passage(self._conditions["there"], over)
        back = Passage(self._conditions["back"], over)
        there.onto(back)
        back.onto(there)
        self._connections[there] = back
        task = asyncio.get_running_loop().create_task(self._lead(there, back))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return there

    async def _lead(self, there: Passage, back: Passage) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: back, *self._target)
        except OSError:
            there.end(End.RESET)
            self._connections.pop(there, None)
            return
        if there not in self._connections:
            # It was cut meanwhile.
            back.end(End.RESET)
