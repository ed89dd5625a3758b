"""How connections end when an edge does: who is under way is served to the end, and told to go elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame
from tests.certificates import Authority
from tests.integration.conftest import KEPT, Front
from tests.integration.edge_process import EdgeProcess
from tests.integration.http2 import NO_ERROR, Ended, Http2
from tests.integration.wire import Wire, request

from bodega.testing import Answer, Origin, wait_until

LARGE = b"0123456789abcdef" * (1 << 18)


@contextmanager
def draining(edge: EdgeProcess) -> Iterator[list[Any]]:
    """Drain the edge meanwhile; the list holds afterwards whether everything was finished in time."""
    said: list[Any] = []
    thread = threading.Thread(target=lambda: said.append(edge.call("drain", 30.0, False)))
    thread.start()
    yield said
    thread.join()


@pytest.fixture
def gate(origin: Origin) -> Iterator[threading.Event]:
    gate = threading.Event()
    origin.on("/slow", Answer(b"slow", before=gate, headers=KEPT))
    origin.on("/large", Answer([LARGE[:100_000], gate, LARGE[100_000:]], headers=KEPT))
    yield gate
    gate.set()


@pytest.mark.parametrize("receive_buffer", [None, 8192], ids=["quick", "slow"])
def test_streams_under_way_finish_and_the_client_is_told_to_go(
    front: Front, origin: Origin, authority: Authority, gate: threading.Event, receive_buffer: int | None
) -> None:
    """What the client still says while the last bytes are on their way must not take them away (a reset would)."""
    edge = front(origin)
    with Http2(edge.tls, authority.trusting(), receive_buffer=receive_buffer) as client:
        slow, large = client.get("/slow"), client.get("/large")
        wait_until(lambda: origin.n_requests == 2)
        with draining(edge) as drained:
            bodies = {slow: b"", large: b""}
            last = None
            with suppress(Ended):
                while True:
                    frame = client.frame()
                    with suppress(Ended):
                        client.behave(frame)
                    if isinstance(frame, DataFrame):
                        bodies[frame.stream_id] += frame.data
                    if isinstance(frame, GoAwayFrame):
                        last = frame
                        assert frame.error_code == NO_ERROR
                        assert frame.last_stream_id >= large
                        # It came before the streams have ended.
                        gate.set()
        assert drained == [True]
    assert last is not None
    assert last.last_stream_id == large
    assert bodies[slow] == b"slow"
    assert len(bodies[large]) == len(LARGE)
    assert bodies[large] == LARGE


def test_a_request_that_crosses_the_goodbye_is_answered_or_known_not_to_be(
    front: Front, origin: Origin, authority: Authority, gate: threading.Event
) -> None:
    """RFC 9113 section 6.8: streams over the last one named have not been looked at, and may be sent elsewhere."""
    edge = front(origin)
    with Http2(edge.tls, authority.trusting()) as client:
        client.get("/slow")
        wait_until(lambda: origin.n_requests == 1)
        with draining(edge):
            client.until(GoAwayFrame)
            late = client.get("/late")
            gate.set()
            last = client.goodbye()
        was_answered = any(asked.target == "/late" for asked in origin.requests)
        assert was_answered == (last is None or last.last_stream_id >= late)


def test_idle_connections_are_told_and_end_at_once(front: Front, origin: Origin, authority: Authority) -> None:
    edge = front(origin)
    with Http2(edge.tls, authority.trusting()) as client, Wire(edge.tls, tls=authority.trusting()) as wire:
        assert client.ask("/a").status == wire.get("/a").status == 200
        with draining(edge) as drained:
            goodbye = client.goodbye()
            assert wire.is_ended()
        assert drained == [True]
    assert goodbye is not None
    assert goodbye.error_code == NO_ERROR


def test_http1_over_tls_is_told_with_its_answer(
    front: Front, origin: Origin, authority: Authority, gate: threading.Event
) -> None:
    edge = front(origin)
    with Wire(edge.tls, tls=authority.trusting()) as wire:
        wire.send(request("/slow"))
        wait_until(lambda: origin.n_requests == 1)
        with draining(edge) as drained:
            # The listener is closed once the drain has begun.
            wait_until(lambda: not accepts(edge))
            gate.set()
            reply = wire.reply()
            assert (reply.status, reply.body, reply["Connection"]) == (200, b"slow", "close")
            assert wire.is_ended()
        assert drained == [True]


def accepts(edge: EdgeProcess) -> bool:
    try:
        Wire(edge.url).close()
    except OSError:
        return False
    return True
