"""The units of `deploy/systemd`: sound to systemd, and what they start follows, serves, reloads and ends."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.service import PROGRAM, Service, Unit

from bodega.testing import Answer, Origin, wait_until

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
FILES = sorted(UNITS.iterdir())


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    for unit in FILES:
        text = unit.read_text().replace("/usr/local/bin/bodega", str(PROGRAM))
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    checked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_systemd_would_find_what_is_wrong(tmp_path: Path) -> None:
    wrong = (UNITS / "bodega-edge.service").read_text().replace("Type=notify", "Type=notfy")
    (tmp_path / "bodega-edge.service").write_text(wrong)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "bodega-edge.service")]
    assert "notfy" in subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stderr


def test_they_give_away_little(tmp_path: Path) -> None:
    for unit in UNITS.glob("*.service"):
        shutil.copy(unit, tmp_path)
        command = ["systemd-analyze", "security", "--offline=yes", "--threshold=25", str(tmp_path / unit.name)]
        # Out of 100: below 25 is what systemd calls OK.
        subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.mark.timeout(180)
def test_what_they_start_serves_and_ends(tmp_path: Path, stack: ExitStack) -> None:
    origin = stack.enter_context(Origin({"*": lambda request: Answer(request.target.encode())}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = Service(_on_port(UNITS / "bodega-control.service", tmp_path, port), tmp_path)
    stack.callback(control.stop, signal.SIGKILL)
    control.start()
    url = f"http://127.0.0.1:{port}"
    token = (tmp_path / "var/lib/bodega/journal.db.token").read_text().strip()
    made = _ask(url, token, "/v1/tokens", {"name": "tokyo", "scopes": ["edges"]})
    text = f'[distributions.site]\nbehaviors = [{{ origin = "{origin.url}" }}]'
    _ask(url, token, "/v1/configurations", {"text": text})

    (tmp_path / "etc/bodega").mkdir(parents=True)
    (tmp_path / "etc/bodega/edge.token").write_text(made["token"])
    (tmp_path / "etc/bodega/edge.env").write_text(
        f"BODEGA_CONTROL={url}\nBODEGA_NAME=tokyo-1\nBODEGA_REGION=ap-northeast-1\nBODEGA_MEMORY=64MB\nDISK_SIZE=300MB\n"
    )
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    edge = Service(Unit(UNITS / "bodega-edge.service"), tmp_path, listener)
    stack.callback(edge.stop, signal.SIGKILL)
    edge.start()
    wait_until(lambda: _get(listener) == b"/a", timeout_seconds=30)
    [seen] = _ask(url, token, "/v1/edges")
    assert (seen["name"], seen["region"], seen["is_here"]) == ("tokyo-1", "ap-northeast-1", True)

    # Restarted, its port stays open: who comes meanwhile waits, and nobody is refused.
    assert edge.stop() == 0
    waiting = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=30)
    stack.callback(waiting.close)
    waiting.request("GET", "/a")
    edge.start()
    answer = waiting.getresponse()
    assert (answer.status, answer.read()) == (200, b"/a")
    assert edge.stop() == 0
    assert control.stop() == 0


def test_the_socket_unit_is_for_the_edge() -> None:
    socket_unit = Unit(UNITS / "bodega-edge.socket")
    assert socket_unit.one("Socket", "FileDescriptorName") == "http"
    assert socket_unit.path.stem == "bodega-edge"
    assert socket_unit.one("Install", "WantedBy") == "sockets.target"


def _on_port(path: Path, root: Path, port: int) -> Unit:
    """A machine has one control process; this one has to find another port."""
    text = path.read_text()
    assert text.count("127.0.0.1:9280") == 1
    copied = root / path.name
    copied.write_text(text.replace("127.0.0.1:9280", f"127.0.0.1:{port}"))
    return Unit(copied)


def _get(listener: socket.socket) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{listener.getsockname()[1]}/a", timeout=10) as answer:
            body: bytes = answer.read()
            return body
    except OSError:
        return b""


def _ask(url: str, token: str, path: str, said: dict[str, Any] | None = None) -> Any:
    body = None if said is None else json.dumps(said).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url + path, body, headers), timeout=30) as answer:
        return json.loads(answer.read())
