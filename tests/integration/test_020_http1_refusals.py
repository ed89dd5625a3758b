"""What could be read in two ways, or is over a limit, is refused and never reaches an origin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tests.integration import corpus
from tests.integration.conftest import KEPT, Serve, site
from tests.integration.corpus import Request, Seen
from tests.integration.wire import Wire, get, request

from bodega.config import EdgeSettings
from bodega.edge import EdgeServer
from bodega.testing import Answer, Origin, Received, wait_until

SECOND = request("/smuggled")


@dataclass
class Gateway:
    """An edge and the origin behind it, the same for the whole corpus: the edge must live through it."""

    edge: EdgeServer
    origin: Origin


@contextmanager
def started() -> Iterator[Gateway]:
    settings = EdgeSettings(listen="127.0.0.1:0", threads=1, admin="off", max_header="4KiB", max_body="10KB")
    with Origin({"*": lambda request: Answer(request.target.encode(), headers=KEPT)}) as origin:
        edge = EdgeServer(distribution=site(origin, policy="none"), settings=settings).start()
        yield Gateway(edge, origin)
        edge.stop("2s")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with started() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def gateway_of_parts() -> Iterator[Gateway]:
    """Of its own, for nothing whole ever comes to its origin, however late."""
    with started() as gateway:
        yield gateway
        wait_until(lambda: gateway.origin.n_open == 0, what="the edge to let go of connections with half a request")
        assert gateway.origin.n_requests == 0


@pytest.mark.parametrize("bad", corpus.requests(lambda bad: bad.origin is None and bad.reaches == "nothing"))
def test_what_could_be_smuggled_is_refused_and_ends_the_connection(gateway: Gateway, bad: Request) -> None:
    n_started = gateway.origin.n_started
    assert_refused(gateway, bad)
    assert gateway.origin.n_started == n_started


@pytest.mark.parametrize("bad", corpus.requests(lambda bad: bad.reaches == "part"))
def test_malformed_chunks_end_the_connection_and_never_look_whole_to_the_origin(
    gateway_of_parts: Gateway, bad: Request
) -> None:
    assert_refused(gateway_of_parts, bad)
    assert gateway_of_parts.origin.n_requests == 0


@pytest.mark.parametrize("odd", corpus.requests(lambda bad: bad.origin is not None))
def test_what_is_odd_and_taken_has_one_meaning(gateway: Gateway, odd: Request) -> None:
    n_requests = gateway.origin.n_requests
    with Wire(gateway.edge.url) as wire:
        wire.send(odd.sent, SECOND)
        assert wire.reply().status == odd.expect == 200, odd.why
        assert wire.reply().body == b"/smuggled", "the request behind it is answered"
    assert odd.origin is not None
    assert_seen(gateway.origin.requests[n_requests:], odd.origin)


def assert_refused(gateway: Gateway, bad: Request) -> None:
    with Wire(gateway.edge.url) as wire:
        reply = wire.send(bad.sent, SECOND).reply()
        assert reply.status == bad.expect, bad.why
        assert reply["Connection"] == "close"
        assert wire.is_ended(), "the request behind it is not answered"
    assert reply["Cache-Control"] == "no-store"
    assert reply.body.startswith(f"{bad.expect} ".encode())


def assert_seen(seen: list[Received], expected: Seen) -> None:
    """Exactly two requests: the one, and the one behind it."""
    first, second = seen
    assert (second.method, second.target, second.body) == ("GET", "/smuggled", b"")
    assert (first.method, first.body) == (expected.method, expected.body.encode("latin-1"))
    assert expected.target in (None, first.target)
    for name, value in expected.headers.items():
        assert first.values(name) == ([value] if value else []), name


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    """A folder that is not found would be no failure otherwise."""
    names = [each.id for each in corpus.requests(lambda _: True)]
    assert len(names) == len(set(names))
    assert len(names) > 200


def test_a_request_that_was_refused_does_not_hurt_those_before_it(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        wire.send(request("/a"), request("/b"), b"GET /c HTTP/1.1\r\nHost: e\r\nHost: e\r\n\r\n")
        assert [wire.reply().body for _ in range(2)] == [b"/a", b"/b"]
        assert wire.reply().status == 400
        assert wire.is_ended()


def test_a_head_over_the_limit_is_431_and_its_body_says_so(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, max_header="4KiB")
    assert get(edge.url, "/a", f"X-A: {'a' * 3000}").status == 200
    reply = get(edge.url, "/a", f"X-A: {'a' * 5000}")
    assert (reply.status, reply["Connection"]) == (431, "close")
    assert reply.body.startswith(b"431 ")


def test_more_fields_than_the_limit_are_431(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    assert get(edge.url, "/a", *(f"X-{number}: 1" for number in range(60))).status == 200
    assert get(edge.url, "/a", *(f"X-{number}: 1" for number in range(200))).status == 431
    assert origin.n_requests == 1


def test_a_head_without_end_is_431_before_it_is_whole(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, max_header="4KiB")
    with Wire(edge.url) as wire:
        wire.send(b"GET /a HTTP/1.1\r\nHost: e\r\n", b"X-A: 1\r\n" * 1000)
        assert wire.reply().status == 431
        assert wire.is_ended()


def test_a_target_over_the_limit_is_414_and_its_body_says_so(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, max_header="4KiB")
    reply = get(edge.url, f"/{'a' * 3000}")
    assert (reply.status, reply["Connection"]) == (414, "close")
    assert reply.body.startswith(b"414 ")


def test_another_major_version_is_505_and_its_body_says_so(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    for version in (b"2.0", b"3.0"):
        with Wire(edge.url) as wire:
            reply = wire.send(b"GET /a HTTP/" + version + b"\r\nHost: e\r\n\r\n").reply()
            assert reply.status == 505
            assert reply.body.startswith(b"505 ")


def test_a_body_over_the_limit_is_413_before_it_is_read(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, policy="none"), max_body="10KB")
    with Wire(edge.url) as wire:
        reply = wire.send(request("/a", method="POST", body=b"a" * 10_001)).reply()
        assert reply.status == 413
        assert reply.body.startswith(b"413 ")
        assert wire.is_ended()
    assert origin.n_started == 0
    with Wire(edge.url) as wire:
        assert wire.send(request("/a", method="POST", body=b"a" * 10_000)).reply().status == 200


def test_a_chunked_body_over_the_limit_is_413_and_never_looks_whole_to_the_origin(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, policy="none"), max_body="10KB")
    with Wire(edge.url) as wire:
        wire.send(b"POST /a HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.send(*(b"3e8\r\n" + b"a" * 1000 + b"\r\n" for _ in range(11)), b"0\r\n\r\n")
        assert wire.reply().status == 413
        assert wire.is_ended()
    assert origin.n_requests == 0


def test_a_body_that_breaks_off_never_looks_whole_to_the_origin(serve: Serve, origin: Origin) -> None:
    origin.on("*", lambda request: Answer(request.body))
    edge = serve(site(origin, policy="none"))
    for framing in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
        with Wire(edge.url) as wire:
            wire.send(b"POST /a HTTP/1.1\r\nHost: e\r\n" + framing + b"\r\n\r\n3\r\nabc\r\n").end_sending()
            wire.rest()
    wait_until(lambda: edge.stats().n_requests == 2)
    wait_until(lambda: origin.n_open == 0, what="the edge to let go of connections with half a request on them")
    assert origin.n_requests == 0


def test_segments_of_dots_are_refused_before_they_are_matched(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    for target in ("/../a", "/a/../b", "/a/./b", "/a/%2e%2E/b", "/a/.%2e"):
        assert get(edge.url, target).status == 400
    assert origin.n_requests == 0
