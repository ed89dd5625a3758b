"""The guide to models in Python says what is so: its files, its commands and its Python, run as they stand."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.integration.edge.conftest import wait_until

from bodega import EdgeMLServer, Model
from bodega.testing import free_port

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "python-models.md"
BODEGA = str(Path(sys.executable).parent / "bodega")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the guide, in which everything is run."""
    files = re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["fraud.py", "bodega.toml", "mood.py", "remote.py"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands(folder: Path) -> None:
    first, ask = blocks("sh")
    weights, serve = first.splitlines()
    subprocess.run(["sh", "-ec", weights], check=True, cwd=folder)
    address = f"127.0.0.1:{free_port()}"
    command = [BODEGA, *serve.replace("127.0.0.1:8080", address).split()[1:]]
    with (folder / "edge.log").open("wb") as log:
        edge = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:

        def answers() -> bool:
            assert edge.poll() is None, (folder / "edge.log").read_text()
            done = subprocess.run(
                ["sh", "-ec", ask.replace("127.0.0.1:8080", address)], capture_output=True, text=True, check=False
            )
            return done.returncode == 0 and json.loads(done.stdout)["prediction"] == 2.0

        wait_until(answers, within_seconds=40)
    finally:
        edge.terminate()
        edge.wait(timeout=30)


def test_the_python(folder: Path) -> None:
    (folder / "fraud.txt").write_text("0.5\n1\n-2\n")
    programs, expected = blocks("python"), blocks("text")
    assert len(programs) == len(expected) == 2
    for program, text in zip(programs, expected, strict=True):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False, timeout=50
        )
        assert (done.stdout, done.returncode) == (text, 0), done.stderr


def test_the_remote_model(folder: Path) -> None:
    class Summing(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["instances"]
            body = json.dumps({"predictions": [sum(row) for row in rows]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Summing) as remote:
        (folder / "address.txt").write_text(f"http://127.0.0.1:{remote.server_port}/\n")
        thread = threading.Thread(target=remote.serve_forever)
        thread.start()
        try:
            with EdgeMLServer(Model("address.txt", runner="remote:Remote")) as server:
                assert [server.predict([1.5, 2])["prediction"] for _ in range(2)] == [3.5, 3.5]
        finally:
            remote.shutdown()
            thread.join()
