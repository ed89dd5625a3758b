"""Runs a control process: its sockets, its first token, its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvicorn
import uvloop

from bodega.config import is_this_machine
from bodega.control.api.application import application
from bodega.control.service import Control
from bodega.control.stream import SLOW_SECONDS
from bodega.errors import AddressInUse, AddressInvalid, BodegaError, ConfigInvalid
from bodega.journal import SqliteJournal
from bodega.runtime import notify, recorded, write_secret

if TYPE_CHECKING:
    from bodega.journal import Journal

_DRAIN_SECONDS = 5
_LOG = structlog.get_logger("bodega.control")


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """What a control process is told.

    Attributes:
        journal: The file; begun if it is not there.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        insecure: Plain HTTP may be spoken beyond this machine.
        token_file: Where the first token is written, if there is none yet; by default beside the journal.
    """

    journal: Path = Path("journal.db")
    host: str = "127.0.0.1"
    port: int = 9280
    insecure: bool = False
    token_file: Path | None = None

    @property
    def first_token(self) -> Path:
        """Where the first token is written."""
        return self.token_file or self.journal.with_name(f"{self.journal.name}.token")


@dataclass(frozen=True, slots=True)
class Started:
    """A control process that listens.

    Attributes:
        url: Where.
        made_token: Where the first token was written, if one was made.
        position: The journal's last position.
    """

    url: str
    made_token: Path | None
    position: int


def run_control(settings: ControlSettings, started: Callable[[Started], None], *, version: str) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        AddressInUse: If somebody listens there.
        AddressInvalid: If this machine cannot listen there.
        ConfigInvalid: If plain HTTP would be spoken beyond this machine.
        JournalError: If the journal cannot be used.
    """
    if not settings.insecure and not is_this_machine(settings.host):
        raise ConfigInvalid(
            f"plain HTTP on {settings.host} would show tokens to whoever is on the way",
            hint="listen on 127.0.0.1 behind a proxy that speaks TLS, or say `--insecure`",
            path=("--listen",),
        )
    _raise_open_files()
    listener = _listen(settings)
    try:
        journal = SqliteJournal(settings.journal)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(settings, journal, listener, started, version))
        finally:
            journal.close()
    finally:
        listener.close()


async def _serve(
    settings: ControlSettings,
    journal: Journal,
    listener: socket.socket,
    started: Callable[[Started], None],
    version: str,
) -> None:
    # What is logged goes to standard error, as JSON, and holds no tokens.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    control = Control(journal)
    made_token = None
    if not control.state.tokens:
        _, token = await control.make_token("first", ("admin",), by="bodega control")
        made_token = settings.first_token
        write_secret(made_token, token)
    config = uvicorn.Config(
        application(control, version),
        access_log=False,
        log_level="warning",
        http="httptools",
        proxy_headers=False,
        server_header=False,
        # Bodies of heartbeats are small and many: what the kernel has need not be asked for twice.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        lifespan="on",
    )
    server = _Server(config, control)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.end)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}"
    # Who listens everywhere is asked on this machine itself.
    here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(shown, shown)  # noqa: S104 - Nothing is bound to it here.
    with contextlib.ExitStack() as stack:
        token_file = settings.first_token if settings.first_token.is_file() else None
        try:
            stack.enter_context(recorded(os.environ, f"http://{here}:{port}", token_file))
        except (BodegaError, OSError) as error:
            # It can be named instead.
            _LOG.warning("not to be found by others of this user", why=str(error))
        notify("READY=1", os.environ)
        started(Started(url, made_token, control.state.position))
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Leaves signals to us: by itself it raises them once more at its end, before the journal is closed."""

    def __init__(self, config: uvicorn.Config, control: Control) -> None:
        super().__init__(config)
        self._control = control

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._control.end()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        """Finish what is under way; called again, end at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(settings: ControlSettings) -> socket.socket:
    where = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressInvalid(f"{where} cannot be listened on: {error.strerror}", address=where) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # tcp(7): connections inherit it. What was sent to somebody who is there no more is not kept for minutes.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * SLOW_SECONDS))
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"{where} is taken", address=where, hint="use another port by `--listen`") from error
        raise AddressInvalid(f"{where} cannot be listened on: {error.strerror}", address=where) from error
    return listener


def _raise_open_files() -> None:
    # Every edge has two connections; what the system allows is enough for a fleet, what shells set is not.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
