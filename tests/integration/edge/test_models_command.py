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
    assert (loaded.returncode, "fraud-2: v3 answers in place of" in loaded.stdout) == (0, True), loaded
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


def test_a_model_is_changed_on_the_edges_that_have_it_and_no_other(
    tmp_path: Path, command: Callable[..., EdgeCommand]
) -> None:
    # A file replaced the only model of each edge, whatever it was called, and an edge without the model was a failure.
    fraud, neg = (
        command(
            *("--model", str(onnx_models.linear(tmp_path / f"{name}.onnx", [factor]))),
            *("--listen", ":0", "--region", f"of-{name}", "--name", f"edge-{name}"),
        )
        for name, factor in (("fraud", 2), ("neg", -1))
    )
    rows = [line.split()[:4] for line in bodega(tmp_path, "models").stdout.splitlines()]
    for name, edge in (("fraud", fraud), ("neg", neg)):
        assert [f"edge-{name}", f"of-{name}", str(edge.pid), name] in rows
    listed = [json.loads(line) for line in bodega(tmp_path, "models", "--json").stdout.splitlines()]
    assert sorted((each["edge"], each["region"], each["name"]) for each in listed) == [
        ("edge-fraud", "of-fraud", "fraud"),
        ("edge-neg", "of-neg", "neg"),
    ]
    new = str(times(tmp_path, 3))
    for options in ([], ["--json"]):
        refused = bodega(tmp_path, "models", "load", new, *options)
        assert refused.returncode == 1
        said = json.loads(refused.stdout)["error"] if options else refused.stderr
        for word in ("fraud", "neg", "--name"):
            assert word in said
    assert [predict(edge.url, [1])["prediction"] for edge in (fraud, neg)] == [2.0, -1.0]
    loaded = bodega(tmp_path, "models", "load", new, "--name", "fraud", "--version", "v3")
    assert (loaded.returncode, "fraud: v3 answers" in loaded.stdout) == (0, True), loaded
    assert [predict(edge.url, [1])["prediction"] for edge in (fraud, neg)] == [3.0, -1.0]
    again = bodega(tmp_path, "models", "load", str(onnx_models.linear(tmp_path / "neg.onnx", [-2])), "--json")
    assert (again.returncode, json.loads(again.stdout)["model"]) == (0, "neg"), again
    assert [predict(edge.url, [1])["prediction"] for edge in (fraud, neg)] == [3.0, -2.0]
    nowhere = bodega(tmp_path, "models", "unload", "fraud@v4")
    assert (nowhere.returncode, "no edge has fraud@v4: there is" in nowhere.stderr) == (1, True), nowhere
    unloaded = bodega(tmp_path, "models", "unload", "fraud", "--json")
    assert (unloaded.returncode, json.loads(unloaded.stdout)["before"]) == (0, "v3"), unloaded


def test_the_command_teaches() -> None:
    for command, words in [
        (["models"], ["load", "unload", "bodega models load fraud-v2.onnx"]),
        (["models", "load"], ["golden examples", "--name", "curl"]),
    ]:
        arguments = [sys.executable, "-m", "bodega", *command, "--help"]
        said = subprocess.run(arguments, capture_output=True, text=True, timeout=50, check=True).stdout
        for word in words:
            assert word in said
