"""Clients that are slow on purpose: slowhttptest with and without TLS, and what it cannot do: the same over HTTP/2."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame
from tests.certificates import Authority
from tests.integration.bystander import MIB, holds_out
from tests.integration.conftest import KEPT, Front
from tests.integration.http2 import PREFACE, Ended, Http2

from bodega.testing import Answer, Origin, wait_until

LARGE = b"0123456789abcdef" * (1 << 18)
N_CONNECTIONS = 200


@pytest.fixture
def origin() -> Iterator[Origin]:
    over = threading.Event()
    with Origin({"/a": Answer(b"/a", headers=KEPT), "*": Answer(b"late", before=over)}) as origin:
        origin.on("/large", Answer(LARGE, headers=KEPT))
        yield origin
        over.set()


SLOW = {
    "heads": (("-H", "-i", "1"), True),
    # A piece a second is within the time between pieces: what such clients hold is bounded, and they are few.
    "bodies": (("-B", "-i", "1"), False),
    "reads": (("-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5"), False),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("slow", SLOW)
def test_slow_clients_take_nothing_from_others(
    front: Front, origin: Origin, authority: Authority, slow: str, scheme: str
) -> None:
    program = shutil.which("slowhttptest")
    assert program, "`make test` installs it"
    options, all_are_ended = SLOW[slow]
    times: dict[str, Any] = {f"{name}_timeout_seconds": 2.0 for name in ("header", "body", "write")}
    edge = front(origin, **times)
    url = f"{edge.tls if scheme == 'https' else edge.url}/large"
    with holds_out(edge, authority.trusting(), more_bytes=48 * MIB):
        done = subprocess.run(
            [
                *(program, *options, "-c", str(N_CONNECTIONS), "-r", str(N_CONNECTIONS), "-p", "10"),
                *("-l", "40" if all_are_ended else "5", "-u", url),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
        assert "service available:   YES" in said
        assert "service available:   NO" not in said
        assert ("No open connections left" in said) == all_are_ended
        # The bystander has two.
        wait_until(lambda: edge.stats()["connections"] == 2)


def test_a_preface_that_does_not_come_whole_ends_in_time(front: Front, origin: Origin, authority: Authority) -> None:
    edge = front(origin, header_timeout_seconds=1.0)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), ExitStack() as stack:
        clients = [stack.enter_context(Http2(edge.tls, authority.trusting(), preface=False)) for _ in range(50)]
        for n, client in enumerate(clients):
            client.raw(PREFACE[: n % len(PREFACE)])
        for client in clients:
            client.goodbye()


def test_a_head_in_pieces_that_do_not_come_ends_in_time(front: Front, origin: Origin, authority: Authority) -> None:
    edge = front(origin, idle_timeout_seconds=1.0)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), ExitStack() as stack:
        clients = [stack.enter_context(Http2(edge.tls, authority.trusting())) for _ in range(50)]
        for client in clients:
            client.send(HeadersFrame(client.stream(), client.encode(client.head("/b")), flags=["END_STREAM"]))
        for client in clients:
            client.goodbye()


def test_a_head_that_comes_piece_by_piece_has_the_same_time(front: Front, origin: Origin, authority: Authority) -> None:
    edge = front(origin, idle_timeout_seconds=1.0)
    n_sent, pause = 0, threading.Event()
    with Http2(edge.tls, authority.trusting()) as client:
        stream = client.stream()
        client.send(HeadersFrame(stream, client.encode(client.head("/b")), flags=["END_STREAM"]))
        piece = ContinuationFrame(stream, b"\x00\x01x\x01v")
        # 250 pieces are within the number that is allowed; what ends this is its time.
        with suppress(Ended):
            for _ in range(250):
                client.send(piece)
                n_sent += 1
                if client.flood([]).was_ended:
                    break
                pause.wait(0.05)
    assert n_sent < 250
    assert origin.n_requests == 0


def test_a_body_that_stalls_is_given_up(front: Front, origin: Origin, authority: Authority) -> None:
    edge = front(origin, policy="none", body_timeout_seconds=1.0)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), ExitStack() as stack:
        clients = [stack.enter_context(Http2(edge.tls, authority.trusting())) for _ in range(10)]
        streams = []
        for client in clients:
            stream = client.stream()
            head = client.head("/never", ("content-length", "1000"), method="POST")
            client.send(client.headers(stream, head, "END_HEADERS"), DataFrame(stream, b"x" * 100))
            streams.append(stream)
        for client, stream in zip(clients, streams, strict=True):
            answer = client.answer(stream)
            assert answer.reset is not None or answer.status in (400, 408)
            assert client.ask("/a").status == 200


def test_a_connection_that_is_used_is_not_idle(front: Front, origin: Origin, authority: Authority) -> None:
    """Hits begin and end within one turn: they did not count as use."""
    edge = front(origin, idle_timeout_seconds=1.0)
    with Http2(edge.tls, authority.trusting()) as idle, Http2(edge.tls, authority.trusting()) as used:
        waiting = threading.Thread(target=idle.goodbye)
        waiting.start()
        # Once the idle one has been ended, the used one has lasted as long; and then that time again.
        for _ in range(2):
            began = time.monotonic()
            while waiting.is_alive() or time.monotonic() - began < 1.5:
                assert used.ask("/a").status == 200
                waiting.join(0.05)


def test_an_idle_connection_is_told_that_it_ends(front: Front, origin: Origin, authority: Authority) -> None:
    edge = front(origin, idle_timeout_seconds=1.0)
    with Http2(edge.tls, authority.trusting()) as used, Http2(edge.tls, authority.trusting()) as fresh:
        assert used.ask("/a").status == 200
        for client in (used, fresh):
            goodbye = client.goodbye()
            assert goodbye is not None
            assert goodbye.error_code == 0
    wait_until(lambda: edge.stats()["connections"] == 0)
