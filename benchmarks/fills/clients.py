"""The crowd itself: clients with an address each, connected beforehand, that ask at the same moment."""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import objects
from benchmarks.exchange import LOOPBACK
from benchmarks.failure import MeasurementFailed
from benchmarks.instances import Instance
from benchmarks.origin.slow import SlowOrigin

_PATIENCE_SECONDS = 40.0
_N_THAT_COMPARE = 10
"""So many clients look at every byte; the others count them, so that reading does not delay the others."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What a crowd saw.

    Attributes:
        n_origin_requests: How many requests reached the origin.
        first_spread_milliseconds: From the origin's first byte to the first byte of a body at the first client.
        spread_milliseconds: The same at the last client.
        n_whole: How many clients got all of the object in time.
        seconds: From the asking to the last byte.
    """

    n_origin_requests: int
    first_spread_milliseconds: float
    spread_milliseconds: float
    n_whole: int
    seconds: float


def ask_at_once(each: Instance, origin: SlowOrigin, path: str, *, n_clients: int) -> Crowd:
    """Ask for an object with a crowd of clients, and wait until all have it.

    Raises:
        MeasurementFailed: If a client gets no byte of it, or a wrong one.
    """
    clients = [_Client(_connect(each.port, index), compares=index < _N_THAT_COMPARE) for index in range(n_clients)]
    request = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{each.port}\r\n\r\n".encode()
    try:
        with _without_pauses():
            began = time.monotonic()
            for client in clients:
                client.socket.sendall(request)
            _receive(clients, objects.SIZES[path.split("/")[1]])
            seconds = time.monotonic() - began
    finally:
        for client in clients:
            client.socket.close()
    for client in clients:
        client.check(each.name, objects.body(path))
    asked = origin.asked(path.rpartition("/")[2])
    delays = [(client.first_byte_ns - asked.first_byte_ns) / 1e6 for client in clients]
    return Crowd(
        n_origin_requests=asked.n_requests,
        first_spread_milliseconds=min(delays),
        spread_milliseconds=max(delays),
        n_whole=sum(client.missing == 0 for client in clients),
        seconds=seconds,
    )


@dataclass(slots=True)
class _Client:
    socket: socket.socket
    compares: bool
    head: bytearray = field(default_factory=bytearray)
    body: bytearray = field(default_factory=bytearray)
    missing: int = -1
    first_byte_ns: int = 0

    def has_begun(self) -> bool:
        return self.first_byte_ns > 0

    def begin(self, size: int) -> None:
        """Take the first bytes: the head, and what comes with it."""
        self.head += self.socket.recv(4096)
        end = self.head.find(b"\r\n\r\n")
        if end < 0 or len(self.head) == end + 4:
            return
        self.first_byte_ns = time.monotonic_ns()
        self.body += self.head[end + 4 :]
        del self.head[end + 4 :]
        self.missing = size - len(self.body)

    def go_on(self, room: bytearray) -> None:
        """Take what has come; only those who compare have it copied out of the kernel (tcp(7), `MSG_TRUNC`)."""
        n_wanted = min(len(room), self.missing)
        n_bytes = self.socket.recv_into(room, n_wanted, 0 if self.compares else socket.MSG_TRUNC)
        if self.compares:
            self.body += room[:n_bytes]
        self.missing -= n_bytes
        if n_bytes == 0:
            raise ConnectionError

    def check(self, name: str, body: bytes) -> None:
        if not self.has_begun() or not self.head.startswith(b"HTTP/1.1 200 "):
            raise MeasurementFailed(f"{name}: a client of the crowd was answered with {bytes(self.head[:200])!r}")
        if not body.startswith(self.body):
            raise MeasurementFailed(f"{name}: a client of the crowd got other bytes than the origin's")


def _connect(port: int, index: int) -> socket.socket:
    # An address for each: a server may limit the connections of one client.
    source = f"127.1.{index // 250}.{index % 250 + 1}"
    connected = socket.create_connection((LOOPBACK, port), timeout=10, source_address=(source, 0))
    connected.setblocking(False)
    return connected


def _receive(clients: Sequence[_Client], size: int) -> None:
    room = bytearray(1 << 20)
    by_number = {client.socket.fileno(): client for client in clients}
    poll = select.epoll()
    try:
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while by_number and time.monotonic() < deadline:
            ready = [by_number[number] for number, _ in poll.poll(1)]
            # Those that have nothing yet go first: theirs is the time that counts.
            ready.sort(key=_Client.has_begun)
            for client in ready:
                with contextlib.suppress(BlockingIOError):
                    if client.has_begun():
                        client.go_on(room)
                    else:
                        client.begin(size)
                if client.missing == 0:
                    poll.unregister(client.socket)
                    del by_number[client.socket.fileno()]
    finally:
        poll.close()


@contextlib.contextmanager
def _without_pauses() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
