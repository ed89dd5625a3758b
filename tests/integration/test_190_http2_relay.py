"""The relay by which suites that speak HTTP/1.1 ask an edge over HTTP/2: what it may not change."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.certificates import make_authority
from tests.integration.conftest import Serve
from tests.integration.wire import Broken, Wire, request

from bodega.testing import Answer, Origin, free_port, wait_until


@pytest.fixture
def relayed(origin: Origin, serve: Serve, tmp_path: Path) -> Iterator[str]:
    certificate, _ = make_authority().issue("localhost").write(tmp_path, "site")
    edge = serve(origin, tls=str(certificate))
    port = free_port()
    address = urlsplit(edge.tls_url or "").netloc
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-m", "tests.conformance.http2_relay", str(port), address], cwd=root)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url))
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with Wire(url):
            return True
    except OSError:
        return False


def test_requests_and_answers_are_the_same_behind_it(relayed: str, origin: Origin) -> None:
    large = bytes(range(256)) * 1024
    origin.on("/large", lambda _: Answer(large))
    origin.on("/echo", lambda asked: Answer(asked.body, headers={"X-Method": asked.method}))
    with Wire(relayed) as wire:
        assert wire.get("/a").body == b"/a"
        assert wire.get("/a").is_hit
        assert wire.get("/large").body == large
        wire.send(request("/echo", method="POST", body=large))
        reply = wire.reply()
    assert (reply.body, reply["x-method"]) == (large, "POST")
    assert (origin.requests[0].header("via") or "").startswith("2 ")


def test_an_answer_that_breaks_off_breaks_off(relayed: str, origin: Origin) -> None:
    origin.on("/short", lambda _: Answer(b"a" * 1000, break_after=100))
    with Wire(relayed) as wire, pytest.raises(Broken):
        wire.get("/short")
