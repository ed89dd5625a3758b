"""Asks one edge over HTTPS with HTTP/2, as browsers do: one connection, everything at once.

The protocol's state is kept by `h2`; sockets, TLS and measuring are here.
"""

from __future__ import annotations

import socket
import ssl
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from bodega.errors import EdgeError
from bodega.up.visit.cache_status import outcome
from bodega.up.visit.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from bodega.up.edge_process import EdgeProcess

_TIMEOUT_SECONDS = 60.0
_PIECE_BYTES = 1 << 18
_SMALL_BYTES = 64 * 1024


@dataclass(slots=True)
class _Stream:
    """One request, and what has come of its answer so far."""

    path: str
    began: float
    headers: dict[str, str] = field(default_factory=dict)
    head_after: float = 0.0
    body: bytearray = field(default_factory=bytearray)


class Http2Browser:
    """A client of one edge over one connection.

    Attributes:
        protocol: What edge and client agreed on: ``HTTP/2``.
        version: The version of TLS.
    """

    def __init__(self, edge: EdgeProcess, authority: Path) -> None:
        """Keep whom to ask.

        Args:
            edge: Whom.
            authority: Certificate of who signed the edge's.
        """
        self._edge = edge
        self._context = ssl.create_default_context(cafile=authority)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self.protocol = ""
        self.version = ""

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            EdgeError: If the edge does not speak TLS with a certificate of the authority, or no HTTP/2.
        """
        host, _, port = self._edge.tls_address.rpartition(":")
        plain: socket.socket | None = None
        try:
            plain = socket.create_connection((host, int(port)), _TIMEOUT_SECONDS)
            # As browsers do: a request must not wait until what was written before it is acknowledged.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = self._context.wrap_socket(plain, server_hostname="localhost")
        except OSError as error:
            if plain is not None:
                plain.close()
            raise self._broken("the handshake", error) from error
        self.version = self._socket.version() or "no TLS"
        self.protocol = "HTTP/2" if self._socket.selected_alpn_protocol() == "h2" else "HTTP/1.1"
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        if self.protocol != "HTTP/2":
            self._socket.close()
            raise EdgeError(f"the edge in {self._edge.place.title} speaks no HTTP/2")
        self._http2.initiate_connection()
        self._send()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._socket.close()

    def get(self, path: str) -> Exchange:
        """Ask for one thing.

        Raises:
            EdgeError: If the edge breaks off or does not answer.
        """
        [exchange] = self.get_all([path])
        return exchange

    def get_all(self, paths: Sequence[str]) -> list[Exchange]:
        """Ask for everything at once, and return the answers in the order of the paths.

        Raises:
            EdgeError: If the edge breaks off or does not answer.
        """
        under_way: dict[int, _Stream] = {}
        done: dict[str, Exchange] = {}
        for path in paths:
            stream_id = self._http2.get_next_available_stream_id()
            under_way[stream_id] = _Stream(path, time.perf_counter())
            self._http2.send_headers(stream_id, self._request(path), end_stream=True)
        self._send()
        while under_way:
            for event in self._received(next(iter(under_way.values())).path):
                for exchange in self._heard(event, under_way):
                    done[exchange.path] = exchange
            self._send()
        return [done[path] for path in paths]

    def _request(self, path: str) -> list[tuple[str, str]]:
        host = self._edge.tls_url.removeprefix("https://")
        return [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path)]

    def _received(self, path: str) -> Sequence[h2.events.Event]:
        try:
            data = self._socket.recv(_PIECE_BYTES)
            events: Sequence[h2.events.Event] = self._http2.receive_data(data) if data else []
        except (OSError, h2.exceptions.ProtocolError) as error:
            raise self._broken(path, error) from error
        if not data:
            raise self._broken(path, "the connection ended")
        return events

    def _heard(self, event: h2.events.Event, under_way: dict[int, _Stream]) -> list[Exchange]:
        """Take one event in; return the exchange that it completes, if any."""
        match event:
            case h2.events.ResponseReceived(stream_id=stream_id, headers=headers) if stream_id in under_way:
                stream = under_way[stream_id]
                stream.headers = {str(name): str(value) for name, value in headers or ()}
                stream.head_after = time.perf_counter() - stream.began
            case h2.events.DataReceived(stream_id=stream_id, data=data) if stream_id in under_way:
                under_way[stream_id].body += data or b""
                self._http2.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
            case h2.events.StreamEnded(stream_id=stream_id) if stream_id in under_way:
                return [self._exchange(under_way.pop(stream_id))]
            case h2.events.StreamReset(stream_id=stream_id) if stream_id in under_way:
                raise self._broken(under_way[stream_id].path, f"the stream was reset: {event.error_code}")
            case h2.events.ConnectionTerminated() if under_way:
                raise self._broken(next(iter(under_way.values())).path, f"GOAWAY: {event.error_code}")
        return []

    def _exchange(self, stream: _Stream) -> Exchange:
        said = stream.headers.get("cache-status", "")
        return Exchange(
            place=self._edge.place,
            path=stream.path,
            status=int(stream.headers.get(":status", 0)),
            outcome=outcome(said, self._edge.place.name),
            said=said,
            first_byte_seconds=stream.head_after,
            seconds=time.perf_counter() - stream.began,
            n_bytes=len(stream.body),
            checksum=zlib.crc32(stream.body),
            body=bytes(stream.body) if len(stream.body) <= _SMALL_BYTES else b"",
            note=self.protocol,
        )

    def _send(self) -> None:
        try:
            self._socket.sendall(self._http2.data_to_send())
        except OSError as error:
            raise self._broken("a request", error) from error

    def _broken(self, path: str, why: object) -> EdgeError:
        return EdgeError(f"the edge in {self._edge.place.title} broke off at {path} over HTTPS: {why}")
