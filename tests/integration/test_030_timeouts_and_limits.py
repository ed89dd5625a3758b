"""Clients that are slow, idle, silent or many: each is let go in time, and none disturbs the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.integration.conftest import KEPT, Serve, site
from tests.integration.wire import Wire, get, request

from bodega.distributions import CachePolicy
from bodega.testing import Answer, Origin, wait_until

LARGE = b"0123456789abcdef" * (1 << 20)


@contextmanager
def took_less_than(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def test_a_head_that_does_not_come_whole_is_408_and_ends(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, header_timeout="300ms")
    with Wire(edge.url) as wire, took_less_than(8):
        wire.send(b"GET /a HTTP/1.1\r\nHost: e\r\n")
        reply = wire.reply()
        assert (reply.status, reply["Connection"]) == (408, "close")
        assert wire.is_ended()
    assert origin.n_requests == 0


def test_a_head_that_comes_byte_by_byte_has_the_same_time(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, header_timeout="300ms")
    with Wire(edge.url) as wire:
        ended = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(0.05):
                    wire.send(b"X-A: 1\r\n")

        wire.send(b"GET /a HTTP/1.1\r\nHost: e\r\n")
        dripping = threading.Thread(target=drip)
        dripping.start()
        with took_less_than(8):
            wire.rest()
        ended.set()
        dripping.join()
    wait_until(lambda: edge.stats().connections == 0)


def test_half_a_head_behind_a_request_to_the_origin_times_out_like_any_other(serve: Serve, origin: Origin) -> None:
    """Half a head that came with the request before it was waited for without end."""
    edge = serve(origin, header_timeout="300ms")
    for before in ("/cold", "/cold"):
        with Wire(edge.url) as wire, took_less_than(8):
            wire.send(request(before), b"GET /a HTTP/1.1\r\nHost:")
            assert wire.reply().status == 200
            assert wire.reply().status == 408
            assert wire.is_ended()


def test_an_idle_connection_is_closed_without_an_answer(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, idle_timeout="300ms")
    with Wire(edge.url) as fresh, Wire(edge.url) as used, took_less_than(8):
        assert used.get("/a").status == 200
        assert used.is_ended()
        assert fresh.is_ended()
    wait_until(lambda: edge.stats().connections == 0)


def test_a_connection_that_is_used_is_not_idle(serve: Serve, origin: Origin) -> None:
    gate = threading.Event()
    origin.on("/slow", Answer(b"slow", before=gate, headers=KEPT))
    edge = serve(origin, idle_timeout="200ms", header_timeout="200ms", body_timeout="200ms", write_timeout="200ms")
    with Wire(edge.url) as waiting:
        waiting.send(request("/slow"))
        with Wire(edge.url) as idle:
            assert idle.is_ended(), "by then the other has waited longer than every timeout"
        gate.set()
        assert waiting.reply().body == b"slow"


def test_a_body_that_stalls_is_given_up_and_never_looks_whole_to_the_origin(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, policy="none"), body_timeout="300ms")
    with Wire(edge.url) as wire, took_less_than(8):
        wire.send(b"POST /a HTTP/1.1\r\nHost: e\r\nContent-Length: 10\r\n\r\nabc")
        assert wire.reply().status in (400, 408)
        assert wire.is_ended()
    wait_until(lambda: origin.n_open == 0)
    assert origin.n_requests == 0


def test_a_client_that_reads_nothing_is_let_go(serve: Serve, origin: Origin) -> None:
    origin.on("/large", Answer(LARGE, headers=KEPT))
    edge = serve(origin, write_timeout="300ms")
    assert get(edge.url, "/large").body == LARGE
    with Wire(edge.url, receive_buffer=4096) as wire:
        wire.send(request("/large"))
        wire.head()
        wait_until(lambda: edge.stats().connections == 0)
        wire.rest()


def test_a_client_that_reads_slowly_but_steadily_gets_everything(serve: Serve, origin: Origin) -> None:
    origin.on("/large", Answer(LARGE[: 4 << 20], headers=KEPT))
    edge = serve(origin, write_timeout="1s")
    get(edge.url, "/large")
    with Wire(edge.url, receive_buffer=16_384) as wire:
        assert wire.get("/large").body == LARGE[: 4 << 20]


def test_one_slow_client_does_not_disturb_others(serve: Serve, origin: Origin) -> None:
    origin.on("/large", Answer(LARGE, headers=KEPT))
    edge = serve(origin)
    get(edge.url, "/large")
    get(edge.url, "/a")
    with Wire(edge.url, receive_buffer=4096) as reads_nothing, Wire(edge.url) as sends_slowly:
        reads_nothing.send(request("/large")).head()
        sends_slowly.send(b"GET /a HTT")
        with Wire(edge.url) as wire, took_less_than(8):
            for _ in range(500):
                assert wire.get("/a").is_hit


def test_one_slow_reader_of_a_fill_that_is_kept_does_not_hold_up_the_others(serve: Serve, origin: Origin) -> None:
    gate = threading.Event()
    origin.on("/large", Answer([LARGE[: 8 << 20], gate, LARGE[8 << 20 :]], headers=KEPT))
    edge = serve(origin, memory="256MB")
    with Wire(edge.url, receive_buffer=4096) as slow, Wire(edge.url) as quick:
        slow.send(request("/large")).head()
        quick.send(request("/large")).head()
        gate.set()
        with took_less_than(8):
            assert quick.exactly(len(LARGE)) == LARGE
    assert origin.n_requests == 1


@pytest.mark.timeout(150)
def test_one_slow_reader_of_a_fill_that_is_not_kept_is_left_behind(serve: Serve, origin: Origin) -> None:
    """The fill went on waiting for a reader that it had left behind, until that one's connection timed out."""
    gate = threading.Event()
    origin.on("/large", Answer([LARGE[: 1 << 20], gate, LARGE[1 << 20 :]], headers=KEPT))
    edge = serve(site(origin, policy=CachePolicy(max_object="1MB")), fill_window="2MiB", write_timeout="10m")
    # A window that was full for long is probed by the sender's kernel ever more rarely: the end may take its time.
    with Wire(edge.url, receive_buffer=65_536, timeout_seconds=90) as slow, Wire(edge.url) as quick:
        slow.send(request("/large")).head()
        # Both read along before the window moves: who comes later begins a fetch of its own.
        quick.send(request("/large")).head()
        gate.set()
        with took_less_than(25):
            assert quick.exactly(len(LARGE)) == LARGE
        assert len(slow.rest()) < len(LARGE)
    assert origin.n_requests == 1


def test_one_connection_too_many_is_closed_and_counted(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, max_connections=3)
    wires = [Wire(edge.url) for _ in range(3)]
    for wire in wires:
        assert wire.get("/a").status == 200
    with Wire(edge.url) as refused:
        assert refused.is_ended()
    assert 'cdn_connections_refused_total{region="local",limit="total"} 1' in edge.prometheus()
    wires.pop().close()
    wait_until(lambda: edge.stats().connections == 2)
    assert get(edge.url, "/a").status == 200
    for wire in wires:
        assert wire.get("/a").status == 200
        wire.close()


def test_one_client_cannot_take_the_places_of_all(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, max_connections_per_client=2)
    with Wire(edge.url, source="127.0.0.2") as first, Wire(edge.url, source="127.0.0.2") as second:
        assert first.get("/a").status == second.get("/a").status == 200
        with Wire(edge.url, source="127.0.0.2") as refused:
            assert refused.is_ended()
        with Wire(edge.url, source="127.0.0.3") as other:
            assert other.get("/a").status == 200
    assert 'cdn_connections_refused_total{region="local",limit="client"} 1' in edge.prometheus()


def test_five_hundred_idle_connections_cost_the_others_nothing(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    wires = [Wire(edge.url) for _ in range(500)]
    wait_until(lambda: edge.stats().connections == 500)
    assert all(wire.get("/a").body == b"/a" for wire in wires)
    for wire in wires:
        wire.close()
    wait_until(lambda: edge.stats().connections == 0)


def test_a_drain_answers_those_who_have_connected_already(serve: Serve, origin: Origin) -> None:
    """Connections taken from the queue while draining were closed before their request was read."""
    gate = threading.Event()
    origin.on("/slow", Answer(b"slow", before=gate, headers=KEPT))
    edge = serve(origin)
    get(edge.url, "/a")
    with Wire(edge.url) as under_way:
        under_way.send(request("/slow"))
        wait_until(lambda: origin.n_requests == 2)
        wires = [Wire(edge.url).send(request("/a")) for _ in range(50)]
        draining = threading.Thread(target=edge.stop)
        draining.start()
        replies = [wire.reply() for wire in wires]
        assert {reply.status for reply in replies} == {200}
        gate.set()
        assert under_way.reply().body == b"slow"
    for wire in wires:
        wire.close()
    draining.join()
    assert not edge.is_running


def test_a_drain_tells_clients_to_go_and_takes_no_new_ones(serve: Serve, origin: Origin) -> None:
    gate = threading.Event()
    origin.on("/slow", Answer(b"slow", before=gate, headers=KEPT))
    edge = serve(origin)
    url = edge.url
    with Wire(url) as under_way, Wire(url) as idle:
        assert idle.get("/a").status == 200
        under_way.send(request("/slow"))
        wait_until(lambda: origin.n_requests == 2)
        draining = threading.Thread(target=edge.stop)
        draining.start()
        assert idle.is_ended()
        gate.set()
        reply = under_way.reply()
        assert (reply.body, reply["Connection"]) == (b"slow", "close")
    draining.join()
    with pytest.raises(ConnectionRefusedError):
        Wire(url)
