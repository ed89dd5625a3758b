from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bodega.errors import EdgeError
from bodega.up.edge_process import EdgeProcess
from bodega.up.places import PLACES
from bodega.up.visit.browser import Browser

PAGE = b"""<link rel="stylesheet" href="/a.css"><a href="/other">x</a>
<img src="/b.webp"><img class="wide" src="/b.webp"><video src="/c.mp4"></video>"""


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = PAGE if self.path == "/" else self.path.encode()
        if self.path == "/broken":
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Status", "tokyo; hit; ttl=9")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in the standard library
        pass


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"127.0.0.1:{server.server_port}"
    # Its process is asked nothing here.
    edge = EdgeProcess(PLACES[0], address, address, None, tmp_path / "log")  # type: ignore[arg-type]
    with Browser(edge) as opened:
        yield opened
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_is_loaded_with_what_it_names_once_and_without_films(browser: Browser) -> None:
    loaded = browser.load("/")
    assert [each.path for each in loaded] == ["/", "/a.css", "/b.webp"]
    assert {(each.status, each.outcome) for each in loaded} == {(200, "hit")}


def test_an_answer_is_measured_and_summed(browser: Browser) -> None:
    exchange = browser.get("/a.css", note="styles")
    assert (exchange.n_bytes, exchange.checksum, exchange.body) == (6, zlib.crc32(b"/a.css"), b"/a.css")
    assert 0 < exchange.first_byte_seconds <= exchange.seconds
    assert exchange.note == "styles"


def test_an_edge_that_breaks_off_is_an_error(browser: Browser) -> None:
    with pytest.raises(EdgeError, match="Tokyo broke off at /broken"):
        browser.get("/broken")
