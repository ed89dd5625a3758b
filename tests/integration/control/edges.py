"""Edges that follow a control process, and what tests ask both of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.control.conftest import SECONDS, ControlProcess
from tests.integration.edge.conftest import EdgeCommand, Origin, command, origin

__all__ = ["command", "follow", "origin", "token"]

HOST = {"Host": "shop.test"}
STRICT_SECONDS = 3
Follow = Callable[..., EdgeCommand]


@pytest.fixture
def token(control: ControlProcess, tmp_path: Path) -> Path:
    """A token for edges, in a file."""
    with control.client() as client:
        made = client.post("/v1/tokens", json={"name": "edges", "scopes": ["edges"]}).json()
    path = tmp_path / "edges.token"
    path.write_text(f"{made['token']}\n")
    return path


@pytest.fixture
def follow(
    command: Callable[..., EdgeCommand],
    control: ControlProcess,
    token: Path,
    tmp_path: Path,
) -> Follow:
    """Start an edge that follows, with a disk of its own; `url` is how it reaches the control process."""

    def start(name: str, *options: str, url: str | None = None, has_disk: bool = True, **more: Any) -> EdgeCommand:
        disk = ("--disk", f"{tmp_path / name}:64MiB") if has_disk else ()
        link = ("--control", url or control.url, "--control-token-file", str(token), "--name", name)
        return command("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *disk, *link, *options, **more)

    return start


def start_again(control: ControlProcess) -> httpx.Client:
    """Start it where edges look for it."""
    control.start("--listen", control.url.removeprefix("http://"))
    return control.client()


def publish(client: httpx.Client, origin: Origin | str) -> int:
    """Publish one site, which is strict below `/strict/`; return the revision."""
    text = f"""
[origins]
site = "{origin if isinstance(origin, str) else origin.url}"

[policies.strict]
extends = "web"
strict = "{STRICT_SECONDS}s"

[distributions.shop]
hosts = ["shop.test"]
behaviors = [
  {{ path = "/strict/*", origin = "site", policy = "strict" }},
  {{ origin = "site", policy = "web" }},
]
"""
    answer = client.post("/v1/configurations", json={"text": text})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["revision"])


def get(edge: EdgeCommand, path: str = "/a") -> str:
    """Ask an edge; how it answered."""
    answer = httpx.get(f"{edge.url}{path}", headers=HOST, trust_env=False)
    return f"{answer.status_code} {answer.headers.get('cache-status', '')}"


def is_hit(edge: EdgeCommand, path: str = "/a") -> bool:
    return "; hit" in get(edge, path)


def serves(edge: EdgeCommand) -> Callable[[], bool]:
    return lambda: get(edge).startswith("200")


def edges(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in client.get("/v1/edges").json()}


def level(client: httpx.Client, *names: str) -> Callable[[], bool]:
    """Whether edges are here and have applied everything."""

    def are_level() -> bool:
        known = edges(client)
        return all(name in known and known[name]["is_here"] and known[name]["behind"] == 0 for name in names)

    return are_level


def purge(client: httpx.Client, *selectors: str) -> dict[str, Any]:
    """Purge everywhere; what was answered once it is in the journal."""
    answer = client.post("/v1/invalidations", json={"selectors": selectors or ["https://shop.test/a"]})
    assert answer.status_code == 202, answer.text
    said: dict[str, Any] = answer.json()
    return said


def following(edge: EdgeCommand) -> dict[str, Any]:
    """What an edge says of whom it follows."""
    answer = httpx.get(f"{edge.said['admin']}/stats", trust_env=False).json()
    found: dict[str, Any] = answer["following"]
    return found


def stop(edge: EdgeCommand, number: int = signal.SIGTERM) -> None:
    """End an edge by a signal, and wait for its end."""
    edge.process.send_signal(number)
    edge.process.wait(SECONDS)


class Reader:
    """Asks for one URL again and again: when each request began, and what it got."""

    def __init__(self, edge: EdgeCommand, path: str) -> None:
        self.got: list[tuple[float, str]] = []
        self._over = threading.Event()
        self._url = f"{edge.url}{path}"
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def end(self) -> list[tuple[float, str]]:
        self._over.set()
        self._thread.join(60)
        return self.got

    def _read(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._over.is_set():
                began = time.monotonic()
                self.got.append((began, client.get(self._url, headers=HOST).text))
