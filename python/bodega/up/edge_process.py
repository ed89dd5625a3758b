"""One edge of the demonstration: `bodega edge ...`.

It knows when the edge is ready. Its admin listener is where `bodega status` looks, so that it works while the
demonstration runs.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodega.edge import AdminClient, find_edges
from bodega.errors import EdgeError, EdgeNotFound
from bodega.up.program import Program, start_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bodega.up.places import Place

_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02


@dataclass(slots=True)
class EdgeProcess:
    """A running edge.

    Attributes:
        place: Where it pretends to be.
        address: ``host:port`` that clients use.
        tls_address: ``host:port`` for clients that come by TLS.
        program: Its process.
    """

    place: Place
    address: str
    tls_address: str
    program: Program
    _admin: AdminClient | None = None

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{self.address}"

    @property
    def tls_url(self) -> str:
        """Where a browser finds it by TLS, under a name that certificates may have."""
        return f"https://localhost:{self.tls_address.rpartition(':')[2]}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self.program.pid

    @property
    def admin(self) -> AdminClient:
        """Its admin listener, once it is ready."""
        assert self._admin is not None
        return self._admin

    def wait_ready(self) -> None:
        """Wait until it serves.

        Raises:
            EdgeError: If it ends instead, or takes longer than 30 seconds.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            self.program.check()
            if time.monotonic() > deadline:
                raise EdgeError(f"{self.program.what} was not ready within {_READY_SECONDS:.0f} s{self.program.said()}")
            time.sleep(_POLL_SECONDS)

    def _is_ready(self) -> bool:
        found = [edge for edge in find_edges(os.environ) if edge.pid == self.pid]
        with contextlib.suppress(EdgeNotFound):
            for edge in found:
                edge.stats()
                self._admin = edge
        return self._admin is not None


def start_edge(
    place: Place,
    file: Path,
    *,
    address: str,
    tls_address: str,
    log: Path,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> EdgeProcess:
    """Start an edge without waiting for it.

    Args:
        place: Its name and region.
        file: Its `bodega.toml`.
        address: ``host:port`` for clients.
        tls_address: The same for TLS; `options` say with which certificate.
        log: Where its standard error goes.
        options: Further options of `bodega edge`.
        environment: Variables added to those of this process.
    """
    names = ["--name", place.name, "--region", place.region]
    arguments = ["edge", str(file), "--listen", address, "--listen-tls", tls_address, *names, *options]
    program = start_program(f"the edge in {place.title}", arguments, log=log, environment=environment)
    return EdgeProcess(place, address, tls_address, program)
