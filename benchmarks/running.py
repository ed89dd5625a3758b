"""Programs that a measurement starts, each ended by its process id whatever happens.

A program is started apart from the terminal: Ctrl-C reaches only this one, which then ends the others in order.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import priority, process_tree
from benchmarks.exchange import LOOPBACK
from benchmarks.failure import MeasurementFailed

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """A program that listens on a port."""

    name: str
    port: int
    pid: int

    def tree(self) -> list[int]:
        """Return its process and those it started."""
        return process_tree.pids(self.pid)

    def pause(self) -> None:
        """Stop it until `resume`."""
        process_tree.pause(self.tree())

    def resume(self) -> None:
        """Let it run again."""
        process_tree.resume(self.tree())


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(name: str, command: Sequence[str], *, port: int, folder: Path) -> Iterator[Running]:
    """Run a program until the block ends.

    Args:
        name: What to call it in messages.
        command: The program, which stays in the foreground, and its arguments.
        port: Where it will listen; the block begins when it does.
        folder: Its working directory; what it prints goes to `output.log` there.

    Raises:
        MeasurementFailed: If it ends or does not listen in time; with the end of what it printed.
    """
    log = folder / "output.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    priority.raise_session(process.pid)
    try:
        _wait_until_listening(name, process, port, log)
        yield Running(name=name, port=port, pid=process.pid)
    finally:
        _stop(process)


def _wait_until_listening(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        time.sleep(0.05)
    what = "did not listen in time" if process.poll() is None else f"ended with code {process.returncode}"
    tail = "\n".join(f"  | {line}" for line in log.read_text(errors="replace").splitlines()[-20:])
    raise MeasurementFailed(f"{name} {what}: {' '.join(map(str, process.args))}\n{tail}")  # type: ignore[arg-type]


def _stop(process: subprocess.Popen[bytes]) -> None:
    tree = process_tree.pids(process.pid)
    # A program that is paused ends only once it runs again.
    for number in (signal.SIGTERM, signal.SIGCONT):
        for pid in tree:
            _signal(pid, number)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        process.poll()
        if not any(process_tree.is_running(pid) for pid in tree):
            break
        time.sleep(0.02)
    for pid in tree:
        if process_tree.is_running(pid):
            _signal(pid, signal.SIGKILL)
    process.wait()


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
