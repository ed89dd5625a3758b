"""nghttp2's own client: streams at once, weights, no push, uploads; and h2load with many of them."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.conftest import KEPT, Front
from tests.integration.edge_process import EdgeProcess

from bodega.testing import Answer, Origin

BODY = bytes(range(256)) * 400


def run(program: str, *arguments: str) -> str:
    found = shutil.which(program)
    assert found, "`make test` installs it"
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout


def nghttp(edge: EdgeProcess, *arguments: str, paths: tuple[str, ...] = ("/a",)) -> str:
    return run(
        "nghttp", "--no-verify-peer", *arguments, *(f"https://127.0.0.1:{edge.tls_port}{path}" for path in paths)
    )


@pytest.fixture
def edge(front: Front, origin: Origin) -> EdgeProcess:
    origin.on("/large", Answer(BODY, headers=KEPT))
    return front(origin)


def test_many_streams_of_one_connection_are_all_answered(edge: EdgeProcess, origin: Origin) -> None:
    paths = tuple(f"/{n}" for n in range(40))
    said = nghttp(edge, "--null-out", "--stat", paths=paths)
    assert len(re.findall(r"\b200\b +\d+\S* /\d+$", said, re.MULTILINE)) == 40, said
    assert origin.n_requests == 40


def test_weights_and_windows_of_any_size_change_nothing_of_the_body(edge: EdgeProcess) -> None:
    for options in [
        ("--weight=1",),
        ("--no-dep",),
        ("--no-push",),
        ("--window-bits=10", "--connection-window-bits=12"),
        ("--window-bits=30", "--connection-window-bits=30"),
        ("--header-table-size=0",),
        ("--header-table-size=65536", "--encoder-header-table-size=65536"),
        ("--padding=100",),
        ("--continuation",),
        ("--expect-continue",),
    ]:
        found = run(
            *("sh", "-c", 'exec "$@" | sha256sum', "sh", shutil.which("nghttp") or "", "--no-verify-peer", *options),
            f"{edge.tls}/large",
        )
        assert found.split()[0] == hashlib.sha256(BODY).hexdigest(), options


def test_nothing_is_pushed(edge: EdgeProcess) -> None:
    said = nghttp(edge, "--verbose", "--null-out")
    assert "PUSH_PROMISE" not in said
    assert "SETTINGS_MAX_CONCURRENT_STREAMS(0x03):128" in said


def test_an_upload_comes_back_whole(edge: EdgeProcess, origin: Origin, tmp_path: Path) -> None:
    origin.on("/echo", lambda asked: Answer(asked.body))
    sent = tmp_path / "sent"
    sent.write_text("0123456789abcdef" * 50_000)
    assert nghttp(edge, f"--data={sent}", paths=("/echo",)) == sent.read_text()


@pytest.mark.parametrize("way", ["https", "http"])
def test_h2load_is_answered_every_time(edge: EdgeProcess, way: str) -> None:
    address = edge.tls if way == "https" else edge.url
    said = run("h2load", "--requests=20000", "--clients=10", "--max-concurrent-streams=32", f"{address}/large?{way}")
    assert "20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout" in said
