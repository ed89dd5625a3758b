"""An origin of files that can be computed: `/files/N` is N bytes long, has a strong validator and knows ranges."""

from __future__ import annotations

import hashlib
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bodega.testing import Answer, Origin, Received

MIB = 1 << 20
_SINGLE_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Files:
    """The files and what was asked of them.

    Attributes:
        url: Where they are.
        version: Part of every byte and of the validator.
        asked: Path and range of each request, in order.
    """

    url: str = ""
    version: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def body(self, path: str) -> bytes:
        """Return a whole file as it is now."""
        n_bytes = int(path.rsplit("/", 1)[1])
        block = random.Random(f"{path} {self.version}").randbytes(64 * 1024 + 1)
        return (block * (n_bytes // len(block) + 1))[:n_bytes]

    def digest(self, path: str) -> str:
        """Return what its bytes hash to."""
        return hashlib.sha256(self.body(path)).hexdigest()

    def forget(self) -> list[tuple[str, str]]:
        """Return what was asked since the last call."""
        with self.lock:
            asked, self.asked = self.asked, []
        return asked

    def answer(self, request: Received) -> Answer:
        """Answer a request."""
        written = request.header("range") or ""
        with self.lock:
            self.asked.append((request.target, written))
        tag = f'"{hashlib.sha256(f"{request.target} {self.version}".encode()).hexdigest()[:16]}"'
        headers = {"Cache-Control": "max-age=3600", "ETag": tag}
        body = self.body(request.target)
        found = _SINGLE_RANGE.fullmatch(written)
        if found and (request.header("if-range") or tag) == tag:
            first, last = int(found[1]), min(int(found[2] or len(body)), len(body) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            return Answer(body[first : last + 1], status=206, headers=headers)
        return Answer(body, headers=headers)


@contextmanager
def files_origin() -> Iterator[Files]:
    """Serve files."""
    files = Files()
    with Origin({"*": files.answer}) as origin:
        files.url = origin.url
        yield files
