"""`bodega models`: the models of running edges, and other versions of them."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.integration.edge.test_model_command import bodega, predict
from tests.integration.inference import onnx_models

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.edge.conftest import EdgeCommand


def times(folder: Path, factor: float) -> Path:
    return onnx_models.linear(folder / f"fraud-{factor:g}.onnx", [factor])


def test_the_command_lists_loads_and_unloads(tmp_path: Path, command: Callable[..., EdgeCommand]) -> None:
    edge = command("--model", str(times(tmp_path, 2)), "--listen", ":0")
    listed = bodega(tmp_path, "models", "ls", "--json")
    assert {"name": "fraud-2", "default": True, "state": "ready"}.items() <= json.loads(listed.stdout).items()
    # It was there twice: among the statistics, and behind them.
    assert bodega(tmp_path, "status").stdout.count("fraud-2@") == 1
    loaded = bodega(tmp_path, "models", "load", str(times(tmp_path, 3)), "--version", "v3")
    assert (loaded.returncode, "fraud-2: v3 answers in place of" in loaded.stderr) == (0, True), loaded
    assert predict(edge.url, [1])["prediction"] == 3.0
    table = bodega(tmp_path, "models").stdout
    for word in ("fraud-2", "v3", "default", "fraud-3.onnx", "set over the configuration"):
        assert word in table
    status = bodega(tmp_path, "status")
    assert "fraud-2@v3, set over the configuration" in status.stdout, status
    notes = tmp_path / "notes.onnx"
    notes.write_text("these are no weights")
    broken = bodega(tmp_path, "models", "load", str(notes))
    assert (broken.returncode, "notes.onnx" in broken.stderr) == (1, True), broken
    assert bodega(tmp_path, "models", "load", "nothing.onnx").returncode == 2
    assert bodega(tmp_path, "models", "unload", "fraud-2@v4").returncode == 1
    assert bodega(tmp_path, "models", "unload", "fraud-2@v3").returncode == 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        predict(edge.url, [1])
    refused.value.close()
    assert refused.value.code == 404
    assert "unloaded" in bodega(tmp_path, "models").stdout


def test_the_command_teaches() -> None:
    for command, words in [
        (["models"], ["load", "unload", "bodega models load fraud-v2.onnx"]),
        (["models", "load"], ["golden examples", "--name", "curl"]),
    ]:
        arguments = [sys.executable, "-m", "bodega", *command, "--help"]
        said = subprocess.run(arguments, capture_output=True, text=True, timeout=50, check=True).stdout
        for word in words:
            assert word in said
