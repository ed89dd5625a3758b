"""Heads that cost more to read than to send: too long, too many, unfolded from a table, in endless pieces."""

from __future__ import annotations

from itertools import repeat

import pytest
from hyperframe.frame import ContinuationFrame, HeadersFrame
from tests.certificates import Authority
from tests.integration.bystander import MIB, holds_out
from tests.integration.conftest import Front
from tests.integration.http2 import Ended, Http2

from bodega.testing import Origin, wait_until

LIMIT = 64 << 10
"""`max_header` of these edges, which is the default."""


def refused(client: Http2, stream: int) -> int | str:
    """Return the status that refuses a request, or what else the edge did to it."""
    try:
        answer = client.answer(stream)
    except Ended as ended:
        return str(ended)
    return "reset" if answer.reset is not None else answer.status


Fields = list[tuple[str, str]]

HEADS: dict[str, Fields] = {
    "one field over the limit": [("x-long", "v" * LIMIT)],
    "a name over the limit": [("x" * (LIMIT - 10), "v")],
    "many fields over the limit": [(f"x-{n}", "v" * 1000) for n in range(70)],
    "too many fields": [(f"x-{n}", "v") for n in range(1000)],
    "too many cookie crumbs": [("cookie", f"a={n}") for n in range(1000)],
    "a path over the limit": [(":path", "/" + "p" * LIMIT)],
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_over_the_limits_is_refused_and_the_connection_goes_on(
    front: Front, origin: Origin, authority: Authority, head: str
) -> None:
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), Http2(edge.tls, authority.trusting()) as client:
        for _ in range(5):
            stream = client.stream()
            more = dict(HEADS[head]) if head == "a path over the limit" else {}
            fields = [(name, more.get(name, value)) for name, value in client.head("/b")]
            send_head(client, stream, [*fields, *(HEADS[head] if not more else [])])
            assert refused(client, stream) in (431, 414, 400, "reset")
        assert client.ask("/a").status == 200
    assert not any(asked.target == "/b" for asked in origin.requests)


def send_head(client: Http2, stream: int, fields: Fields) -> None:
    """Send a head in as many frames as it needs."""
    block = client.encode(fields)
    pieces = [block[start : start + 16_384] for start in range(0, len(block), 16_384)]
    first = HeadersFrame(stream, pieces[0], flags=["END_STREAM", *(["END_HEADERS"] if len(pieces) == 1 else [])])
    rest = [ContinuationFrame(stream, piece) for piece in pieces[1:]]
    if rest:
        rest[-1].flags.add("END_HEADERS")
    client.send(first, *rest)


@pytest.mark.parametrize("crumbs", [2, 60])
def test_cookie_crumbs_within_the_limits_are_one_field(
    front: Front, origin: Origin, authority: Authority, crumbs: int
) -> None:
    edge = front(origin, policy="none")
    with Http2(edge.tls, authority.trusting()) as client:
        assert client.ask("/b", *(("cookie", f"c{n}={n}") for n in range(crumbs))).status == 200
    [asked] = origin.requests
    assert asked.values("cookie") == ["; ".join(f"c{n}={n}" for n in range(crumbs))]


def test_a_block_that_unfolds_from_the_table_is_refused(front: Front, origin: Origin, authority: Authority) -> None:
    """4 KB in the table, named by one byte each: 16 KiB on the wire stand for 64 MB (CVE-2016-6581)."""
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), Http2(edge.tls, authority.trusting()) as client:
        assert client.ask("/a", ("x-bomb", "v" * 3900)).status == 200
        for _ in range(20):
            stream = client.stream()
            block = client.encode(client.head("/b"))
            # Section 6.1 of RFC 7541: index 62 is what was added to the table last.
            client.send(HeadersFrame(stream, block + b"\xbe" * 15_000, flags=["END_STREAM", "END_HEADERS"]))
            if not isinstance(refused(client, stream), int):
                break
    assert not any(asked.target == "/b" for asked in origin.requests)


# Section 6.2.2 of RFC 7541: a field that is not added to the table, its name "x" and its value as they are.
PIECES: dict[str, tuple[bytes, int]] = {
    "full": (b"\x00\x01x\x7f\x81\x7c" + b"v" * 16_000, 20_000),
    "small": (b"\x00\x01x\x01v", 2_000_000),
    "empty": (b"", 2_000_000),
}


@pytest.mark.parametrize("piece", PIECES)
def test_a_head_that_does_not_end_is_cut(front: Front, origin: Origin, authority: Authority, piece: str) -> None:
    """CVE-2024-27316: a header block in pieces without end."""
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), Http2(edge.tls, authority.trusting()) as client:
        stream = client.stream()
        client.send(HeadersFrame(stream, client.encode(client.head("/b")), flags=["END_STREAM"]))
        payload, n_times = PIECES[piece]
        octets = ContinuationFrame(stream, payload).serialize()
        assert client.flood(repeat(octets, n_times)).was_ended
    wait_until(lambda: edge.count("cdn_http2_misuses_total", kind="continuation") == 1)
    assert origin.requests[1:] == []
