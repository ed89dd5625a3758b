"""A client that has nothing to do with what is going on, and what it notices; and how much memory it takes."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.integration.edge_process import EdgeProcess
from tests.integration.http2 import Http2
from tests.integration.wire import Wire

from bodega.testing import wait_until

if TYPE_CHECKING:
    from typing import Self

MIB = 1 << 20


class Bystander:
    """Asks for `/a` again and again, on two connections of its own: HTTP/1.1 and HTTP/2, both over TLS."""

    def __init__(self, edge: EdgeProcess, trusting: ssl.SSLContext) -> None:
        self._edge, self._trusting = edge, trusting
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._error: BaseException | None = None
        self.n_answers = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._error is not None:
            raise AssertionError(f"a bystander noticed something: {self._error!r}") from self._error

    def wait_for_answers(self, n_answers: int = 50) -> None:
        """Wait until it has had some more."""
        wanted = self.n_answers + n_answers
        wait_until(lambda: self._error is not None or self.n_answers >= wanted, what="answers for a bystander")

    def _run(self) -> None:
        try:
            with Wire(self._edge.tls, tls=self._trusting) as first, Http2(self._edge.tls, self._trusting) as second:
                while not self._ended.is_set():
                    reply, answer = first.get("/a"), second.ask("/a")
                    assert (reply.status, reply.body, answer.status, answer.body) == (200, b"/a", 200, b"/a")
                    self.n_answers += 2
                    self._ready.set()
        except BaseException as error:  # noqa: BLE001 - raised where the test waits for it
            self._error = error
        finally:
            self._ready.set()


@contextmanager
def holds_out(edge: EdgeProcess, trusting: ssl.SSLContext, *, more_bytes: int) -> Iterator[Bystander]:
    """Within this a bystander is answered, before, during and after; and the edge needs at most so much more memory."""
    with Bystander(edge, trusting) as bystander:
        bystander.wait_for_answers()
        edge.forget_peak()
        before = edge.peak_bytes()
        yield bystander
        bystander.wait_for_answers()
        grown = edge.peak_bytes() - before
        assert grown <= more_bytes, f"{grown / MIB:.1f} MiB more than before; {more_bytes / MIB:.1f} are allowed"
    assert edge.is_running
