"""Starts everything that `bodega up` runs, and stops it so that nothing is left behind.

    Origins (this process): web origin, S3 server ── relays ──▶ three EdgeProcess ◀── relay ── ControlProcess

Processes and the temporary directory belong to one exit stack: whatever fails half way is undone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bodega.certificates import development_certificate
from bodega.config import read_config, settings_from
from bodega.edge import find_edges
from bodega.errors import AddressInUse
from bodega.up import control_process
from bodega.up.control_process import ControlProcess, start_control
from bodega.up.declaration import declaration
from bodega.up.edge_process import EdgeProcess, start_edge
from bodega.up.model_file import cached_model_path, write_model
from bodega.up.origins import Origins
from bodega.up.places import PLACES
from bodega.up.predictors import Predictors, find_or_make
from bodega.up.premises import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodega.up.places import Place

    Progress = Callable[[int, int], None]

PREFERRED_PORT = 8080
PREFERRED_TLS_PORT = 8443
ANY_PORTS = 0
"""A `port_base` that takes free ports, also where the preferred ones are."""

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may choose.

    Attributes:
        file: Their own `bodega.toml`; None: the store.
        port_base: Port of the first edge, the others follow, then those for TLS; None: from 8080 and from 8443 on where
            all of these are free, else any.
        memory: Memory tier of each edge.
        directory: Where to lay out site and buckets, to be kept; None: a temporary one.
        distance: Whether two of the edges are far from the origin, and from the control process.
    """

    file: Path | None = None
    port_base: int | None = None
    memory: str = "512MB"
    directory: Path | None = None
    distance: bool = True


@dataclass(slots=True)
class Demonstration:
    """Three edges, and what is behind them.

    Attributes:
        edges: In the order of `PLACES`.
        origins: None when the edges run a person's own file.
        control: What the edges follow; None where it is not installed.
        file: What the edges serve.
        predictors: The models that they run; None where there are none.
        no_predictors: Why there are none.
    """

    options: Options
    edges: list[EdgeProcess] = field(default_factory=list)
    origins: Origins | None = None
    control: ControlProcess | None = None
    file: Path | None = None
    predictors: Predictors | None = None
    no_predictors: str = ""
    _undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self, model_progress: Progress | None = None) -> None:
        """Start origins and edges and wait until every edge serves.

        Raises:
            BodegaError: If something does not start; what had started is stopped.
        """
        try:
            scratch = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="bodega-up-")))
            if control_process.is_installed():
                self.control = start_control(scratch)
                self._undo.callback(self._stop_control)
            if self.options.file is None:
                self.origins = self._start_origins(scratch, model_progress)
            self.file = self._file(scratch)
            if self.control is not None:
                self.control.wait_ready()
                self.control.publish(self.file)
                self.control.make_edge_token()
            self._undo.callback(self._stop_edges)
            self._start_edges(scratch, self.file)
        except BaseException:
            self.stop()
            raise

    @property
    def authority(self) -> Path | None:
        """The certificate that makes the edges' own trusted; None where a person's own file names certificates."""
        if self.options.file is not None and _speaks_tls(self.options.file):
            return None
        return development_certificate((), os.environ).authority

    def check(self) -> None:
        """Raise if an edge, or the control process, has ended by itself.

        Raises:
            EdgeError: With its last lines.
        """
        for edge in self.edges:
            edge.program.check()
        if self.control is not None:
            self.control.program.check()

    def stop(self) -> None:
        """Stop everything and remove the temporary directory; a second call does nothing."""
        self._undo.close()

    def __enter__(self) -> Demonstration:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_origins(self, scratch: Path, model_progress: Progress | None) -> Origins:
        model = cached_model_path()
        write_model(model, model_progress)
        origins = Origins.start(lay_out((self.options.directory or scratch).resolve(), model))
        self._undo.callback(origins.stop)
        return origins

    def _file(self, scratch: Path) -> Path:
        if self.origins is None:
            assert self.options.file is not None
            return self.options.file.resolve()
        near = self.origins.near
        file = scratch / "bodega.toml"
        self.predictors, self.no_predictors = find_or_make()
        far = self.origins.far() if self.options.distance else near
        file.write_text(declaration(near, far, self.predictors))
        return file

    def _start_edges(self, scratch: Path, file: Path) -> None:
        try:
            self._start_edges_at(self.options.port_base, scratch, file)
        except AddressInUse:
            # Free when we looked, and somebody else's when the edges wanted them.
            if self.options.port_base:
                raise
            self._stop_edges()
            self.edges.clear()
            self._start_edges_at(ANY_PORTS, scratch, file)

    def _start_edges_at(self, port_base: int | None, scratch: Path, file: Path) -> None:
        ports, tls_ports = _ports(port_base, len(PLACES))
        tls = [] if self.options.file is not None and _speaks_tls(self.options.file) else ["--tls", "dev"]
        environment = {} if self.origins is None else self.origins.environment
        for place, port, tls_port in zip(PLACES, ports, tls_ports, strict=True):
            edge = start_edge(
                place,
                file,
                address=f"127.0.0.1:{port}",
                tls_address=f"127.0.0.1:{tls_port}",
                log=scratch / f"{place.name}.log",
                options=["--memory", self.options.memory, *tls, *self._following(place)],
                environment=environment,
            )
            self.edges.append(edge)
        for edge in self.edges:
            edge.wait_ready()
        if self.control is not None:
            self.control.wait_level([place.name for place in PLACES])

    def _following(self, place: Place) -> list[str]:
        if self.control is None:
            return []
        url = self.control.url
        if place.is_far and self.options.distance and self.origins is not None:
            url = self.origins.far_away(url)
        return ["--control", url, "--control-token-file", str(self.control.edge_token)]

    def _stop_control(self) -> None:
        assert self.control is not None
        self.control.stop()

    def _stop_edges(self) -> None:
        for edge in self.edges:
            edge.program.ask_to_stop()
        for edge in self.edges:
            edge.program.wait_stopped(_STOP_SECONDS)
        # One that was killed has left its sockets; looking for edges removes those of processes that are gone.
        find_edges(os.environ)


def _speaks_tls(file: Path) -> bool:
    """Whether a person's own file names certificates."""
    return settings_from(read_config(file), os.environ).tls is not None


def _ports(base: int | None, n_ports: int) -> tuple[list[int], list[int]]:
    """Return ports for HTTP, and as many for TLS: those behind them where a base was chosen, else from 8443 on."""
    if base == ANY_PORTS:
        free = _free_ports(2 * n_ports)
        return free[:n_ports], free[n_ports:]
    plain = [(base or PREFERRED_PORT) + index for index in range(n_ports)]
    tls = [(PREFERRED_TLS_PORT if base is None else base + n_ports) + index for index in range(n_ports)]
    taken = [port for port in (*plain, *tls) if not _is_free(port)]
    if not taken:
        return plain, tls
    if base is None:
        free = _free_ports(2 * n_ports)
        return free[:n_ports], free[n_ports:]
    raise AddressInUse(
        f"127.0.0.1:{taken[0]} is taken",
        address=f"127.0.0.1:{taken[0]}",
        hint="choose another `--port-base`, or leave it out to take free ones",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the edge binds: a connection in TIME_WAIT does not keep a port from being listened on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _free_ports(n_ports: int) -> list[int]:
    """Return free ports that no system gives to whoever asks for any: they are still free when the edges take them."""
    free: list[int] = []
    for port in random.sample(_UNASSIGNED, len(_UNASSIGNED)):
        if len(free) == n_ports:
            return free
        if _is_free(port):
            free.append(port)
    raise AddressInUse("no ports are free", address="127.0.0.1", hint="end what holds them")


_UNASSIGNED = range(10_000, 32_768)
"""Below what Linux gives out by itself (`net.ipv4.ip_local_port_range`), and others do."""
