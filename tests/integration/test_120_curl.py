"""curl against both fronts, with and without TLS: whole bodies, ranges, bodies that it sends."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.integration.conftest import KEPT, Front
from tests.integration.edge_process import EdgeProcess

from bodega.testing import Answer, Origin

SIZES = {"/empty": 0, "/small": 1024, "/medium": 100 << 10, "/large": 50 << 20}

WAYS = {
    "http/1.1": ("--http1.1",),
    "http/2": ("--http2-prior-knowledge",),
    "tls 1.2, http/1.1": ("--http1.1", "--tls-max", "1.2"),
    "tls 1.3, http/1.1": ("--http1.1", "--tlsv1.3"),
    "tls 1.2, http/2": ("--http2", "--tls-max", "1.2"),
    "tls 1.3, http/2": ("--http2", "--tlsv1.3"),
}

pytestmark = pytest.mark.parametrize("way", WAYS)


@dataclass(frozen=True, slots=True)
class Got:
    """What curl says of an answer."""

    status: int
    version: str
    head: str
    body: bytes


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    made = random.Random(7)
    return {path: made.randbytes(size) for path, size in SIZES.items()}


@pytest.fixture
def origin(bodies: dict[str, bytes]) -> Iterator[Origin]:
    scripts = {path: Answer(body, headers={**KEPT, "ETag": '"1"'}) for path, body in bodies.items()}
    echo = {"/echo": lambda asked: Answer(asked.body, headers={"Cache-Control": "no-store"})}
    with Origin({**scripts, **echo}) as origin:
        yield origin


def curl(edge: EdgeProcess, authority: Authority, folder: Path, way: str, path: str, *options: str) -> Got:
    program = shutil.which("curl")
    assert program, "`make test` installs it"
    port, scheme = (edge.tls_port, "https") if way.startswith("tls") else (edge.port, "http")
    head, body = folder / "head", folder / "body"
    done = subprocess.run(
        [
            *(program, "--silent", "--show-error", "--max-time", "50", "--cacert", authority.file, *WAYS[way]),
            *("--resolve", f"edge.test:{port}:127.0.0.1", "--dump-header", str(head), "--output", str(body)),
            *("--write-out", "%{http_code} %{http_version}", *options, f"{scheme}://edge.test:{port}{path}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    assert done.returncode == 0, done.stderr
    status, version = done.stdout.split()
    return Got(int(status), version, head.read_text("latin-1").lower(), body.read_bytes() if body.exists() else b"")


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def test_bodies_of_all_sizes_come_whole(
    front: Front, origin: Origin, authority: Authority, bodies: dict[str, bytes], tmp_path: Path, way: str
) -> None:
    edge = front(origin, memory_bytes=256 << 20)
    for path, body in bodies.items():
        for expected in ("uri-miss", "hit"):
            got = curl(edge, authority, tmp_path, way, path)
            assert (got.status, got.version) == (200, "2" if "http/2" in way else "1.1")
            assert sha256(got.body) == sha256(body), (path, expected)
            assert expected in got.head
            (tmp_path / "body").unlink(missing_ok=True)
    assert origin.n_requests == len(bodies)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-99", 0, 99), ("1000-", 1000, None), ("-7", -7, None), ("50000-102399", 50000, None)],
)
def test_ranges_are_parts_of_the_body(
    front: Front,
    origin: Origin,
    authority: Authority,
    bodies: dict[str, bytes],
    tmp_path: Path,
    way: str,
    asked: str,
    first: int,
    last: int | None,
) -> None:
    edge = front(origin)
    curl(edge, authority, tmp_path, way, "/medium")
    got = curl(edge, authority, tmp_path, way, "/medium", "--range", asked)
    assert got.status == 206
    assert got.body == bodies["/medium"][first : None if last is None else last + 1]


def test_a_head_has_no_body_and_a_condition_that_holds_neither(
    front: Front, origin: Origin, authority: Authority, tmp_path: Path, way: str
) -> None:
    edge = front(origin)
    head = curl(edge, authority, tmp_path, way, "/medium", "--head")
    assert (head.status, head.body.startswith(b"HTTP/")) == (200, True)
    assert f"content-length: {SIZES['/medium']}" in head.head
    (tmp_path / "body").unlink()
    curl(edge, authority, tmp_path, way, "/small")
    (tmp_path / "body").unlink()
    got = curl(edge, authority, tmp_path, way, "/small", "--header", 'If-None-Match: "1"')
    assert (got.status, got.body) == (304, b"")


@pytest.mark.parametrize("n_bytes", [0, 1, 100 << 10, 5 << 20])
@pytest.mark.parametrize("more", [(), ("--header", "Expect: 100-continue"), ("--header", "Transfer-Encoding: chunked")])
def test_a_body_that_is_sent_arrives_whole(
    front: Front, origin: Origin, authority: Authority, tmp_path: Path, way: str, n_bytes: int, more: tuple[str, ...]
) -> None:
    edge = front(origin)
    sent = tmp_path / "sent"
    sent.write_bytes(random.Random(n_bytes).randbytes(n_bytes))
    if "http/2" in way and "Transfer-Encoding: chunked" in more:
        more = ()
    got = curl(edge, authority, tmp_path, way, "/echo", "--data-binary", f"@{sent}", *more)
    assert got.status == 200
    assert sha256(got.body) == sha256(sent.read_bytes())
    assert origin.n_requests == 1


@pytest.mark.parametrize("size", [300_000, 7_000_000])
def test_an_answer_that_does_not_wait_for_the_body_arrives(
    front: Front, origin: Origin, authority: Authority, tmp_path: Path, way: str, size: int
) -> None:
    edge = front(origin)
    sent = tmp_path / "sent"
    sent.write_bytes(bytes(size))
    options = ("--data-binary", f"@{sent}", "--path-as-is")
    # Refused on sight, then because the origin is not there.
    assert curl(edge, authority, tmp_path, way, "/../etc/passwd", *options).status == 400
    origin.stop()
    got = curl(edge, authority, tmp_path, way, "/echo", *options)
    assert (got.status, got.version) == (502, "2" if "http/2" in way else "1.1")
