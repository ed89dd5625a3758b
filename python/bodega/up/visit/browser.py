"""Asks one edge over HTTP as a browser would: a page, then what the page names, over a few connections at once."""

from __future__ import annotations

import http.client
import json
import re
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from bodega.errors import EdgeError
from bodega.up.visit.cache_status import outcome
from bodega.up.visit.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodega.up.edge_process import EdgeProcess

N_CONNECTIONS = 6
"""What browsers open to one host over HTTP/1.1."""

_TIMEOUT_SECONDS = 60.0
_PIECE_BYTES = 1 << 20
_SMALL_BYTES = 64 * 1024
_NAMED = re.compile(r'<(?:link|script|img|video)\b[^>]*?(?:src|href)="(/[^"]+)"')


@dataclass(slots=True)
class Browser:
    """A client of one edge; it keeps connections open and no cache.

    Attributes:
        edge: Whom it asks.
        with_films: Whether it loads the films of a page.
    """

    edge: EdgeProcess
    with_films: bool = False
    _idle: SimpleQueue[http.client.HTTPConnection] = field(default_factory=SimpleQueue)

    def get(self, path: str, headers: Mapping[str, str] | None = None, note: str = "") -> Exchange:
        """Ask for one thing.

        Raises:
            EdgeError: If the edge breaks off or does not answer.
        """
        return self._ask("GET", path, None, {"Accept-Encoding": "identity", **(headers or {})}, note)

    def post(self, path: str, document: object, note: str = "") -> Exchange:
        """Send a JSON document.

        Raises:
            EdgeError: If the edge breaks off or does not answer.
        """
        return self._ask("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"}, note)

    def load(self, path: str) -> list[Exchange]:
        """Ask for a page, then at once for everything it names."""
        page = self.get(path)
        with ThreadPoolExecutor(N_CONNECTIONS) as pool:
            return [page, *pool.map(self.get, self.named(page))]

    def named(self, page: Exchange) -> list[str]:
        """Return what a page names: styles, script, pictures."""
        found = dict.fromkeys(_NAMED.findall(page.body.decode(errors="replace")))
        return [path for path in found if self.with_films or not path.endswith(".mp4")]

    def close(self) -> None:
        """Close every connection."""
        while not self._idle.empty():
            self._idle.get().close()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], note: str) -> Exchange:
        connection = self._connection()
        began = time.perf_counter()
        try:
            connection.request(method, path, body, headers=dict(headers))
            response = connection.getresponse()
            head_after = time.perf_counter() - began
            checksum, n_bytes, start = 0, 0, b""
            while piece := response.read(_PIECE_BYTES):
                checksum = zlib.crc32(piece, checksum)
                n_bytes += len(piece)
                start = piece if n_bytes <= _SMALL_BYTES else b""
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise EdgeError(f"the edge in {self.edge.place.title} broke off at {path}: {error!r}") from error
        seconds = time.perf_counter() - began
        said = response.headers.get("Cache-Status", "")
        self._idle.put(connection)
        return Exchange(
            place=self.edge.place,
            path=path,
            status=response.status,
            outcome=outcome(said, self.edge.place.name),
            said=said,
            first_byte_seconds=head_after,
            seconds=seconds,
            n_bytes=n_bytes,
            checksum=checksum,
            body=start,
            note=note,
        )

    def _connection(self) -> http.client.HTTPConnection:
        if not self._idle.empty():
            return self._idle.get()
        return http.client.HTTPConnection(self.edge.address, timeout=_TIMEOUT_SECONDS)
