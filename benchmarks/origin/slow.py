"""The slow origin: an object of 10 MiB whose head comes after 300 ms, and its body at 5 MiB a second.

It is a program of its own (`python -m benchmarks.origin.slow PORT`), which tells under /status/KEY how often a key was
asked for and when the first byte of an answer left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import objects
from benchmarks.cores import Cores, pinned
from benchmarks.exchange import LOOPBACK, Connection
from benchmarks.running import free_port, running

FIRST_BYTE_SECONDS = 0.3
BYTES_PER_SECOND = 5 << 20

_PIECE_BYTES = 16 << 10


@dataclass(slots=True)
class Asked:
    """What happened to one key."""

    n_requests: int = 0
    first_byte_ns: int = 0


@dataclass(frozen=True, slots=True)
class SlowOrigin:
    """A slow origin that is up."""

    port: int

    def asked(self, key: str) -> Asked:
        """Return what happened to one key; times are those of the monotonic clock."""
        with Connection(self.port) as connection:
            return Asked(**json.loads(connection.ask(f"/status/{key}").body))


@contextlib.contextmanager
def slow_origin(folder: Path, cores: Cores) -> Iterator[SlowOrigin]:
    """Run the origin until the block ends, on the core of the load."""
    folder.mkdir()
    port = free_port()
    # It is found from the root of the repository, whatever the folder it runs in.
    root = Path(__file__).resolve().parents[2]
    start = f"import sys; sys.path.insert(0, {str(root)!r}); from benchmarks.origin.slow import main; main({port})"
    with running("the slow origin", pinned([sys.executable, "-c", start], cores.load), port=port, folder=folder):
        yield SlowOrigin(port)


def main(port: int) -> None:
    """Serve until the process is ended."""
    asyncio.run(_Server().serve(port))


@dataclass(slots=True)
class _Server:
    asked: dict[str, Asked] = field(default_factory=dict)

    async def serve(self, port: int) -> None:
        server = await asyncio.start_server(self._connection, LOOPBACK, port, backlog=4096)
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                if path.startswith("/status/"):
                    await self._tell(writer, path.rpartition("/")[2])
                else:
                    await self._serve(writer, path)
        writer.close()

    async def _tell(self, writer: asyncio.StreamWriter, key: str) -> None:
        asked = self.asked.get(key, Asked())
        told = json.dumps({"n_requests": asked.n_requests, "first_byte_ns": asked.first_byte_ns}).encode()
        writer.write(_head(len(told)) + told)
        await writer.drain()

    async def _serve(self, writer: asyncio.StreamWriter, path: str) -> None:
        asked = self.asked.setdefault(path.rpartition("/")[2], Asked())
        asked.n_requests += 1
        await asyncio.sleep(FIRST_BYTE_SECONDS)
        body = memoryview(objects.body(path))
        began = time.monotonic()
        if not asked.first_byte_ns:
            asked.first_byte_ns = time.monotonic_ns()
        writer.write(_head(len(body)))
        for start in range(0, len(body), _PIECE_BYTES):
            # By the clock since the start, so that a delay does not slow down what follows.
            await asyncio.sleep(began + start / BYTES_PER_SECOND - time.monotonic())
            writer.write(body[start : start + _PIECE_BYTES])
            await writer.drain()


def _head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nCache-Control: max-age=86400\r\n\r\n".encode()
