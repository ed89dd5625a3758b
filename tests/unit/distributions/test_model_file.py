from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bodega.config import parse_config
from bodega.distributions import Declarations, Golden, Model
from bodega.errors import ConfigInvalid

FRAUD = """
model = "weights.onnx"
name = "fraud"
version = "v3"
ttl = "10m"
ignored = ["request_id"]
max_batch = 8

[[golden]]
features = [0.5, 1.2, 3]
prediction = 0.25

[[golden]]
features = { age = 7, name = ["a", "b"] }
tolerance = 0.01
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.toml").write_text(FRAUD)
    return tmp_path


@pytest.mark.parametrize("is_file", [False, True])
def test_a_file_says_what_arguments_would(folder: Path, is_file: bool) -> None:
    said = Model(folder / "model.toml" if is_file else folder)
    assert said == Model(
        str(folder / "weights.onnx"),
        name="fraud",
        version="v3",
        ttl="10m",
        ignored=["request_id"],
        max_batch=8,
        golden=[
            Golden([0.5, 1.2, 3], prediction=0.25),
            Golden({"age": 7, "name": ["a", "b"]}, tolerance=0.01),
        ],
    )
    assert said.timeout == "10s"


def test_arguments_win_over_the_file(folder: Path) -> None:
    said = Model(folder, version="v4", max_batch=64, golden=[])
    assert (said.version, said.max_batch, said.golden, said.name) == ("v4", 64, (), "fraud")
    [distribution] = Declarations.of_models([str(folder)], ttl="1h").distributions
    origin = distribution.behaviors[0].origin
    assert isinstance(origin, Model)
    assert origin.ttl == "1h"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('model = "a.onnx"\nmaxbatch = 4\n', 2, ['"maxbatch" is not known', 'did you mean "max_batch"?']),
        ('model = "a.onnx"\n\ntimeout = "0s"\n', 3, ["timeout", "no time"]),
        ('model = "a.onnx"\nttl = 5\n', 2, ["ttl"]),
        ("[[golden]]\nfeatures = [1]\n[[golden]]\nprediction = 1\n", 3, ["`features` is missing"]),
        ("model = a.onnx\n", 1, ["not TOML", "quotes"]),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    (tmp_path / "model.toml").write_text(text)
    with pytest.raises(ConfigInvalid) as refused:
        Model(tmp_path)
    assert (refused.value.file, refused.value.line) == (str(tmp_path / "model.toml"), line)
    for word in words:
        assert word in str(refused.value)


def test_what_an_argument_has_wrong_is_not_the_files_fault(folder: Path) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        Model(folder, threads=0)
    assert (refused.value.file, refused.value.path) == (None, ("threads",))


def test_without_a_name_the_only_model_of_the_folder_is_meant(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("max_batch = 4\n")
    with pytest.raises(ConfigInvalid, match=r"no \.onnx"):
        Model(tmp_path)
    (tmp_path / "fraud.onnx").touch()
    assert Model(tmp_path).model == str(tmp_path / "fraud.onnx")
    (tmp_path / "other.onnx").touch()
    with pytest.raises(ConfigInvalid, match="2 files"):
        Model(tmp_path)
    assert Model(tmp_path, runner="shop.models:Fraud").model == str(tmp_path)


def test_a_bodega_toml_names_a_folder_and_says_whose_line_is_wrong(folder: Path) -> None:
    text = f'[origins]\nfraud = {{ model = "{folder}", max_queue = 5 }}\n'
    model: Any = parse_config(text).declarations.origins["fraud"]
    assert (model.version, model.max_queue) == ("v3", 5)
    (folder / "model.toml").write_text("\nfast = true\n")
    with pytest.raises(ConfigInvalid) as refused:
        parse_config(text)
    assert (refused.value.file, refused.value.line) == (str(folder / "model.toml"), 2)
