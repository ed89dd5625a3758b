"""The control process of the demonstration: `bodega control`, with a token of its own making, and what it publishes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bodega.client import Fleet, connect
from bodega.config import read_config, to_text
from bodega.errors import EdgeError
from bodega.runtime import control_records, write_secret
from bodega.up.program import Program, start_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INSTALL = 'pip install "bodega[control]"'
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0


def is_installed() -> bool:
    """Whether what a control process needs is here: it is an extra."""
    return all(find_spec(name) is not None for name in ("fastapi", "structlog", "uvicorn"))


@dataclass(slots=True)
class ControlProcess:
    """A running control process.

    Attributes:
        program: Its process.
        edge_token: A file with a token for edges.
        _folder: Where journal and tokens are.
    """

    program: Program
    edge_token: Path
    _folder: Path
    _fleet: Fleet | None = field(default=None)

    @property
    def fleet(self) -> Fleet:
        """A client of it, once it is ready."""
        assert self._fleet is not None
        return self._fleet

    @property
    def url(self) -> str:
        """Where it is."""
        return self.fleet.url

    def wait_ready(self) -> None:
        """Wait until it answers.

        Raises:
            EdgeError: If it ends instead, or takes longer than 30 seconds.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while self._fleet is None:
            self.program.check()
            if time.monotonic() > deadline:
                raise EdgeError(f"{self.program.what} was not ready within {_READY_SECONDS:.0f} s{self.program.said()}")
            for record in control_records(os.environ):
                if record.pid == self.program.pid:
                    self._fleet = connect(record.url, token_file=record.token_file)
            time.sleep(_POLL_SECONDS)

    def publish(self, file: Path) -> None:
        """Let all edges serve what a file declares, without what it says of a machine.

        Raises:
            ConfigInvalid: If it cannot be used.
        """
        config = read_config(file)
        text = to_text(config.declarations) if config.given else file.read_text()
        self.fleet.configurations.publish(text, comment=f"bodega up {file.name}")

    def wait_level(self, edges: Sequence[str]) -> None:
        """Wait until edges follow and have applied everything.

        Raises:
            EdgeError: If that takes longer than 30 seconds.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while missing := set(edges) - {
            each.name for each in self.fleet.edges.list() if each.is_here and each.behind == 0
        }:
            self.program.check()
            if time.monotonic() > deadline:
                raise EdgeError(f"{', '.join(sorted(missing))} did not follow {self.url}{self.program.said()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop it."""
        if self._fleet is not None:
            self._fleet.close()
        self.program.ask_to_stop()
        self.program.wait_stopped(_STOP_SECONDS)

    def _level(self) -> set[str]:
        return {each.name for each in self.fleet.edges.list() if each.is_here and each.behind == 0}

    def make_edge_token(self) -> None:
        """Write a token for the edges."""
        made = self.fleet.tokens.make("edges", scopes=["edges"])
        write_secret(self.edge_token, made.token)


def start_control(folder: Path) -> ControlProcess:
    """Start one on a free port without waiting for it.

    Args:
        folder: For its journal and tokens.
    """
    arguments = ["control", "--journal", str(folder / "journal.db"), "--listen", "127.0.0.1:0"]
    program = start_program("the control process", arguments, log=folder / "control.log")
    return ControlProcess(program, folder / "edges.token", folder)
