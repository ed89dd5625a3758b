"""What a model is made of: its file, the weights beside it, and nothing that is no file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from tests.integration.inference import onnx_models
from tests.integration.inference.onnx_models import save
from tests.integration.inference.test_swaps import ask, serve, times

from bodega import Model
from bodega.errors import ConfigInvalid, ModelRefused

if TYPE_CHECKING:
    from collections.abc import Callable


def with_weights_beside(path: Path, weight: float) -> Path:
    """``float32[n, 1]`` to ``float32[n, 1]``: so many times the input, with its weights in another file."""
    model = onnx.load(str(onnx_models.linear(path, [weight])))
    for tensor in model.graph.initializer:
        # Only what is written as bytes can stand elsewhere.
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    external_data_helper.convert_model_to_external_data(model, location=f"{path.name}.data", size_threshold=0)
    (path.parent / f"{path.name}.data").unlink(missing_ok=True)
    onnx.save(model, str(path))
    return path


def named(path: Path, location: str) -> Path:
    """The same, with another name for the file of its weights."""
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_graph_are_part_of_the_version(tmp_path: Path) -> None:
    file = with_weights_beside(tmp_path / "fraud.onnx", 2)
    graph, weights = file.read_bytes(), tmp_path / "fraud.onnx.data"
    with serve(Model(str(file))) as edge:
        [before] = edge.models()
        assert before.bytes == len(graph) + weights.stat().st_size
        assert [ask(edge, 3)[0], ask(edge, 3)[2]] == [6.0, True]
        with_weights_beside(file, 5)
        assert file.read_bytes() == graph, "only the weights are others"
        swap = edge.update_model("fraud")
        assert (swap.before, swap.version != before.version) == (before.version, True)
        assert ask(edge, 3) == (15.0, swap.version, False)
        assert edge.update_model("fraud").before is None
    # Another process comes to the same.
    with serve(Model(str(file))) as edge:
        assert edge.models()[0].version == swap.version


def test_weights_are_found_through_links(tmp_path: Path) -> None:
    """As where files are kept by their digests, and models are folders of links to them."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "models").mkdir()
    with_weights_beside(tmp_path / "blobs/fraud.onnx", 2)
    for name in ("fraud.onnx", "fraud.onnx.data"):
        (tmp_path / "models" / name).symlink_to(tmp_path / "blobs" / name)
    with serve(Model(str(tmp_path / "models/fraud.onnx"))) as edge:
        assert ask(edge, 3)[0] == 6.0


def table(path: Path, location: str) -> Path:
    """``float32[n, 1]`` to ``float32[n, 1]``: what stands in that place of a table: its number."""
    save(
        path,
        [
            helper.make_node("Cast", ["x"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["numbers", "place"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["n", 1])},
        {"y": (TensorProto.FLOAT, ["n", 1])},
        [numpy_helper.from_array(np.arange(1_000_000, dtype=np.float32), "numbers")],
    )
    model = onnx.load(str(path))
    (path.parent / location).parent.mkdir(exist_ok=True)
    external_data_helper.convert_model_to_external_data(model, location=location, size_threshold=0)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("location", ["fraud.onnx.data", "weights/all.bin"])
@pytest.mark.parametrize("isolated", [False, True])
def test_who_writes_over_weights_or_cuts_them_changes_nothing_of_what_serves(
    tmp_path: Path, location: str, *, isolated: bool
) -> None:
    file = table(tmp_path / "fraud.onnx", location)
    weights = tmp_path / location
    with serve(Model(str(file), isolated=isolated)) as edge:
        [loaded] = edge.models()
        assert ask(edge, 7)[0] == 7.0
        with weights.open("r+b") as written:
            written.write(bytes(3_000_000))
        assert ask(edge, 8) == (8.0, loaded.version, False)
        weights.write_bytes(b"")
        assert ask(edge, 999_999) == (999_999.0, loaded.version, False)
        with pytest.raises(ModelRefused):
            edge.update_model("fraud")
        assert ask(edge, 500_000) == (500_000.0, loaded.version, False)
        assert str(weights) not in Path("/proc/self/maps").read_text()


def outside(file: Path) -> None:
    shutil.move(f"{file}.data", file.parent.parent / "weights.data")
    named(file, "../weights.data")


def absolute(file: Path) -> None:
    named(file, f"{file}.data")


def linked(file: Path) -> None:
    shutil.move(f"{file}.data", file.parent.parent / "weights.data")
    Path(f"{file}.data").symlink_to(file.parent.parent / "weights.data")


def missing(file: Path) -> None:
    Path(f"{file}.data").unlink()


def piped(file: Path) -> None:
    Path(f"{file}.data").unlink()
    os.mkfifo(f"{file}.data")


def replaced_by_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def replaced_by_a_device(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (outside, "not in the model's folder"),
        (absolute, "not in the model's folder"),
        (linked, "not in the model's folder"),
        (missing, "no such file"),
        (piped, "no regular file"),
        (replaced_by_a_pipe, "no regular file"),
        (replaced_by_a_device, "no regular file"),
    ],
)
def test_what_cannot_be_read_is_refused_and_what_served_goes_on(
    tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    (tmp_path / "new").mkdir()
    file = with_weights_beside(tmp_path / "new/fraud.onnx", 2)
    change(file)
    with serve(Model(str(times(tmp_path, 4)), name="fraud")) as edge:
        with pytest.raises(ModelRefused, match=words):
            edge.update_model("fraud", file)
        with pytest.raises(ConfigInvalid, match=words):
            edge.reload(serve(Model(str(file), name="fraud"))._declarations)
        assert ask(edge, 3)[0] == 12.0
    with pytest.raises(ConfigInvalid, match=words):
        serve(Model(str(file), name="fraud")).start()
