"""A web origin in this process, and edges as processes of their own."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Wait:
    return wait_until


def wait_until(condition: Callable[[], bool], within_seconds: float = 20.0) -> None:
    """Wait on a condition."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@dataclass
class Origin:
    """A web origin that says when each request came, and answers slowly where it is asked to."""

    url: str = ""
    seen: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    body: bytes = b"hello"
    headers: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def origin() -> Iterator[Origin]:
    state = Origin()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            sent = self.rfile.read(length)
            state.seen.append(f"{self.command} {self.path}")
            if self.path.startswith("/slow"):
                state.release.wait(30)
            body = state.body + sent + self.headers.get("cookie", "").encode()
            self.send_response(200)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients may leave."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    state.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class EdgeCommand:
    """`bodega edge` as a process."""

    process: subprocess.Popen[str]
    said: dict[str, Any]
    lines: list[str]

    @property
    def url(self) -> str:
        """Its first address."""
        return str(self.said["listening"][0])

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def has_said(self, text: str) -> bool:
        """Whether a line of its standard error holds a text."""
        return any(text in line for line in self.lines)

    def wait_said(self, text: str) -> None:
        """Wait for a line of its standard error."""
        wait_until(lambda: self.has_said(text))


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., EdgeCommand]]:
    started: list[subprocess.Popen[str]] = []
    readers: list[threading.Thread] = []
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("BODEGA_", "AWS_"))},
        "BODEGA_RUNTIME_DIR": str(tmp_path / "run"),
    }

    def start(*arguments: str, command: list[str] | None = None, **more: Any) -> EdgeCommand:
        process = subprocess.Popen(
            [*(command or [sys.executable, "-m", "bodega"]), "edge", "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=tmp_path,
            **more,
        )
        started.append(process)
        lines: list[str] = []
        first: queue.SimpleQueue[str] = queue.SimpleQueue()
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout, process.stderr
        readers.append(threading.Thread(target=lambda: first.put(out.readline()), daemon=True))
        readers.append(threading.Thread(target=lambda: lines.extend(iter(err.readline, "")), daemon=True))
        for reader in readers[-2:]:
            reader.start()
        said = first.get(timeout=30)
        assert said, "".join(lines)
        return EdgeCommand(process, json.loads(said), lines)

    yield start
    for process in started:
        process.kill()
        process.wait()
    # Streams are closed once nobody reads them: they end with their processes.
    for reader in readers:
        reader.join(30)
    for process in started:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
