"""The guide for an edge's machine says what is so: its commands, its file and its Python, run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess
from tests.integration.control.edges import (
    command,
    edges,
    is_hit,
    level,
    origin,
    publish,
    serves,
    stop,
    token,
)
from tests.integration.edge.conftest import EdgeCommand, Origin, wait_until

import bodega

__all__ = ["command", "origin", "token"]

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "following.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(control: ControlProcess, token: Path, tmp_path: Path) -> Callable[[str], str]:
    """Put what is on this machine in place of what the guide takes for an example."""

    def replace(text: str) -> str:
        for example, ours in (
            ("https://control.example.com", control.url),
            ("/etc/bodega/edge.token", str(token)),
            ("/var/cache/bodega:200GB", f"{tmp_path / 'cache'}:64MiB"),
            ("0.0.0.0:8080", "127.0.0.1:0"),
        ):
            text = text.replace(example, ours)
        return text

    return replace


def test_the_commands(
    client: httpx.Client,
    origin: Origin,
    command: Callable[..., EdgeCommand],
    here: Callable[[str], str],
) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"
    publish(client, origin)
    first, polls, takes_over = (shlex.split(here(each))[2:] for each in blocks("sh"))
    assert takes_over[-2] == "--take-over"

    edge = command(*first)
    wait_until(level(client, "tokyo-1"))
    assert edges(client)["tokyo-1"]["place"] == [35.7, 139.7]
    wait_until(serves(edge))
    assert is_hit(edge)
    stop(edge)

    edge = command(*polls)
    wait_until(serves(edge))
    successor = command(*takes_over[:-1], str(edge.pid))
    assert edge.process.wait(40) == 0
    wait_until(level(client, "tokyo-1"))
    wait_until(serves(successor))


def test_the_file(
    client: httpx.Client,
    command: Callable[..., EdgeCommand],
    here: Callable[[str], str],
    tmp_path: Path,
) -> None:
    [text] = blocks("toml")
    file = tmp_path / "edge.toml"
    file.write_text(here(text))
    checked = subprocess.run(
        [sys.executable, "-m", "bodega", "check", str(file)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    command(str(file), "--admin", "off")
    wait_until(level(client, "tokyo-1"))
    said = edges(client)["tokyo-1"]
    assert (said["region"], said["place"], said["kind"]) == ("ap-northeast-1", [35.7, 139.7], "regional")


def test_the_python(
    control: ControlProcess, here: Callable[[str], str], token: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [text] = blocks("python")
    exec(here(text), {"bodega": bodega, "token": token.read_text().strip()})
    assert control.url in capsys.readouterr().out
