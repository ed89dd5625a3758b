"""Floods of frames that ask for work and carry none: cut, counted by kind, bounded in memory, unnoticed by others.

Each sends far more than any client needs; `docs/concepts/attacks.md` names the limits.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import repeat

import pytest
from hyperframe.frame import (
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from tests.certificates import Authority
from tests.integration.bystander import MIB, holds_out
from tests.integration.conftest import KEPT, Front
from tests.integration.http2 import CANCEL, ENHANCE_YOUR_CALM, Ended, Http2, extension

from bodega.testing import Answer, Origin, wait_until

N_TIMES = 2_000_000
"""A flood that is not cut goes on until then: more than all buffers between client and edge can hold."""


def again(*frames: object) -> Callable[[Http2], Iterable[bytes]]:
    octets = b"".join(frame.serialize() for frame in frames)  # type: ignore[attr-defined]
    return lambda _client: repeat(octets, N_TIMES)


def on_a_request(make: Callable[[int], bytes]) -> Callable[[Http2], Iterable[bytes]]:
    """Open a request that goes on, then the same frames for it again and again."""

    def pieces(client: Http2) -> Iterator[bytes]:
        stream = client.stream()
        yield client.headers(stream, client.head("/never", method="POST"), "END_HEADERS").serialize()
        yield from repeat(make(stream), N_TIMES)

    return pieces


def priority_update(stream: int) -> bytes:
    """RFC 9218 section 7.1."""
    return extension(0x10, struct.pack(">I", stream) + b"u=1")


FLOODS: dict[str, tuple[str, Callable[[Http2], Iterable[bytes]]]] = {
    "settings": ("settings", again(SettingsFrame(0, {4: 65_535}))),
    "settings that change the window of every stream": (
        "settings",
        again(SettingsFrame(0, {4: 1}), SettingsFrame(0, {4: 1 << 20})),
    ),
    "settings that change the table": ("settings", again(SettingsFrame(0, {1: 0}), SettingsFrame(0, {1: 4096}))),
    "empty settings": ("settings", again(SettingsFrame(0))),
    "pings": ("ping", again(PingFrame(0, b"12345678"))),
    "answers to pings that were not sent": ("ping", again(PingFrame(0, b"12345678", flags=("ACK",)))),
    "window updates of the connection": ("window_update", again(WindowUpdateFrame(0, 1))),
    "window updates of a stream": (
        "window_update",
        on_a_request(lambda stream: WindowUpdateFrame(stream, 1).serialize()),
    ),
    "priorities": ("priority", again(PriorityFrame(1, depends_on=0, stream_weight=1))),
    "priorities of streams that are not there": (
        "priority",
        lambda _client: (PriorityFrame(2 * n + 1).serialize() for n in range(N_TIMES)),
    ),
    "priority updates": ("priority", lambda _client: repeat(priority_update(1), N_TIMES)),
    "empty data": ("empty_data", on_a_request(lambda stream: DataFrame(stream, b"").serialize())),
    "frames of an unknown type": (
        "unknown_frames",
        lambda _client: repeat(extension(0xEE, b"x" * 100), N_TIMES),
    ),
}


@pytest.fixture
def origin() -> Iterator[Origin]:
    """Answers `/a` at once, and all else only when the test is over."""
    over = threading.Event()
    with Origin({"/a": Answer(b"/a", headers=KEPT), "*": Answer(b"late", before=over)}) as origin:
        yield origin
        over.set()


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_cut_and_counted(front: Front, origin: Origin, authority: Authority, flood: str) -> None:
    kind, pieces = FLOODS[flood]
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=24 * MIB), Http2(edge.tls, authority.trusting()) as client:
        flooded = client.flood(pieces(client))
        goodbye = client.goodbye()
    assert flooded.was_ended
    assert goodbye is None or goodbye.error_code == ENHANCE_YOUR_CALM
    wait_until(lambda: edge.count("cdn_http2_misuses_total", kind=kind) == 1)
    assert edge.count("cdn_http2_misuses_total") == 1


def heads(client: Http2, write: Callable[[int], bytes]) -> Iterator[bytes]:
    """Open one stream after the other."""
    for _ in range(200_000):
        yield write(client.stream())


# What is counted is no kind of frame: the `h2` crate ends these connections.
OTHER_FLOODS: dict[str, Callable[[Http2], Iterable[bytes]]] = {
    "data that is all padding": on_a_request(
        lambda stream: DataFrame(stream, b"", flags=["PADDED"], pad_length=255).serialize()
    ),
    "streams over the limit": lambda client: heads(
        client, lambda stream: client.headers(stream, client.head("/never")).serialize()
    ),
    "heads without a field": lambda client: heads(
        client, lambda stream: HeadersFrame(stream, b"", flags=["END_HEADERS"]).serialize()
    ),
}


@pytest.mark.parametrize("flood", OTHER_FLOODS)
def test_a_flood_that_is_no_single_kind_is_cut(front: Front, origin: Origin, authority: Authority, flood: str) -> None:
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=24 * MIB), Http2(edge.tls, authority.trusting()) as client:
        assert client.flood(OTHER_FLOODS[flood](client)).was_ended
    wait_until(lambda: edge.count("cdn_http2_misuses_total", kind="excess") == 1)
    assert edge.count("cdn_http2_misuses_total") == 1
    assert origin.n_requests <= 1 + 128


def test_streams_that_are_reset_as_soon_as_they_are_opened(front: Front, origin: Origin, authority: Authority) -> None:
    """CVE-2023-44487."""
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=24 * MIB), Http2(edge.tls, authority.trusting()) as client:
        flooded = client.flood(opened_and_reset(client, "/never"))
    assert flooded.was_ended
    wait_until(lambda: edge.count("cdn_http2_misuses_total", kind="rapid_reset") == 1)
    assert origin.n_requests < 2000


def opened_and_reset(client: Http2, path: str) -> Iterator[bytes]:
    for n in range(200_000):
        stream = client.stream()
        request = client.headers(stream, client.head(f"{path}?{n}"))
        yield request.serialize() + RstStreamFrame(stream, CANCEL).serialize()


def test_streams_that_are_reset_once_they_are_under_way(front: Front, origin: Origin, authority: Authority) -> None:
    """The reset comes when the origin has been asked: the work is taken back, and not without end."""
    # What nobody may keep is fetched for the one who asks, who takes the request along.
    edge = front(origin, policy="none")
    n_sent = 0
    with holds_out(edge, authority.trusting(), more_bytes=24 * MIB), Http2(edge.tls, authority.trusting()) as client:
        with suppress(Ended):
            for n in range(2000):
                stream = client.get(f"/never?{n}")
                wait_until_asked(origin, client, n + 1)
                client.send(RstStreamFrame(stream, CANCEL))
                n_sent += 1
        assert n_sent < 1000
    wait_until(lambda: origin.n_open < 10, what="that requests nobody waits for are given up")
    wait_until(lambda: edge.count("cdn_http2_misuses_total", kind="rapid_reset") == 1)


def wait_until_asked(origin: Origin, client: Http2, n_requests: int) -> None:
    """Wait until so many requests of the client came through; raises once the edge has ended its connection."""

    def came() -> bool:
        if client.flood([]).was_ended:
            raise Ended
        return sum(request.target != "/a" for request in origin.requests) >= n_requests

    wait_until(came)


def test_streams_that_are_reset_once_they_are_answered_are_free(
    front: Front, origin: Origin, authority: Authority
) -> None:
    """Who takes the beginning of an answer and cancels the rest is a browser."""
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=24 * MIB), Http2(edge.tls, authority.trusting()) as client:
        for _ in range(3000):
            stream = client.stream()
            client.send(client.headers(stream, client.head("/a")))
            client.until(DataFrame)
            client.send(RstStreamFrame(stream, CANCEL), WindowUpdateFrame(0, 2))
        assert client.ask("/a").status == 200
    assert edge.count("cdn_http2_misuses_total") == 0
