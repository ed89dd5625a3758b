"""A small client of HTTP/1.1 that keeps every byte: for warming and checking, not for load."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from benchmarks.failure import MeasurementFailed

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole."""

    status: int
    head: bytes
    body: bytes


class Connection:
    """A connection that asks again and again."""

    def __init__(self, port: int, *, timeout_seconds: float = 30) -> None:
        self._host = f"{LOOPBACK}:{port}"
        self._socket = socket.create_connection((LOOPBACK, port), timeout=timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str) -> Answer:
        """Ask for a path and wait for the answer.

        The host is written as the load generator writes it, so that the keys are the same.
        """
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        return self.answer()

    def post(self, path: str, body: bytes) -> None:
        """Send a body to a path; `answer` waits for what comes of it."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    def answer(self) -> Answer:
        """Wait for the answer to the one request that is under way."""
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._piece()
        head = bytes(received[: end + 4])
        length = _length(head)
        while len(received) < len(head) + length:
            received += self._piece()
        if len(received) > len(head) + length:
            raise MeasurementFailed(f"more than one answer came to one request: {head!r}")
        return Answer(status=int(head[9:12]), head=head, body=bytes(received[len(head) :]))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _piece(self) -> bytes:
        piece = self._socket.recv(1 << 20)
        if not piece:
            raise MeasurementFailed("the connection was closed within an answer")
        return piece


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise MeasurementFailed(f"an answer without Content-Length: {head!r}")
