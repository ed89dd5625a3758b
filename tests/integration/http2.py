"""A client of HTTP/2 that sends what it is told, allowed or not: frames by hyperframe, header blocks by hpack.

It answers nothing by itself: no settings are acknowledged, no window is opened, unless a test says so.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

if TYPE_CHECKING:
    from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW = 65_535
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, REFUSED_STREAM, CANCEL = 0, 1, 3, 5, 7, 8
ENHANCE_YOUR_CALM = 11

Fields = Iterable[tuple[str, str]]


class Ended(Exception):
    """The connection ended, or nothing came for too long."""


def extension(kind: int, payload: bytes, *, stream: int = 0) -> bytes:
    """Write a frame of a type that hyperframe does not know."""
    return struct.pack(">HBBBI", len(payload) >> 8, len(payload) & 0xFF, kind, 0, stream) + payload


@dataclass(frozen=True, slots=True)
class Answer:
    """What came for a stream."""

    fields: tuple[tuple[str, str], ...]
    body: bytes
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self[":status"])

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for found, value in self.fields if found == name)


@dataclass(frozen=True, slots=True)
class Flooded:
    """How many pieces were sent, and whether the edge put an end to it."""

    n_sent: int
    was_ended: bool


class Http2:
    """One connection. `settings` are the client's own, by the numbers of RFC 9113 section 6.5.2."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None = None,
        *,
        settings: dict[int, int] | None = None,
        timeout_seconds: float = 20.0,
        receive_buffer: int | None = None,
        preface: bool = True,
    ) -> None:
        parts = urlsplit(url)
        self._socket: socket.socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect((parts.hostname, parts.port))
        self.authority = "edge.test"
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
            wrapped = tls.wrap_socket(self._socket, server_hostname=self.authority)
            assert wrapped.selected_alpn_protocol() == "h2"
            self._socket = wrapped
        self._encoder, self._decoder = Encoder(), Decoder()
        self._decoder.max_header_list_size = 1 << 20
        self._input = bytearray()
        self._next_stream = 1
        self._fields: dict[int, tuple[tuple[str, str], ...]] = {}
        if preface:
            self.raw(PREFACE).send(SettingsFrame(0, settings or {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def raw(self, octets: bytes) -> Self:
        """Send bytes as they are."""
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise Ended(f"while sending: {error}") from error
        return self

    def send(self, *frames: Frame) -> Self:
        """Send frames in one write."""
        return self.raw(b"".join(frame.serialize() for frame in frames))

    def flood(self, pieces: Iterable[bytes], *, batch_bytes: int = 1 << 16) -> Flooded:
        """Send pieces until they are all sent or the edge ends the connection; what comes back is read in between."""
        n_sent, batch = 0, []
        try:
            for piece in pieces:
                batch.append(piece)
                if len(batch) * len(piece) >= batch_bytes:
                    self.raw(b"".join(batch))
                    n_sent += len(batch)
                    batch = []
                    self._drain()
            self.raw(b"".join(batch))
            n_sent += len(batch)
            self._drain()
        except Ended:
            return Flooded(n_sent, was_ended=True)
        return Flooded(n_sent, was_ended=False)

    def stream(self) -> int:
        """Return the number of a new stream."""
        self._next_stream += 2
        return self._next_stream - 2

    def head(self, path: str = "/a", *more: tuple[str, str], method: str = "GET") -> list[tuple[str, str]]:
        """Return the fields of a request."""
        pseudo = {":method": method, ":scheme": self.scheme, ":authority": self.authority, ":path": path}
        return [*pseudo.items(), *more]

    def encode(self, fields: Fields) -> bytes:
        """Write a header block; the edge has to read every one, in the same order."""
        return self._encoder.encode(list(fields), huffman=False)

    def headers(self, stream: int, fields: Fields, *flags: str) -> HeadersFrame:
        """Make a HEADERS frame; ends the header block and the stream unless flags are given."""
        return HeadersFrame(stream, self.encode(fields), flags=flags or ("END_HEADERS", "END_STREAM"))

    def get(self, path: str = "/a", *more: tuple[str, str], method: str = "GET") -> int:
        """Send a request without a body; returns its stream."""
        stream = self.stream()
        self.send(self.headers(stream, self.head(path, *more, method=method)))
        return stream

    def ask(self, path: str = "/a", *more: tuple[str, str]) -> Answer:
        """Send a request and read its answer, as a client that behaves."""
        return self.answer(self.get(path, *more))

    def answer(self, stream: int) -> Answer:
        """Read to the end of a stream, acknowledging and opening windows as a client that behaves."""
        fields: tuple[tuple[str, str], ...] = ()
        body = b""
        while True:
            frame = self.frame()
            self.behave(frame)
            if isinstance(frame, HeadersFrame | ContinuationFrame | DataFrame) and frame.stream_id != stream:
                continue
            if isinstance(frame, RstStreamFrame) and frame.stream_id == stream:
                return Answer(fields, body, frame.error_code)
            if isinstance(frame, GoAwayFrame) and frame.error_code != NO_ERROR:
                raise Ended(f"GOAWAY {frame.error_code} {frame.additional_data!r}")
            if isinstance(frame, HeadersFrame):
                fields = self._fields.pop(stream)
            elif isinstance(frame, DataFrame):
                body += frame.data
            if isinstance(frame, HeadersFrame | DataFrame) and "END_STREAM" in frame.flags:
                return Answer(fields, body)

    def behave(self, frame: Frame) -> None:
        """Do what a client has to do on a frame."""
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.send(SettingsFrame(0, flags=("ACK",)))
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            self.send(PingFrame(0, frame.opaque_data, flags=("ACK",)))
        elif isinstance(frame, DataFrame) and frame.flow_controlled_length:
            opened = frame.flow_controlled_length
            updates = [WindowUpdateFrame(0, opened)]
            if "END_STREAM" not in frame.flags:
                updates.append(WindowUpdateFrame(frame.stream_id, opened))
            self.send(*updates)

    def frame(self) -> Frame:
        """Read a frame."""
        while len(self._input) < 9:
            self._more()
        frame, length = Frame.parse_frame_header(memoryview(bytes(self._input[:9])))
        while len(self._input) < 9 + length:
            self._more()
        frame.parse_body(memoryview(bytes(self._input[9 : 9 + length])))
        del self._input[: 9 + length]
        if isinstance(frame, HeadersFrame):
            # Every block has to be read, in its order, or those that follow mean nothing.
            assert "END_HEADERS" in frame.flags, "no answer of a test needs CONTINUATION"
            self._fields[frame.stream_id] = tuple(
                (str(name), str(value)) for name, value in self._decoder.decode(frame.data)
            )
        return frame

    def until(self, wanted: type[Frame], *, within_seconds: float = 20.0) -> Frame:
        """Read frames until one of a kind comes, doing nothing about the others."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            frame = self.frame()
            if isinstance(frame, wanted):
                return frame
        raise Ended(f"no {wanted.__name__} came")

    def goodbye(self) -> GoAwayFrame | None:
        """Read to the end of the connection; returns the last GOAWAY that came before."""
        found = None
        try:
            while True:
                frame = self.frame()
                if isinstance(frame, GoAwayFrame):
                    found = frame
                elif isinstance(frame, PingFrame):
                    # A server that ends well asks whether its first GOAWAY has arrived.
                    self.behave(frame)
        except Ended:
            return found

    def _drain(self) -> None:
        """Take what has come, and look no closer than for the end of the connection."""
        timeout = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            while True:
                self._more()
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            self._socket.settimeout(timeout)

    def _more(self) -> None:
        try:
            octets = self._socket.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError):
            raise
        except OSError as error:
            raise Ended(str(error)) from error
        if not octets:
            raise Ended("the connection ended")
        self._input += octets
