"""Origins that answer wrongly: the client sees it, nothing is kept, and the connection is not used again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration import corpus
from tests.integration.conftest import Serve
from tests.integration.corpus import Response
from tests.integration.recorder import Raw, Recorder
from tests.integration.wire import Broken, Reply, Wire, request

from bodega.config import EdgeSettings
from bodega.distributions import Behavior, CachePolicy, Distribution, HttpOrigin
from bodega.edge import EdgeServer

SOUND = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nCache-Control: no-store\r\n\r\nsound")


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def edge(recorder: Recorder) -> Iterator[EdgeServer]:
    """One edge for the whole corpus. It keeps whatever does not say that it must not."""
    edge = EdgeServer(
        distribution=keeping(recorder), settings=EdgeSettings(listen="127.0.0.1:0", threads=1, admin="off")
    )
    yield edge.start()
    edge.stop("2s")


def keeping(recorder: Recorder) -> Distribution:
    origin = HttpOrigin(recorder.url, attempts=1)
    return Distribution("site", behaviors=[Behavior(origin=origin, policy=CachePolicy(default_ttl="1h"))])


@pytest.mark.parametrize("wrong", corpus.responses())
def test_the_corpus_is_seen_through(edge: EdgeServer, recorder: Recorder, wrong: Response) -> None:
    path = "/" + wrong.name.replace(" ", "-").replace(",", "")
    recorder.answer(Raw(wrong.sent, closes=wrong.closes, after=wrong.after), SOUND)
    with Wire(edge.url) as wire:
        reply = read(wire.send(request(path, method=wrong.method)), wrong.method)
    if wrong.expect == "broken":
        # Whether the head had gone out is up to how the bytes came; that it is not whole must be seen.
        assert reply is None or reply.status == 502, f"looks whole: {reply}"
    else:
        assert reply is not None
        assert (reply.status, reply.body) == (wrong.expect, reply.body if wrong.expect == 502 else wrong.body.encode())
    if reply is not None and reply.status == 502:
        assert reply["Cache-Control"] == "no-store"
        assert reply["Proxy-Status"].startswith("bodega; error=http_")

    first = recorder.connections[0]
    if wrong.after:
        first.released.set()
        assert first.followed.wait(30)
    with Wire(edge.url) as wire:
        assert wire.get(path).body == b"sound", "the first answer was kept, or its connection used again"
    assert [each.received.count(b"\r\n\r\n") for each in recorder.connections] == [1, 1]
    assert edge.stats().n_entries == 0


def read(wire: Wire, method: str) -> Reply | None:
    """Read an answer; None if it is not whole."""
    try:
        return wire.reply(method)
    except Broken:
        return None


def test_an_answer_that_is_sound_would_be_kept(serve: Serve, recorder: Recorder) -> None:
    """So that `n_entries == 0` above means something."""
    edge = serve(keeping(recorder))
    recorder.answer(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), SOUND)
    for _ in range(2):
        with Wire(edge.url) as wire:
            assert wire.get("/kept").body == b"ok"
    assert edge.stats().n_entries == 1


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(corpus.responses()) > 80
