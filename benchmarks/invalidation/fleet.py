"""A control process, real edges and light followers, each behind a line of its own, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.failure import MeasurementFailed

START_SECONDS = 120.0
_BODEGA = (sys.executable, "-m", "bodega")


@dataclass
class Control:
    """`bodega control`, and a client of it.

    Attributes:
        folder: Where its journal is.
        url: Where it listens.
        token: It may do everything.
    """

    folder: Path
    url: str = ""
    token: str = ""
    _process: subprocess.Popen[str] | None = None
    _kept: HTTPConnection | None = field(default=None, repr=False)

    @property
    def journal(self) -> Path:
        """Its journal."""
        return self.folder / "journal.db"

    @property
    def address(self) -> str:
        """``HOST:PORT``."""
        return self.url.removeprefix("http://")

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens; after an end on the same port."""
        listen = self.address or "127.0.0.1:0"
        self._process = _started(
            [*_BODEGA, "control", "--json", "--journal", str(self.journal), "--listen", listen], self.folder, "control"
        )
        self.url = _first_line(self._process, self.folder, "control")["url"]
        self.token = (self.folder / "journal.db.token").read_text().strip()

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        if self._process is not None:
            self._process.send_signal(number)
            with self._process:
                self._process.wait(30)
            self._process = None

    def ask(self, method: str, path: str, said: Mapping[str, Any] | None = None) -> Any:
        """Ask on a kept connection.

        Raises:
            MeasurementFailed: If it refuses.
        """
        if self._kept is None:
            self._kept = self.connection()
        return asked(self._kept, self.token, method, path, said)

    def connection(self) -> HTTPConnection:
        """Return a connection of the caller's own."""
        address = urlsplit(self.url)
        return HTTPConnection(address.hostname or "", address.port, timeout=60)

    def cpu_seconds(self) -> float:
        """How much time of a core it has had."""
        return cpu_seconds(self.pid)


def asked(connection: HTTPConnection, token: str, method: str, path: str, said: Mapping[str, Any] | None = None) -> Any:
    """Ask a control process.

    Raises:
        MeasurementFailed: If it refuses.
    """
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, None if said is None else json.dumps(said), headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status >= 400:
        raise MeasurementFailed(f"{method} {path} was answered {answer.status}: {body[:500]!r}")
    return json.loads(body) if body else None


@dataclass
class RealEdge:
    """`bodega edge` that follows, with a disk of its own."""

    name: str
    folder: Path
    control_url: str
    token_file: Path
    _process: subprocess.Popen[str] | None = None
    url: str = ""

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = _started(
            [
                *(*_BODEGA, "edge", "--json", "--listen", "127.0.0.1:0", "--admin", "off"),
                *("--memory", "16MB", "--threads", "1", "--disk", f"{self.folder / self.name}:64MiB"),
                *("--control", self.control_url, "--control-token-file", str(self.token_file)),
                *("--name", self.name, "--region", "bench"),
            ],
            self.folder,
            self.name,
        )
        self.url = _first_line(self._process, self.folder, self.name)["listening"][0]

    def end(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            with self._process:
                self._process.wait(30)
            self._process = None


class LightFollowers:
    """A process of light followers."""

    def __init__(self, folder: Path, token: str, urls: Sequence[str], n: int) -> None:
        """Start them, and wait until all are level."""
        command = [sys.executable, "-m", "benchmarks.invalidation.light_followers", str(n), *urls]
        self._folder = folder
        self._process = _started(command, folder, "light", token=token, cwd=Path(__file__).parents[2])
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise MeasurementFailed(f"light followers do not follow:\n{(folder / 'light.err').read_text()[-2000:]}")

    def ask(self) -> dict[str, Any]:
        """Return what they have seen since the last time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise MeasurementFailed(f"light followers ended:\n{(self._folder / 'light.err').read_text()[-2000:]}")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        """End them."""
        self._process.kill()
        with self._process:
            self._process.wait(30)


@contextlib.contextmanager
def control(folder: Path) -> Iterator[Control]:
    """Run a control process until the block ends."""
    folder.mkdir()
    made = Control(folder)
    made.start()
    try:
        yield made
    finally:
        made.end(signal.SIGKILL)


@contextlib.contextmanager
def real_edges(made: Control, urls: Sequence[str]) -> Iterator[list[RealEdge]]:
    """Run real edges until the block ends, each with the address by which it reaches the control process."""
    token_file = made.folder / "edges.token"
    if not token_file.exists():
        said = made.ask("POST", "/v1/tokens", {"name": "edges", "scopes": ["edges"]})
        token_file.write_text(said["token"])
    edges = [RealEdge(f"real-{index}", made.folder, url, token_file) for index, url in enumerate(urls)]
    try:
        for edge in edges:
            edge.start()
        yield edges
    finally:
        for edge in edges:
            edge.end()


def wait_level(made: Control, n: int, position: int | None = None) -> None:
    """Wait until so many edges are here and have applied everything, or up to a position.

    Raises:
        MeasurementFailed: If that takes too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        known = made.ask("GET", "/v1/edges")
        wanted = made.ask("GET", "/health")["position"] if position is None else position
        if len(known) >= n and all(each["is_here"] and (each["position"] or 0) >= wanted for each in known):
            return
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"{n} edges are not level after {START_SECONDS:.0f} s")
        time.sleep(0.1)


def cpu_seconds(pid: int) -> float:
    """Return how much time of a core a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _started(
    command: Sequence[str], folder: Path, name: str, *, token: str = "", cwd: Path | None = None
) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("BODEGA_", "AWS_"))}
    environment["BODEGA_RUNTIME_DIR"] = str(folder / "run")
    if token:
        environment["BODEGA_TOKEN"] = token
    with (folder / f"{name}.err").open("a") as errors:
        return subprocess.Popen(
            # This program keeps to one core; those it starts may use every one.
            ["taskset", "--cpu-list", f"0-{(os.cpu_count() or 1) - 1}", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            cwd=cwd,
        )


def _first_line(process: subprocess.Popen[str], folder: Path, name: str) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise MeasurementFailed(f"{name} ended:\n{(folder / f'{name}.err').read_text()[-2000:]}")
    found: dict[str, Any] = json.loads(line)
    return found
