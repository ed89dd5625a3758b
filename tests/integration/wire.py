"""A client that writes bytes as told and reads answers strictly: what http.client smooths over is seen here."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing import Self

TIMEOUT_SECONDS = 30.0


class Broken(Exception):
    """The connection ended before the answer did."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: version and status, field lines in order, the body without its coding."""

    version: str
    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.fields if found.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.all(name))

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def is_hit(self) -> bool:
        return "; hit" in self["Cache-Status"]


class Wire:
    """One connection."""

    def __init__(
        self,
        url: str,
        *,
        receive_buffer: int | None = None,
        source: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
        name: str | None = "edge.test",
    ) -> None:
        """Connect; over TLS where there is a context, asking for the certificate of `name`."""
        if url.startswith("unix:"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            target: str | tuple[str, int] = url.removeprefix("unix:")
        else:
            parts = urlsplit(url)
            assert parts.hostname is not None
            assert parts.port is not None
            self._socket = socket.socket(socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET)
            target = (parts.hostname, parts.port)
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            self._socket.bind((source, 0))
        self._socket.settimeout(timeout_seconds)
        self._input = b""
        try:
            self._socket.connect(target)
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=name)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def certificate_names(self) -> list[str]:
        """Return the host names of the certificate that the other side showed."""
        assert isinstance(self._socket, ssl.SSLSocket)
        shown = self._socket.getpeercert()
        assert shown is not None
        names = shown["subjectAltName"]
        assert isinstance(names, tuple)
        return [str(pair[1]) for pair in names if pair[0] == "DNS"]

    def send(self, *pieces: bytes) -> Self:
        self._socket.sendall(b"".join(pieces))
        return self

    def get(self, target: str = "/", *fields: str, method: str = "GET", host: str = "edge.test") -> Reply:
        """Send a request without a body and read its answer."""
        self.send(request(target, *fields, method=method, host=host))
        return self.reply(method)

    def reply(self, method: str = "GET") -> Reply:
        """Read a whole answer that is not an interim one."""
        while True:
            head = self.head()
            if head.status >= 200:
                return Reply(head.version, head.status, head.fields, self._body(head, method))

    def head(self) -> Reply:
        """Read a head, of an interim answer too."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status = lines[0].split(" ")[:2]
        fields = []
        for line in lines[1:-2]:
            name, colon, value = line.partition(":")
            assert colon, f"a line without a colon in a head: {line!r}"
            assert name == name.strip(), f"a malformed field name: {name!r}"
            fields.append((name, value.strip()))
        return Reply(version, int(status), tuple(fields), b"")

    def at_least(self, n_bytes: int) -> bytes:
        """Read until so many bytes are there, and return what is there without taking it."""
        while len(self._input) < n_bytes:
            self._more()
        return self._input

    def rest(self) -> bytes:
        """Read to the end of the connection; a reset is an end."""
        try:
            while True:
                self._more()
        except Broken:
            pass
        rest, self._input = self._input, b""
        return rest

    def is_ended(self) -> bool:
        """Whether the other side ends the connection without another byte; waits for it."""
        return self.rest() == b""

    def end_sending(self) -> Self:
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def _body(self, head: Reply, method: str) -> bytes:
        if method == "HEAD" or head.status in (204, 304):
            return b""
        if "Transfer-Encoding" in head:
            assert "Content-Length" not in head, "two framings in one answer"
            assert head["Transfer-Encoding"] == "chunked"
            return self._chunks()
        if "Content-Length" in head:
            assert len(head.all("Content-Length")) == 1
            return self.exactly(int(head["Content-Length"]))
        assert head["Connection"] == "close", "a body that ends with a connection that goes on"
        return self.rest()

    def _chunks(self) -> bytes:
        body = []
        while size := int(self._until(b"\r\n"), 16):
            body.append(self.exactly(size))
            assert self.exactly(2) == b"\r\n"
        assert self._until(b"\r\n") == b"\r\n", "the edge sends no trailers"
        return b"".join(body)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._input:
            self._more()
        end = self._input.index(mark) + len(mark)
        taken, self._input = self._input[:end], self._input[end:]
        return taken

    def exactly(self, n_bytes: int) -> bytes:
        parts = [self._input[:n_bytes]]
        self._input = self._input[n_bytes:]
        missing = n_bytes - len(parts[0])
        while missing:
            piece = self._receive(min(missing, 1 << 18))
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)

    def _more(self) -> None:
        self._input += self._receive(1 << 16)

    def _receive(self, n_bytes: int) -> bytes:
        try:
            piece = self._socket.recv(n_bytes)
        except (ConnectionError, ssl.SSLEOFError) as error:
            raise Broken(str(error)) from error
        if not piece:
            raise Broken(f"the connection ended after {self._input[:200]!r}")
        return piece


def request(target: str = "/", *fields: str, method: str = "GET", host: str = "edge.test", body: bytes = b"") -> bytes:
    """Write a request; a body gets its length."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def get(url: str, target: str = "/", *fields: str, host: str = "edge.test", method: str = "GET") -> Reply:
    """Ask once on a connection of its own."""
    with Wire(url) as wire:
        return wire.get(target, *fields, host=host, method=method)
