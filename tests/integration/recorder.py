"""An origin that answers bytes as told, keeps its connections open, and records what comes on each of them."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, slots=True)
class Raw:
    """What is sent for a request."""

    sent: bytes
    closes: bool = False
    """Whether the connection ends with it."""
    after: bytes = b""
    """What follows once `Recorder.release` says so."""


@dataclass(slots=True)
class Asked:
    """A connection, and what came on it."""

    received: bytes = b""
    n_heads: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    followed: threading.Event = field(default_factory=threading.Event)


class Recorder:
    """Answers the first request on each connection with the next of its answers; what comes then is recorded only."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._answers: list[Raw] = []
        self.connections: list[Asked] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def answer(self, *answers: Raw) -> None:
        """Set what the next connections are answered, one each."""
        with self._lock:
            self._answers = list(answers)
            self.connections = []

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._run, args=(accepted,), daemon=True).start()

    def _run(self, accepted: socket.socket) -> None:
        asked = Asked()
        with self._lock:
            self.connections.append(asked)
            answer = self._answers.pop(0) if self._answers else Raw(b"", closes=True)
        with accepted, suppress(OSError):
            while b"\r\n\r\n" not in asked.received:
                if not (piece := accepted.recv(65_536)):
                    return
                asked.received += piece
            accepted.sendall(answer.sent)
            if answer.closes:
                return
            if answer.after:
                asked.released.wait(30)
                accepted.sendall(answer.after)
                asked.followed.set()
            while piece := accepted.recv(65_536):
                asked.received += piece
