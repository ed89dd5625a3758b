"""httpx with HTTP/2: requests at once on one connection, bodies in pieces in both directions."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.certificates import Authority
from tests.integration.conftest import KEPT, Front

from bodega.testing import Answer, Origin

LARGE = random.Random(5).randbytes(8 << 20)


@pytest.fixture
async def client(authority: Authority) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(http1=False, http2=True, verify=authority.trusting(), timeout=30) as client:
        yield client


async def test_requests_at_once_are_answered_each_with_its_own(
    front: Front, origin: Origin, client: httpx.AsyncClient
) -> None:
    edge = front(origin)
    paths = [f"/{n % 50}" for n in range(500)]
    answers = await asyncio.gather(*(client.get(f"{edge.tls}{path}") for path in paths))
    assert [answer.text for answer in answers] == paths
    assert {answer.http_version for answer in answers} == {"HTTP/2"}
    assert origin.n_requests == 50
    assert edge.count("cdn_tls_handshakes_total") == 1


async def test_a_stream_that_waits_holds_up_no_other(front: Front, origin: Origin, client: httpx.AsyncClient) -> None:
    gate = threading.Event()
    origin.on("/slow", Answer(b"slow", before=gate, headers=KEPT))
    edge = front(origin)
    slow = asyncio.create_task(client.get(f"{edge.tls}/slow"))
    for _ in range(50):
        assert (await client.get(f"{edge.tls}/a")).text == "/a"
    assert not slow.done()
    gate.set()
    assert (await slow).text == "slow"


async def test_a_large_body_comes_in_pieces_and_whole(front: Front, origin: Origin, client: httpx.AsyncClient) -> None:
    origin.on("/large", Answer(LARGE, headers=KEPT))
    edge = front(origin)
    for _ in range(2):
        total, n_pieces = hashlib.sha256(), 0
        async with client.stream("GET", f"{edge.tls}/large") as answer:
            async for piece in answer.aiter_raw():
                total.update(piece)
                n_pieces += 1
        assert total.digest() == hashlib.sha256(LARGE).digest()
        assert n_pieces > 10
    assert origin.n_requests == 1


async def test_a_body_that_is_sent_in_pieces_arrives_whole(
    front: Front, origin: Origin, client: httpx.AsyncClient
) -> None:
    origin.on("/echo", lambda asked: Answer(hashlib.sha256(asked.body).hexdigest().encode()))
    edge = front(origin)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 100_000):
            yield LARGE[start : start + 100_000]

    answer = await client.post(f"{edge.tls}/echo", content=pieces())
    assert answer.text == hashlib.sha256(LARGE).hexdigest()
    [asked] = origin.requests
    assert len(asked.body) == len(LARGE)


async def test_an_answer_that_does_not_wait_for_the_body_arrives(
    front: Front, origin: Origin, client: httpx.AsyncClient
) -> None:
    edge = front(origin)
    origin.stop()
    asking = [client.post(f"{edge.tls}/{n}", content=LARGE[: 7 << 20]) for n in range(5)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    # Where a stream is closed between two of its writes httpx loses the answer that it has been sent.
    lost = [answer for answer in answers if isinstance(answer, httpx.LocalProtocolError)]
    came = [answer for answer in answers if answer not in lost]
    assert [answer.status_code for answer in came if isinstance(answer, httpx.Response)] == [502] * (5 - len(lost))
    assert came
    # The connection is of use afterwards.
    assert (await client.get(f"{edge.tls}/a")).status_code == 502
    assert lost or edge.count("cdn_tls_handshakes_total") == 1
