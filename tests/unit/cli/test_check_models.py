"""`bodega check` of a file with models: what cannot be served is wrong."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from tests.integration.inference import onnx_models

from bodega.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    # As where the command is a script: its folder is not the one where it is started.
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    onnx_models.linear(tmp_path / "fraud.onnx", [1.0])
    return tmp_path


def check(capsys: pytest.CaptureFixture[str], origin: str, more: str = "") -> tuple[int, str]:
    Path("bodega.toml").write_text(
        f'[origins]\nm = {{ {origin} }}\n[distributions.d]\n{more}\nbehaviors = [{{ origin = "m" }}]\n'
    )
    with pytest.raises(SystemExit) as ended:
        main(["check"])
    return int(ended.value.code or 0), capsys.readouterr().err


def test_a_model_that_is_there_is_right(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "runners.py").write_text("raise SystemExit('nothing of it is imported')")
    (folder / "beside").mkdir()
    (folder / "code").mkdir()
    (folder / "code" / "near.py").touch()
    (folder / "beside" / "model.toml").write_text('model = "../fraud.onnx"')
    for origin in (
        'model = "fraud.onnx"',
        'model = "beside"',
        'runner = "runners:Fraud"',
        'runner = "runners.deeper:Fraud", model = "fraud.onnx"',
        'runner = "near:Near", model = "code"',
        'runner = "json:Any"',
    ):
        assert check(capsys, origin) == (0, "")


def test_a_model_that_no_edge_can_load_is_wrong_with_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # All of these were called right, and no edge started with them.
    whole = (folder / "fraud.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[:-20])
    (folder / "text.onnx").write_text("these are no weights\n" * 100)
    (folder / "empty.onnx").touch()
    (folder / "zeros.onnx").write_bytes(bytes(1_000))
    (folder / "bare").mkdir()
    os.mkfifo(folder / "pipe.onnx")
    for origin, field, words in [
        ('model = "nothere.onnx"', "model", "nothere.onnx: there is no such file"),
        ('model = "cut.onnx"', "model", "cut.onnx: it is no ONNX model"),
        ('model = "text.onnx"', "model", "text.onnx: it is no ONNX model"),
        ('model = "empty.onnx"', "model", "empty.onnx: it is no ONNX model: it has no graph"),
        ('model = "zeros.onnx"', "model", "zeros.onnx: it is no ONNX model"),
        ('model = "bare"', "model", "bare: a folder without a model.toml"),
        ('model = "pipe.onnx"', "model", "pipe.onnx: that is no regular file"),
        ('runner = "nomod:Cls"', "runner", 'there is no module "nomod"'),
        ('runner = "nomod.deep:Cls", model = "fraud.onnx"', "runner", 'there is no module "nomod"'),
        ('runner = "json:Any", model = "nothere.txt"', "model", "nothere.txt: there is no such file"),
    ]:
        status, said = check(capsys, origin)
        assert (status, f"error: bodega.toml:2: origins.m.{field}: {words}" in said) == (2, True), said


def test_a_model_for_other_machines_is_not_looked_for_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys, 'model = "nothere.onnx"', 'edges = ["gpu-*"]')[0] == 0


def test_models_in_behaviors_and_groups_are_looked_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bodega.toml").write_text(
        """
[origins]
a = { model = "a.onnx" }
b = { model = "fraud.onnx" }
all = { models = ["a", "b"] }
[distributions.d]
behaviors = [
  { path = "/inline", origin = { model = "c.onnx" } },
  { origin = "all" },
]
"""
    )
    with pytest.raises(SystemExit) as ended:
        main(["check", "--json"])
    assert ended.value.code == 2
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] is False
    found = [(each["line"], each["what"].partition(":")[0]) for each in report["problems"]]
    assert sorted(found) == [(3, "a.onnx"), (8, "c.onnx")]
