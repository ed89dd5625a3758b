"""The client of HTTP/2 with which `bodega up --try` visits: against a real edge."""

from __future__ import annotations

import zlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.certificates import Made, make_authority
from tests.integration.conftest import KEPT, Serve

from bodega.edge import EdgeServer
from bodega.errors import EdgeError
from bodega.testing import Answer, Origin, wait_until
from bodega.up.edge_process import EdgeProcess
from bodega.up.places import PLACES
from bodega.up.visit.http2_browser import Http2Browser

LARGE = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def root() -> Made:
    return make_authority()


@pytest.fixture
def trusted(root: Made, tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    path.write_bytes(root.pem)
    return path


@pytest.fixture
def site_certificate(root: Made, tmp_path: Path) -> str:
    return str(root.issue("localhost").write(tmp_path, "site")[0])


def process(edge: EdgeServer, tmp_path: Path) -> EdgeProcess:
    address = urlsplit(edge.tls_url or "").netloc
    # Its process is asked nothing here.
    return EdgeProcess(PLACES[0], address, address, None, tmp_path / "log")  # type: ignore[arg-type]


def test_everything_is_asked_at_once_and_comes_whole(
    origin: Origin, serve: Serve, trusted: Path, site_certificate: str, tmp_path: Path
) -> None:
    with Origin({"*": lambda request: Answer(request.target.encode() + LARGE, headers=KEPT)}) as large:
        edge = serve(large, tls=site_certificate, name=PLACES[0].name, memory="256MB")
        paths = [f"/{number}" for number in range(50)]
        with Http2Browser(process(edge, tmp_path), trusted) as browser:
            assert (browser.protocol, browser.version) == ("HTTP/2", "TLSv1.3")
            browser.get_all(paths)
            again = browser.get_all(paths)
        assert [each.path for each in again] == paths
        assert {(each.status, each.outcome) for each in again} == {(200, "hit")}
        assert [each.checksum for each in again] == [zlib.crc32(path.encode() + LARGE) for path in paths]
        # An answer is counted once it has left.
        wait_until(lambda: edge.stats().count("l1") == len(paths))


def test_a_certificate_of_somebody_else_is_an_error(
    origin: Origin, serve: Serve, site_certificate: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_authority("Another").pem)
    edge = serve(origin, tls=site_certificate)
    with pytest.raises(EdgeError, match="the edge in Tokyo broke off at the handshake over HTTPS"):
        Http2Browser(process(edge, tmp_path), other).__enter__()


def test_an_edge_without_http2_is_an_error(
    origin: Origin, serve: Serve, trusted: Path, site_certificate: str, tmp_path: Path
) -> None:
    edge = serve(origin, tls=site_certificate, http2=False)
    with pytest.raises(EdgeError, match="the edge in Tokyo speaks no HTTP/2"):
        Http2Browser(process(edge, tmp_path), trusted).__enter__()


def test_an_edge_that_has_gone_is_an_error(
    origin: Origin, serve: Serve, trusted: Path, site_certificate: str, tmp_path: Path
) -> None:
    edge = serve(origin, tls=site_certificate)
    with Http2Browser(process(edge, tmp_path), trusted) as browser:
        assert browser.get("/a").body == b"/a"
        edge.stop("1s")
        with pytest.raises(EdgeError, match="broke off"):
            browser.get("/b")
