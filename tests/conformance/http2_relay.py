"""A relay from HTTP/1.1 to HTTP/2, so that suites that speak only the one can ask an edge over the other.

`python -m tests.conformance.http2_relay 8300 127.0.0.1:8443` listens on port 8300 of this machine and asks an edge
that speaks TLS at the other address. What a relay has to change it changes (RFC 9113 section 8.2.2 and 8.3.1), and
nothing else: no field is added, a stream that is reset becomes a connection that breaks off.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h11

_OF_A_CONNECTION = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
_READ_BYTES = 65_536
_FRAME_BYTES = 16_384


class Broken(Exception):
    """The edge ended a stream or the connection before the answer was whole."""


@dataclass(slots=True)
class Edge:
    """A connection to the edge, for one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: h2.connection.H2Connection
    events: list[h2.events.Event] = field(default_factory=list)

    @classmethod
    async def connect(cls, host: str, port: int) -> Edge:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # What is asked is how the edge caches, not who it is.
        context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        if chosen != "h2":
            raise Broken(f"the edge chose {chosen}")
        # Suites send what no client should, and look at what comes back as it is.
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=True,
            validate_inbound_headers=True,
        )
        protocol = h2.connection.H2Connection(config)
        protocol.initiate_connection()
        edge = cls(reader, writer, protocol)
        await edge.flush()
        return edge

    async def flush(self) -> None:
        self.writer.write(self.protocol.data_to_send())
        await self.writer.drain()

    async def next(self) -> h2.events.Event:
        while not self.events:
            received = await self.reader.read(_READ_BYTES)
            if not received:
                raise Broken("the edge closed the connection")
            self.events = self.protocol.receive_data(received)
            await self.flush()
        return self.events.pop(0)

    async def send(self, request: h11.Request, body: bytes) -> int:
        stream = self.protocol.get_next_available_stream_id()
        self.protocol.send_headers(stream, _fields(request), end_stream=not body)
        await self.flush()
        while body:
            window = min(self.protocol.local_flow_control_window(stream), _FRAME_BYTES)
            if window == 0:
                event = await self.next()
                if isinstance(event, h2.events.StreamReset | h2.events.ResponseReceived):
                    self.events.insert(0, event)
                    return stream
                continue
            self.protocol.send_data(stream, body[:window], end_stream=len(body) <= window)
            body = body[window:]
            await self.flush()
        return stream


def _fields(request: h11.Request) -> list[tuple[bytes, bytes]]:
    fields = [(name, value) for name, value in request.headers if name not in _OF_A_CONNECTION]
    host = next((value for name, value in fields if name == b"host"), b"")
    pseudo = [(b":method", request.method), (b":scheme", b"https"), (b":authority", host), (b":path", request.target)]
    return pseudo + [(name, value) for name, value in fields if name != b"host"]


async def _next(client: h11.Connection, reader: asyncio.StreamReader) -> object:
    while True:
        event = client.next_event()
        if event is not h11.NEED_DATA:
            return event
        client.receive_data(await reader.read(_READ_BYTES))


async def _answer(edge: Edge, stream: int, client: h11.Connection, writer: asyncio.StreamWriter) -> None:
    while True:
        event = await edge.next()
        if getattr(event, "stream_id", stream) != stream:
            continue
        match event:
            case h2.events.InformationalResponseReceived() | h2.events.ResponseReceived():
                status = int(dict(event.headers)[b":status"])
                fields = [(name, value) for name, value in event.headers if not name.startswith(b":")]
                kind = h11.InformationalResponse if status < 200 else h11.Response
                writer.write(client.send(kind(status_code=status, headers=fields)) or b"")
            case h2.events.DataReceived():
                edge.protocol.acknowledge_received_data(event.flow_controlled_length, stream)
                await edge.flush()
                writer.write(client.send(h11.Data(data=event.data)) or b"")
            case h2.events.StreamEnded():
                writer.write(client.send(h11.EndOfMessage()) or b"")
                await writer.drain()
                return
            case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                raise Broken(f"{event}")
        await writer.drain()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Serve one client until it leaves or something breaks.

    Args:
        reader: What the client sends.
        writer: What it gets.
        host: The edge's address.
        port: Its port for TLS.
    """
    client = h11.Connection(h11.SERVER)
    edge = None
    try:
        while True:
            request = await _next(client, reader)
            if not isinstance(request, h11.Request):
                break
            body = bytearray()
            while isinstance(event := await _next(client, reader), h11.Data):
                body += event.data
            edge = edge or await Edge.connect(host, port)
            await _answer(edge, await edge.send(request, bytes(body)), client, writer)
            if client.our_state is h11.MUST_CLOSE:
                break
            client.start_next_cycle()
    except (Broken, OSError, h11.ProtocolError, h2.exceptions.ProtocolError):
        writer.transport.abort()
    finally:
        for side in (writer, *((edge.writer,) if edge else ())):
            side.close()
            with contextlib.suppress(OSError):
                await side.wait_closed()


async def main(listen_port: int, host: str, port: int) -> None:
    """Relay until this process is ended.

    Args:
        listen_port: On 127.0.0.1.
        host: The edge's address.
        port: Its port for TLS.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await relay(reader, writer, host, port)

    server = await asyncio.start_server(serve, "127.0.0.1", listen_port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Relay HTTP/1.1 to an edge's HTTP/2.")
    parser.add_argument("listen_port", type=int)
    parser.add_argument("edge", help="host:port of a TLS listener")
    arguments = parser.parse_args()
    edge_host, _, edge_port = arguments.edge.rpartition(":")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(arguments.listen_port, edge_host, int(edge_port)))
