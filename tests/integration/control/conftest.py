"""A real control process for each test, and a client of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bodega import Fleet, connect

SECONDS = 30.0


class ControlProcess:
    """`bodega control` on a free port.

    Attributes:
        url: Where it listens.
        token: The first token.
        journal: Its file.
        environment: In which others of its user find it, and nobody else.
    """

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal.db"
        self.environment = {**os.environ, "BODEGA_RUNTIME_DIR": str(folder / "run")}
        self._errors = folder / "control.err"
        self.url = ""
        self.token = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Start it, also after an end, and wait until it listens."""
        listen = () if "--listen" in options else ("--listen", "127.0.0.1:0")
        command = [
            sys.executable,
            "-m",
            "bodega",
            "control",
            "--json",
            "--journal",
            str(self.journal),
            *listen,
            *options,
        ]
        with self._errors.open("a") as errors:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=self.environment
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.errors()
        self.url = json.loads(line)["url"]
        self.token = self.journal.with_name("journal.db.token").read_text().strip()

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and return its status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        with process:
            return process.wait(SECONDS)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def errors(self) -> str:
        """Return what it has written to standard error."""
        return self._errors.read_text()

    def client(self, token: str | None = None) -> httpx.Client:
        """Return a client with a token, by default the first one."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS, trust_env=False)


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlProcess]:
    process = ControlProcess(tmp_path)
    process.start()
    yield process
    process.end(signal.SIGKILL)


@pytest.fixture
def fleet(control: ControlProcess) -> Iterator[Fleet]:
    """What people have from Python."""
    with connect(control.url, control.token) as fleet:
        yield fleet


@pytest.fixture
def client(control: ControlProcess) -> Iterator[httpx.Client]:
    with control.client() as client:
        yield client


def register(client: httpx.Client, edge: str, *, instance: str = "instance-1", **more: Any) -> httpx.Response:
    """Let an edge join."""
    return client.put(f"/v1/edges/{edge}", json={"instance": instance, "region": "ap-northeast-1", **more})


def beat(
    client: httpx.Client, edge: str, position: int | None = None, *, instance: str = "instance-1", **more: Any
) -> httpx.Response:
    """Let an edge say how far it is."""
    at = None if position is None else place(client, position)
    return client.post(f"/v1/edges/{edge}/heartbeat", json={"instance": instance, "at": at, **more})


def place(client: httpx.Client, position: int) -> dict[str, Any]:
    """Return a place of the journal's history, as whoever has followed so far has it."""
    [head] = lines(client, 1)
    at = {name: head[name] for name in ("journal", "epoch", "position", "chain")}
    if position in (0, at["position"]):
        return {**at, "position": position, "chain": at["chain"] if position else "0" * 32}
    _, batch = lines(client, 2, {**at, "position": 0, "chain": "0" * 32})
    [chain] = [event["chain"] for event in batch["events"] if event["position"] == position]
    return {**at, "position": position, "chain": chain}


def lines(client: httpx.Client, n: int, place: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Read so many lines of the stream that are no heartbeats."""
    found: list[dict[str, Any]] = []
    with client.stream("GET", "/v1/journal/stream", params=place or {}) as stream:
        assert stream.status_code == 200
        for line in stream.iter_lines():
            said = json.loads(line)
            if said["kind"] != "heartbeat":
                found.append(said)
            if len(found) == n:
                break
    return found
