"""The guide says what is so: its sessions, run as they stand, line by line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.edge.conftest import command  # noqa: F401 - A fixture.
from tools.setup import python

from bodega import EdgeServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.edge.conftest import EdgeCommand

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "guides" / "models.md"
# Runs what stands in a session, as `python -m doctest` does; `...` stands for anything.
DOCTEST = """
import doctest, sys
text = sys.stdin.read()
test = doctest.DocTestParser().get_doctest(text, {}, "guide", "models.md", 0)
runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
runner.run(test)
assert runner.tries > 0
sys.exit(1 if runner.failures else 0)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def sessions() -> list[tuple[str, str]]:
    """Take the sessions of the terminal apart: what is typed, and what comes."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed, _, came = part.partition("\n")
            found.append((typed, came))
    return found


def is_as_written(came: str, written: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in written.strip().split("..."))
    return re.fullmatch(pattern, came.replace("\r", "").strip(), re.DOTALL) is not None


@pytest.mark.timeout(240)
def test_the_sessions_of_the_guide(tmp_path: Path, command: Callable[..., EdgeCommand]) -> None:  # noqa: F811
    [making] = blocks("python")
    subprocess.run([sys.executable, "-c", making], cwd=tmp_path, check=True, timeout=60)
    [serving] = blocks("sh")
    install, started = serving.splitlines()
    # The first has been done; the second is done here, at a free port.
    assert install == 'pip install "bodega[models]"'
    words = started.removeprefix("bodega edge ").replace("127.0.0.1:8080", "127.0.0.1:0").split()
    edge = command(*words)
    edge.wait_said(f"{edge.url}/models/fraud")
    address = edge.url.removeprefix("http://")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "BODEGA_RUNTIME_DIR": str(tmp_path / "run")}
    asked = sessions()
    assert len(asked) >= 10
    for typed, written in asked:
        done = subprocess.run(
            ["bash", "-ec", typed.replace("127.0.0.1:8080", address)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{typed}\n{done.stderr}"
        assert is_as_written(done.stdout, written), f"{typed}\n{done.stdout}"
    client = python.separate("tritonclient", pins="tritonclient") / "bin" / "python"
    for interpreter, texts in ((sys.executable, blocks("pycon")), (client, blocks("pycon tritonclient"))):
        assert texts
        for text in texts:
            done = subprocess.run(
                [interpreter, "-c", DOCTEST],
                input=text.replace("127.0.0.1:8080", address),
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_file_of_the_guide_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [making] = blocks("python")
    subprocess.run([sys.executable, "-c", making], cwd=tmp_path, check=True, timeout=60)
    [declared] = blocks("toml")
    (tmp_path / "bodega.toml").write_text(declared)
    with EdgeServer(config=tmp_path / "bodega.toml") as edge:
        headers = {"host": "shop.example.com"}
        answer = edge.request("POST", "/predict", headers=headers, body='{"features": [1, 2]}')
        assert answer.json()["prediction"] == 5.0
        assert edge.request("GET", "/models/openapi.json", headers=headers).status == 200
