"""What could be read in two ways, or is over a limit, is refused and never reaches an origin."""

from __future__ import annotations

import pytest
from tests.integration.conftest import Serve, site
from tests.integration.wire import Wire, get, request

from bodega.testing import Answer, Origin, wait_until

HOST = b"Host: e\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: e\r\n\r\n"


def post(*lines: bytes, version: bytes = b"1.1") -> bytes:
    return b"POST /a HTTP/" + version + b"\r\n" + b"".join(lines) + b"\r\n" + SMUGGLED


AMBIGUOUS = {
    "length and coding": post(HOST, b"Content-Length: 4\r\n", CHUNKED),
    "coding and length": post(HOST, CHUNKED, b"Content-Length: 4\r\n"),
    "two lengths that differ": post(HOST, b"Content-Length: 4\r\n", b"Content-Length: 5\r\n"),
    "two lengths that agree": post(HOST, b"Content-Length: 4\r\n", b"Content-Length: 4\r\n"),
    "a list of lengths": post(HOST, b"Content-Length: 4, 4\r\n"),
    "a length with a sign": post(HOST, b"Content-Length: +4\r\n"),
    "a negative length": post(HOST, b"Content-Length: -4\r\n"),
    "a length in hexadecimal": post(HOST, b"Content-Length: 0x4\r\n"),
    "an empty length": post(HOST, b"Content-Length:\r\n"),
    "a length over 64 bits": post(HOST, b"Content-Length: 18446744073709551616\r\n"),
    "a length with spaces within": post(HOST, b"Content-Length: 1 0\r\n"),
    "two hosts that differ": post(HOST, b"Host: f\r\n", b"Content-Length: 0\r\n"),
    "two hosts that agree": post(HOST, HOST, b"Content-Length: 0\r\n"),
    "no host": post(b"Content-Length: 0\r\n"),
    "an empty host": post(b"Host:\r\n", b"Content-Length: 0\r\n"),
    "a host with a path": post(b"Host: e/a\r\n", b"Content-Length: 0\r\n"),
    "a host with a user": post(b"Host: u@e\r\n", b"Content-Length: 0\r\n"),
    "a list of hosts": post(b"Host: e, f\r\n", b"Content-Length: 0\r\n"),
    "a folded line": post(HOST, b"X-A: 1\r\n", b" folded\r\n", b"Content-Length: 0\r\n"),
    "a folded coding": post(HOST, b"Transfer-Encoding:\r\n", b" chunked\r\n"),
    "a first line that is folded": post(b" ", HOST, b"Content-Length: 0\r\n"),
    "bare line feeds": b"POST /a HTTP/1.1\nHost: e\nContent-Length: 0\n\n" + SMUGGLED,
    "one bare line feed": post(b"Host: e\n", b"Content-Length: 0\r\n"),
    "a line feed in a value": post(HOST, b"X-A: 1\nTransfer-Encoding: chunked\r\n"),
    "a bare carriage return in a value": post(HOST, b"X-A: 1\rTransfer-Encoding: chunked\r\n"),
    "a bare carriage return in a name": post(HOST, b"X\rA: 1\r\n"),
    "two carriage returns": post(HOST, b"X-A: 1\r\r\n"),
    "a space before the colon": post(HOST, b"Transfer-Encoding : chunked\r\n"),
    "a tab before the colon": post(HOST, b"Content-Length\t: 4\r\n"),
    "a space within a name": post(HOST, b"X A: 1\r\n"),
    "a name that is empty": post(HOST, b": 1\r\n"),
    "no colon": post(HOST, b"Transfer-Encoding\r\n"),
    "a coding that is unknown": post(HOST, b"Transfer-Encoding: gzip\r\n"),
    "gzip before chunked": post(HOST, b"Transfer-Encoding: gzip, chunked\r\n"),
    "chunked before gzip": post(HOST, b"Transfer-Encoding: chunked, gzip\r\n"),
    "identity": post(HOST, b"Transfer-Encoding: identity\r\n"),
    "chunked twice": post(HOST, CHUNKED, CHUNKED),
    "chunked twice in one line": post(HOST, b"Transfer-Encoding: chunked, chunked\r\n"),
    "chunked with a parameter": post(HOST, b"Transfer-Encoding: chunked;a=b\r\n"),
    "chunked with a tail": post(HOST, b"Transfer-Encoding: xchunked\r\n"),
    "chunked in quotes": post(HOST, b'Transfer-Encoding: "chunked"\r\n'),
    "chunked after a vertical tab": post(HOST, b"Transfer-Encoding: \x0bchunked\r\n"),
    "an empty coding": post(HOST, b"Transfer-Encoding:\r\n"),
    "a coding in HTTP/1.0": post(HOST, CHUNKED, version=b"1.0"),
    "a coding in HTTP/1.0 to be kept": post(HOST, b"Connection: keep-alive\r\n", CHUNKED, version=b"1.0"),
    "a zero byte in a value": post(HOST, b"X-A: \0\r\n"),
    "a zero byte in a name": post(HOST, b"X\0A: 1\r\n"),
    "a zero byte in the target": b"GET /a\0 HTTP/1.1\r\nHost: e\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: e\r\n\r\n",
    "a fragment in the target": b"GET /a#b HTTP/1.1\r\nHost: e\r\n\r\n",
    "a target that is no path": b"GET a HTTP/1.1\r\nHost: e\r\n\r\n",
    "an authority as the target": b"GET e:80 HTTP/1.1\r\nHost: e\r\n\r\n",
    "no version": b"GET /a\r\nHost: e\r\n\r\n",
    "a version that is none": b"GET /a HTTP/x\r\nHost: e\r\n\r\n",
    "two spaces": b"GET  /a HTTP/1.1\r\nHost: e\r\n\r\n",
    "a method that is no token": b"G(T /a HTTP/1.1\r\nHost: e\r\n\r\n",
    "TLS on a port without": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n",
}


@pytest.mark.parametrize("bytes_sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_could_be_smuggled_is_400_and_ends_the_connection(serve: Serve, origin: Origin, bytes_sent: bytes) -> None:
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        reply = wire.send(bytes_sent).reply()
        assert (reply.status, reply["Connection"]) == (400, "close")
        assert wire.is_ended()
    assert origin.n_started == 0
    assert edge.stats().by_outcome["refused"] == 1


def test_chunked_is_one_coding_however_it_is_written(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        for written in (b"Chunked", b" chunked ", b"CHUNKED\t"):
            wire.send(b"POST /a HTTP/1.1\r\nHost: e\r\nTransfer-Encoding:" + written + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            assert wire.reply().status == 200
    assert {each.body for each in origin.requests} == {b"abc"}
    assert {each.header("transfer-encoding") for each in origin.requests} == {"chunked"}


CHUNKS = {
    "a size that is no number": b"x\r\nabc\r\n0\r\n\r\n",
    "a size with a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "a size with a prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a size over 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a bare line feed after the size": b"3\nabc\r\n0\r\n\r\n",
    "a bare carriage return after the size": b"3\rabc\r\n0\r\n\r\n",
    "more bytes than the size says": b"3\r\nabcd\r\n0\r\n\r\n",
    "a bare line feed after the bytes": b"3\r\nabc\n0\r\n\r\n",
    "a bare line feed in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS.keys())
def test_malformed_chunks_end_the_connection_and_never_look_whole_to_the_origin(
    serve: Serve, origin: Origin, chunks: bytes
) -> None:
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        wire.send(b"POST /a HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n", chunks, request("/next"))
        assert wire.reply().status == 400
        assert wire.is_ended()
    assert origin.n_requests == 0


def test_a_request_that_was_refused_does_not_hurt_those_before_it(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        wire.send(request("/a"), request("/b"), AMBIGUOUS["length and coding"])
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
