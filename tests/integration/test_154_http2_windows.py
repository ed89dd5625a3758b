"""Clients that take nothing, or next to nothing, of what they asked for: bounded in memory, let go in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from tests.certificates import Authority
from tests.integration.bystander import MIB, holds_out
from tests.integration.conftest import KEPT, Front
from tests.integration.http2 import CANCEL, FLOW_CONTROL_ERROR, REFUSED_STREAM, Ended, Http2
from tests.integration.wire import Wire

from bodega.testing import Answer, Origin, wait_until

LARGE = b"0123456789abcdef" * (1 << 19)
"""8 MiB."""
INITIAL_WINDOW, MAX_STREAMS = 4, 128


@pytest.fixture
def origin() -> Iterator[Origin]:
    over = threading.Event()
    with Origin({"/a": Answer(b"/a", headers=KEPT), "*": Answer(b"late", before=over)}) as origin:
        origin.on("/large", Answer(LARGE, headers=KEPT))
        yield origin
        over.set()


@pytest.mark.parametrize("window", [0, 1])
def test_windows_that_stay_shut_hold_no_body_and_are_given_up(
    front: Front, origin: Origin, authority: Authority, window: int
) -> None:
    trusting = authority.trusting()
    edge = front(origin, write_timeout_seconds=1.0)
    with Wire(edge.tls, tls=authority.trusting()) as wire:
        assert wire.get("/large").body == LARGE
    with holds_out(edge, trusting, more_bytes=24 * MIB), ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(Http2(edge.tls, authority.trusting(), settings={INITIAL_WINDOW: window}))
            for _ in range(MAX_STREAMS):
                client.get("/large")
            client.send(SettingsFrame(0, flags=("ACK",)))
        # All of them are given up, each for itself.
        wait_until(lambda: edge.count("cdn_http2_misuses_total", kind="stalled") >= 8, timeout_seconds=30)
    assert origin.n_requests == 2


def test_many_who_read_nothing_hold_a_bounded_part_and_are_let_go(
    front: Front, origin: Origin, authority: Authority
) -> None:
    edge = front(origin, write_timeout_seconds=1.0)
    with Wire(edge.tls, tls=authority.trusting()) as wire:
        assert wire.get("/large").body == LARGE
    with holds_out(edge, authority.trusting(), more_bytes=40 * MIB), ExitStack() as stack:
        for _ in range(32):
            client = Http2(edge.tls, authority.trusting(), settings={INITIAL_WINDOW: 1 << 30}, receive_buffer=4096)
            stack.enter_context(client).send(WindowUpdateFrame(0, 1 << 30))
            for _ in range(16):
                client.get("/large")
        # The bystander has two.
        wait_until(lambda: edge.stats()["connections"] == 2, timeout_seconds=30, what="that they are let go")


def test_a_stalled_stream_does_not_hold_up_the_others_of_its_connection(
    front: Front, origin: Origin, authority: Authority
) -> None:
    edge = front(origin)
    with Http2(edge.tls, authority.trusting(), settings={INITIAL_WINDOW: 100}) as client:
        stalled = client.get("/large")
        for _ in range(50):
            assert client.ask("/a").body == b"/a"
        client.send(WindowUpdateFrame(stalled, len(LARGE)))
        # What came before is among what `ask` read past.
        rest = client.answer(stalled).body
        assert LARGE.endswith(rest)
        assert len(rest) > len(LARGE) - 100_000


@pytest.mark.parametrize("whose", ["connection", "stream"])
def test_a_window_over_the_largest_is_an_error(front: Front, origin: Origin, authority: Authority, whose: str) -> None:
    """RFC 9113 section 6.9.1."""
    edge = front(origin)
    with Http2(edge.tls, authority.trusting()) as client:
        stream = client.get("/never")
        number = 0 if whose == "connection" else stream
        client.send(*(WindowUpdateFrame(number, (1 << 31) - 1) for _ in range(2)))
        if whose == "connection":
            goodbye = client.goodbye()
            assert goodbye is not None
            assert goodbye.error_code == FLOW_CONTROL_ERROR
            wait_until(lambda: edge.count("cdn_http2_misuses_total", kind="protocol") == 1)
        else:
            reset = client.until(RstStreamFrame)
            assert isinstance(reset, RstStreamFrame)
            assert (reset.stream_id, reset.error_code) == (stream, FLOW_CONTROL_ERROR)
            assert client.ask("/a").status == 200


def test_no_more_streams_than_the_limit_are_under_way(front: Front, origin: Origin, authority: Authority) -> None:
    # What nobody may keep is fetched for the one who asks, who takes the request along.
    edge = front(origin, policy="none", max_streams=10)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), Http2(edge.tls, authority.trusting()) as client:
        settings = client.until(SettingsFrame)
        assert isinstance(settings, SettingsFrame)
        assert settings.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 10
        for n in range(10):
            client.get(f"/never?{n}")
        refused = client.get("/never?10")
        reset = client.until(RstStreamFrame)
        assert isinstance(reset, RstStreamFrame)
        assert (reset.stream_id, reset.error_code) == (refused, REFUSED_STREAM)
    wait_until(lambda: origin.n_open <= 1, what="that the requests of who has left are given up")
    assert not any(asked.target == "/never?10" for asked in origin.requests)


RESETS = {
    "a window update of nothing": lambda stream: WindowUpdateFrame(stream, 0).serialize(),
    "a window over the largest": lambda stream: WindowUpdateFrame(stream, (1 << 31) - 1).serialize() * 2,
    "data behind the end": lambda stream: DataFrame(stream, b"more").serialize(),
}


@pytest.mark.parametrize("reset", RESETS)
def test_streams_that_the_edge_is_made_to_reset(front: Front, origin: Origin, authority: Authority, reset: str) -> None:
    """CVE-2025-8671: what makes the edge reset a stream frees its place, and the work for it goes on."""
    edge = front(origin, policy="none")
    client = Http2(edge.tls, authority.trusting())
    n_sent = 0
    with holds_out(edge, authority.trusting(), more_bytes=24 * MIB), client, suppress(Ended):
        for n in range(3000):
            stream = client.get(f"/never?{n}")
            client.raw(RESETS[reset](stream))
            # What the edge says in between is taken, as an attacker would. Once it has ended the connection, it takes
            # for a while what still comes: only its end tells.
            if n % 20 == 19 and client.flood([]).was_ended:
                break
            n_sent = n + 1
    assert n_sent < 3000, "the edge made as many resets as it was asked for"
    assert origin.n_requests < 2000
    wait_until(lambda: origin.n_open <= 1, what="that requests of streams that were reset are given up")
    # Too many resets, or frames for a stream that is forgotten already.
    kinds = ("excess", "protocol")
    wait_until(lambda: sum(edge.count("cdn_http2_misuses_total", kind=kind) for kind in kinds) == 1)
    assert edge.count("cdn_http2_misuses_total") == 1


def test_a_body_that_nobody_reads_fills_no_more_than_its_windows(
    front: Front, origin: Origin, authority: Authority
) -> None:
    """The origin answers late and takes little: what the edge holds of bodies under way is what windows allow."""
    edge = front(origin, body_timeout_seconds=5.0)
    with holds_out(edge, authority.trusting(), more_bytes=32 * MIB), ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(Http2(edge.tls, authority.trusting()))
            streams = [client.stream() for _ in range(16)]
            for stream in streams:
                client.send(client.headers(stream, client.head("/never", method="POST"), "END_HEADERS"))
            # A client that heeds windows sends 64 KiB a connection at first; then it has to be allowed more.
            for stream in streams[:3]:
                client.send(DataFrame(stream, b"x" * 16_384))
            client.send(RstStreamFrame(streams[0], CANCEL))
        wait_until(lambda: origin.n_open >= 8)
    wait_until(lambda: origin.n_open <= 1)


def test_more_than_the_windows_allow_is_an_error(front: Front, origin: Origin, authority: Authority) -> None:
    """From an origin that takes a body as it comes, windows would be opened as fast as this client sends."""
    origin.takes_bodies.clear()
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), Http2(edge.tls, authority.trusting()) as client:
        stream = client.stream()
        client.send(client.headers(stream, client.head("/never", method="POST"), "END_HEADERS"))
        data = DataFrame(stream, b"x" * 16_384).serialize()
        # Far more than any window of the edge, and what sockets on the way to the origin hold.
        client.flood([data] * 4000)
        # RFC 9113 section 6.9.1: which it is depends on the window that is full first.
        ends = (frame for frame in iter(client.frame, None) if isinstance(frame, GoAwayFrame | RstStreamFrame))
        assert next(ends).error_code == FLOW_CONTROL_ERROR
