"""A successor takes the listeners over while streams are under way: they finish, and their client is told to go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hyperframe.frame import GoAwayFrame
from tests.certificates import Authority
from tests.integration.http2 import NO_ERROR, Http2

if TYPE_CHECKING:
    from tests.integration.edge.conftest import EdgeCommand, Origin, Wait

Start = Callable[..., "EdgeCommand"]


def tls_url(edge: EdgeCommand) -> str:
    [url] = [str(url) for url in edge.said["listening"] if url.startswith("https:")]
    return url


def test_streams_under_way_finish_with_the_predecessor(
    origin: Origin, command: Start, authority: Authority, tmp_path: Path, wait_until: Wait
) -> None:
    pair = authority.sign("edge.test")
    options = ("--origin", origin.url, "--tls", pair.certificate)
    old = command(*options, "--listen", ":0")
    with Http2(tls_url(old), authority.trusting()) as client:
        slow = client.get("/slow")
        wait_until(lambda: origin.seen == ["GET /slow"])
        new = command(*options, "--take-over", str(old.pid))
        goodbye = client.until(GoAwayFrame)
        assert isinstance(goodbye, GoAwayFrame)
        assert goodbye.error_code == NO_ERROR
        assert old.process.poll() is None
        with Http2(tls_url(new), authority.trusting()) as other:
            assert other.ask("/a").body == b"hello"
        origin.release.set()
        assert client.answer(slow).body == b"hello"
        last = client.goodbye()
        assert last is None or (last.error_code, last.last_stream_id) == (NO_ERROR, slow)
    assert old.process.wait(40) == 0
