"""A web server that does what a test tells it, over real sockets: slow, broken, malformed, or simply right.

It reads HTTP/1.1 as far as an edge writes it, and checks nothing: what it is asked is for the test to look at.
Each connection has a thread of its own. Start at `Origin`; `_Connection` is one of its connections.
"""

from __future__ import annotations

import contextlib
import http
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING, TypeAlias

from bodega.testing.answer import Answer, Received

if TYPE_CHECKING:
    from typing import Self

Script: TypeAlias = Answer | Sequence[Answer] | Callable[[Received], Answer]
"""One answer for every request, one after the other (the last one stays), or a function of the request."""

_LOOK_SECONDS = 0.02


class Origin:
    """A scripted origin on a port of this machine.

    Example:
        >>> with Origin({"/": Answer(b"hello")}) as origin:
        ...     origin.url.startswith("http://127.0.0.1:")
        True

    Args:
        scripts: What is answered by path, without the query; ``"*"`` for all others, by default 404.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        tls: Makes it an HTTPS server.
    """

    def __init__(
        self,
        scripts: dict[str, Script] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Keep the script; nothing runs before `start`."""
        self._scripts: dict[str, Script] = dict(scripts or {})
        self._host = host
        self._port = port
        self._tls = tls
        self._lock = threading.Lock()
        self._requests: list[Received] = []
        self._n_started = 0
        self._n_connections = 0
        self._n_body_bytes = 0
        self._asked_by_path: dict[str, int] = {}
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._stopping = threading.Event()
        self.takes_bodies = threading.Event()
        """While it is cleared, bodies of requests are left where they are, after what was read before."""
        self.takes_bodies.set()

    def start(self) -> Self:
        """Listen; after `stop` on the same port again."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self._port))
        listener.listen(1024)
        self._port = listener.getsockname()[1]
        self._listener = listener
        self._stopping = threading.Event()
        threading.Thread(target=self._accept, args=(listener, self._stopping), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening and cut every connection. May be called again."""
        self._stopping.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Cut every connection, and go on listening."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def on(self, path: str, script: Script) -> None:
        """Say what is answered for a path from now on; ``"*"`` is every path that has no script of its own."""
        with self._lock:
            self._scripts[path] = script
            self._asked_by_path.pop(path, None)

    @property
    def port(self) -> int:
        """The port; 0 before `start` if none was given."""
        return self._port

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """The address as a URL."""
        return f"{'https' if self._tls else 'http'}://{self.authority}"

    @property
    def requests(self) -> list[Received]:
        """The requests that came in whole, in order."""
        with self._lock:
            return list(self._requests)

    @property
    def n_requests(self) -> int:
        """How many requests came in whole."""
        with self._lock:
            return len(self._requests)

    @property
    def n_started(self) -> int:
        """How many heads of requests came in, also of those whose body is still on its way."""
        with self._lock:
            return self._n_started

    @property
    def n_connections(self) -> int:
        """How many connections there have been."""
        with self._lock:
            return self._n_connections

    @property
    def n_open(self) -> int:
        """How many connections there are."""
        with self._lock:
            return len(self._open)

    @property
    def n_body_bytes(self) -> int:
        """How many bytes of bodies came in, also of those that are still on their way."""
        with self._lock:
            return self._n_body_bytes

    def _accept(self, listener: socket.socket, stopping: threading.Event) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._n_connections += 1
                number = self._n_connections
            threading.Thread(target=self._run, args=(accepted, number, stopping), daemon=True).start()

    def _run(self, accepted: socket.socket, number: int, stopping: threading.Event) -> None:
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # An edge may have gone away, and a script may be cut: neither is an error of the origin.
            with contextlib.suppress(OSError, EOFError), self._secured(accepted) as connection:
                with self._lock:
                    self._open.add(connection)
                try:
                    self._serve(_Connection(connection, number, stopping, self.takes_bodies))
                finally:
                    with self._lock:
                        self._open.discard(connection)
                    # The file that requests are read from keeps the socket open: this ends it here and now.
                    connection.shutdown(socket.SHUT_RDWR)
        finally:
            accepted.close()

    def _secured(self, accepted: socket.socket) -> socket.socket:
        return accepted if self._tls is None else self._tls.wrap_socket(accepted, server_side=True)

    def _serve(self, connection: _Connection) -> None:
        while (head := connection.read_head()) is not None:
            with self._lock:
                self._n_started += 1
            request = connection.read_request(head, self._count_body)
            with self._lock:
                self._requests.append(request)
            if not connection.answer(request, self._answer_for(request)):
                return

    def _count_body(self, n_bytes: int) -> None:
        with self._lock:
            self._n_body_bytes += n_bytes

    def _answer_for(self, request: Received) -> Answer:
        path = request.target.partition("?")[0]
        with self._lock:
            path = path if path in self._scripts else "*"
            script = self._scripts.get(path, _NOT_FOUND)
            n_before = self._asked_by_path.get(path, 0)
            self._asked_by_path[path] = n_before + 1
        if isinstance(script, Answer):
            return script
        if isinstance(script, Sequence):
            return script[min(n_before, len(script) - 1)]
        return script(request)


_NOT_FOUND = Answer(b"there is no script for this path\n", status=404)


class _Connection:
    """One connection: reads requests, writes answers."""

    def __init__(
        self, connection: socket.socket, number: int, stopping: threading.Event, takes_bodies: threading.Event
    ) -> None:
        self._socket = connection
        self._number = number
        self._stopping = stopping
        self._takes_bodies = takes_bodies
        self._input = connection.makefile("rb")

    def read_head(self) -> list[str] | None:
        """Read a head as lines; None at the end of the connection."""
        lines: list[str] = []
        while (line := self._input.readline(65_536)) not in (b"\r\n", b"\n"):
            if not line:
                return None
            lines.append(line.decode("latin-1").rstrip("\r\n"))
        return lines

    def read_request(self, head: list[str], count: Callable[[int], None]) -> Received:
        method, target, version = head[0].split(" ", 2)
        pairs = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:]))
        fields = {name.lower(): value for name, value in pairs}
        if "100-continue" in fields.get("expect", "").lower():
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in fields.get("transfer-encoding", "").lower():
            body = self._read_chunks(count)
        else:
            body = self._read(int(fields.get("content-length", "0")), count)
        return Received(method, target, version, pairs, body, self._number)

    def _read(self, n_bytes: int, count: Callable[[int], None]) -> bytes:
        body = bytearray()
        while len(body) < n_bytes:
            self._wait(self._takes_bodies)
            piece = self._input.read1(min(65_536, n_bytes - len(body)))
            if not piece:
                raise EOFError("a body that broke off")
            count(len(piece))
            body += piece
        return bytes(body)

    def _read_chunks(self, count: Callable[[int], None]) -> bytes:
        body = b""
        while True:
            line = self._input.readline()
            if not line.endswith(b"\r\n"):
                raise EOFError("a chunk that broke off")
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                while self._input.readline() not in (b"\r\n", b""):
                    pass
                return body
            body += self._read(size, count)
            self._input.readline()

    def answer(self, request: Received, answer: Answer) -> bool:
        """Write an answer; return whether the connection goes on."""
        for status, fields in answer.interim_heads:
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            self._socket.sendall(_status_line(status) + lines.encode("latin-1") + b"\r\n")
        if answer.before is not None:
            self._wait(answer.before)
        if answer.reset:
            # Closing a socket that does not linger discards what is under way and sends RST instead of FIN.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self._socket.detach())
        if answer.drop or answer.reset:
            return False
        if answer.raw is not None:
            self._socket.sendall(answer.raw)
            return False
        self._socket.sendall(self._head(answer))
        has_body = request.method != "HEAD" and answer.status not in (204, 304)
        if has_body and not self._body(answer):
            return False
        return not answer.close and answer.framing != "close"

    def _head(self, answer: Answer) -> bytes:
        pairs = list(answer.header_pairs)
        names = {name.lower() for name, _ in pairs}
        if "date" not in names:
            pairs.append(("Date", formatdate(usegmt=True)))
        if answer.framing == "chunked":
            pairs.append(("Transfer-Encoding", "chunked"))
        elif answer.framing == "length" and "content-length" not in names and answer.status not in (204, 304):
            pairs.append(("Content-Length", str(answer.size_bytes)))
        if answer.close or answer.framing == "close":
            pairs.append(("Connection", "close"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        return _status_line(answer.status) + lines.encode("latin-1") + b"\r\n"

    def _body(self, answer: Answer) -> bool:
        left = answer.size_bytes if answer.break_after is None else answer.break_after
        for piece in answer.pieces:
            if isinstance(piece, threading.Event):
                self._wait(piece)
                continue
            sent = piece[:left]
            left -= len(sent)
            if sent and answer.framing == "chunked":
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(sent), sent))
            elif sent:
                self._socket.sendall(sent)
        if answer.break_after is not None:
            return False
        if answer.framing == "chunked":
            self._socket.sendall(b"0\r\n\r\n")
        return True

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(_LOOK_SECONDS):
            if self._stopping.is_set():
                raise EOFError("the origin was stopped")
            if self._has_left():
                raise EOFError("nobody waits for the answer any more")

    def _has_left(self) -> bool:
        if isinstance(self._socket, ssl.SSLSocket):
            return False
        try:
            return self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def _status_line(status: int) -> bytes:
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
