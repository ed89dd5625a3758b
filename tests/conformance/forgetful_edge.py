"""An edge that has nothing in memory when it is asked: what it answers of what it keeps comes from its disk.

A relay stands in front of it. Before a client asks for something a second time the edge is stopped, which writes what
is worth keeping, and started anew, with the same directory and an empty memory. What passes the relay is not changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import h11

from bodega.edge import EdgeServer

_READ_BYTES = 65_536


class ForgetfulEdge:
    """Requests that may be under way together, and when the edge forgets between them.

    Attributes:
        n_restarts: How often it did so far.
        n_from_disk: How many answers came from its disk in the lives that have ended.
    """

    def __init__(self, edge: EdgeServer, subject_of: Callable[[str], str | None]) -> None:
        """Stand before an edge that runs and has a disk.

        Args:
            edge: It.
            subject_of: What a path is about; a subject is asked for once in a life. None: nothing that is kept.
        """
        self.n_restarts = 0
        self.n_from_disk = 0
        self._edge = edge
        self._subject_of = subject_of
        self._asked: set[str] = set()
        self._n_under_way = 0
        self._is_closing = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def life(self, path: str) -> AsyncIterator[str]:
        """Be under way in a life in which nobody asked for this yet; gives the edge's address."""
        subject = self._subject_of(path)
        async with self._changed:
            while True:
                # From here on nobody comes in any more, or there would always be somebody under way.
                self._is_closing |= subject in self._asked
                if not self._is_closing:
                    break
                if self._n_under_way:
                    await self._changed.wait()
                else:
                    await asyncio.to_thread(self._begin_anew)
                    self._asked.clear()
                    self._is_closing = False
                    self.n_restarts += 1
                    self._changed.notify_all()
            if subject is not None:
                self._asked.add(subject)
            self._n_under_way += 1
        try:
            yield self._edge.url
        finally:
            async with self._changed:
                self._n_under_way -= 1
                self._changed.notify_all()

    def _begin_anew(self) -> None:
        self.n_from_disk += self._edge.stats().count("l2")
        self._edge.stop()
        self._edge.start()
        while not ((disk := self._edge.stats().disk) and disk.recovered):
            time.sleep(0.002)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay for one client until it leaves or something breaks."""
        client = h11.Connection(h11.SERVER)
        try:
            while isinstance(request := await _next(client, reader), h11.Request):
                body = bytearray()
                while isinstance(event := await _next(client, reader), h11.Data):
                    body += event.data
                async with self.life(request.target.decode()) as url:
                    await _exchange(url, request, bytes(body), writer)
                # What was answered is in `writer` already; here only the turns of the protocol are kept.
                client.send(h11.Response(status_code=204, headers=[]))
                client.send(h11.EndOfMessage())
                if client.our_state is h11.MUST_CLOSE:
                    break
                client.start_next_cycle()
        except (OSError, h11.ProtocolError):
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(_READ_BYTES))
    return event


async def _exchange(url: str, request: h11.Request, body: bytes, client: asyncio.StreamWriter) -> None:
    """Ask the edge on a connection of its own, and pass every byte on as it comes."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    edge = h11.Connection(h11.CLIENT)
    try:
        asked = [edge.send(request), edge.send(h11.Data(data=body)) if body else b"", edge.send(h11.EndOfMessage())]
        writer.write(b"".join(piece or b"" for piece in asked))
        await writer.drain()
        while True:
            event = edge.next_event()
            if event is h11.NEED_DATA:
                received = await reader.read(_READ_BYTES)
                client.write(received)
                await client.drain()
                # At the end of the connection this says whether the answer was whole.
                edge.receive_data(received)
            elif isinstance(event, h11.EndOfMessage):
                return
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
