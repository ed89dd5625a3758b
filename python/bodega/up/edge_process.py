"""One edge as a process of its own: `bodega edge FILE ...`.

It starts and stops the process, knows when it is ready, and keeps the last lines that it wrote.
Its admin listener is where `bodega status` and `bodega purge` look, so both work while the demonstration runs.
The process has a session of its own, so that Ctrl-C reaches only `bodega up`, which then stops it; and the kernel ends
it should `bodega up` be killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodega.edge import AdminClient, find_edges
from bodega.errors import EdgeError, EdgeNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bodega.up.places import Place

_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class EdgeProcess:
    """A running edge.

    Attributes:
        place: Where it pretends to be.
        address: ``host:port`` that clients use.
        tls_address: ``host:port`` for clients that come by TLS.
    """

    place: Place
    address: str
    tls_address: str
    _process: subprocess.Popen[bytes]
    _log: Path
    _admin: AdminClient | None = None
    _is_stopping: bool = False

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
        return self._process.pid

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
            self.check()
            if time.monotonic() > deadline:
                raise EdgeError(
                    f"the edge in {self.place.title} was not ready within {_READY_SECONDS:.0f} s{self._said()}"
                )
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise if the process has ended by itself.

        Raises:
            EdgeError: With its exit status and its last lines.
        """
        status = self._process.poll()
        if status is not None and not self._is_stopping:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            raise EdgeError(f"the edge in {self.place.title} {how}{self._said()}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM: it finishes what is under way and ends."""
        self._is_stopping = True
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def wait_stopped(self, within_seconds: float) -> None:
        """Wait for its end; after `within_seconds` it is killed."""
        try:
            self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        found = [edge for edge in find_edges(os.environ) if edge.pid == self.pid]
        with contextlib.suppress(EdgeNotFound):
            for edge in found:
                edge.stats()
                self._admin = edge
        return self._admin is not None

    def _said(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-12:] if self._log.exists() else []
        return "; its last lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else " and said nothing"


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
    command = [sys.executable, "-m", "bodega", "edge", str(file), "--listen", address]
    command += ["--listen-tls", tls_address, *names]
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call of the kernel, on a handle opened before the fork
        )
    return EdgeProcess(place, address, tls_address, process, log)


_LIBC = ctypes.CDLL(None)


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
