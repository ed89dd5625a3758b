"""A process of the demonstration: started, watched, stopped; its last lines are told where it dies.

It has a session of its own, so that Ctrl-C reaches only `bodega up`, which then stops it; and the kernel ends it should
`bodega up` be killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodega.errors import AddressInUse, EdgeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Program:
    """A running `bodega ...`.

    Attributes:
        what: What messages call it: "the edge in Tokyo".
        process: The process.
        log: Where its standard error goes.
    """

    what: str
    process: subprocess.Popen[bytes]
    log: Path
    _is_stopping: bool = False

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def check(self) -> None:
        """Raise if it has ended by itself.

        Raises:
            AddressInUse: If it ended because somebody else listens where it should.
            EdgeError: If it ended otherwise. Both with its exit status and its last lines.
        """
        status = self.process.poll()
        if status is not None and not self._is_stopping:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            kind = AddressInUse if status == AddressInUse.EXIT_STATUS else EdgeError
            raise kind(f"{self.what} {how}{self.said()}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM: it finishes what is under way and ends."""
        self._is_stopping = True
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()

    def wait_stopped(self, within_seconds: float) -> None:
        """Wait for its end; after `within_seconds` it is killed."""
        try:
            self.process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        """Return its last lines, as the end of a message."""
        lines = self.log.read_text(errors="replace").splitlines()[-12:] if self.log.exists() else []
        return "; its last lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else " and said nothing"


def start_program(
    what: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> Program:
    """Start `bodega ARGUMENTS` without waiting for it.

    Args:
        what: What messages call it.
        arguments: After ``bodega``.
        log: Where its output goes.
        environment: Variables added to those of this process.
    """
    # Which control process is meant is said here, and not by what a person has set for others.
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "bodega", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call of the kernel, on a handle opened before the fork
        )
    return Program(what, process, log)


_NOT_INHERITED = {"BODEGA_CONTROL", "BODEGA_CONTROL_TOKEN_FILE", "BODEGA_TOKEN"}
_LIBC = ctypes.CDLL(None)


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
