"""Whose part of an output is whose: rows share runs only where each gets what it gets alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.integration.inference import onnx_models
from tests.integration.inference.test_predict import post, serve
from tests.integration.inference.test_runners import Log

from bodega import Behavior, Distribution, EdgeServer, Golden, Model
from bodega.distributions.model import MODEL_PATHS
from bodega.testing import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def positives(path: Path, rows: str = "n", found: str | None = "k") -> Path:
    """``float32[n, 2]`` to ``float32[k]``: all elements over 0, of all rows, one behind the other."""
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["is_over"]),
        helper.make_node("Compress", ["x", "flat"], ["y"]),
    ]
    nodes.insert(1, helper.make_node("Reshape", ["is_over", "all"], ["flat"]))
    return onnx_models.save(
        path,
        nodes,
        {"x": (TensorProto.FLOAT, [rows, 2])},
        {"y": (TensorProto.FLOAT, [found])},  # type: ignore[list-item]
        [
            helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
            helper.make_tensor("all", TensorProto.INT64, [1], [-1]),
        ],
    )


def sums(path: Path, given: str | None, summed: str | None) -> Path:
    """``float32[n, 2]`` to ``float32[n]``: the sum of each row, whatever the axes are called."""
    return onnx_models.save(
        path,
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        {"x": (TensorProto.FLOAT, [given, 2])},  # type: ignore[list-item]
        {"y": (TensorProto.FLOAT, [summed])},  # type: ignore[list-item]
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )


def state(edge: Any) -> tuple[bool, bool]:
    (model,) = edge.models()
    return model.batched, model.mixing


def is_said(log: Log, word: str) -> bool:
    return word in log.text


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("found", ["k", None])
def test_an_output_whose_axis_counts_something_else_is_each_rows_own(
    tmp_path: Path, found: str | None, isolated: bool
) -> None:
    file = str(positives(tmp_path / "positives.onnx", found=found))
    with serve(Model(file, isolated=isolated)) as edge:
        # Two rows, and by chance two numbers: one for each, it would seem.
        answer = post(f"{edge.url}/batch_predict", {"features": [[30, 31], [-1, -2]]})[1]
        assert answer["predictions"] == [[30.0, 31.0], []]
        for row, expected in [([-1, -2], []), ([5, -2], [5.0]), ([30, 31], [30.0, 31.0])]:
            assert post(f"{edge.url}/predict", {"features": row})[1]["prediction"] == expected
        assert state(edge) == (False, True)
        for features in ([[1, 2], [3, 4]], [[3, 4], [1, 2]]):
            assert post(f"{edge.url}/batch_predict", {"features": features})[1]["predictions"] == features


@pytest.mark.parametrize("isolated", [False, True])
def test_rows_share_runs_where_names_or_a_trial_say_that_they_may(tmp_path: Path, isolated: bool) -> None:
    for number, names in enumerate([("n", "n"), (None, None), ("n", None), ("batch", "y_dim_0")]):
        file = str(sums(tmp_path / f"sums{number}.onnx", *names))
        with serve(Model(file, isolated=isolated)) as edge:
            assert state(edge) == (True, False), names
            features = np.arange(20.0).reshape(10, 2).tolist()
            answer = post(f"{edge.url}/batch_predict", {"features": features})[1]
            assert answer["predictions"] == [first + second for first, second in features]


def test_a_trial_finds_what_mixes_rows_without_examples(tmp_path: Path) -> None:
    file = onnx_models.save(
        tmp_path / "norm.onnx",
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["n", 1])},
        {"y": (TensorProto.FLOAT, ["m", 1])},
    )
    with serve(Model(str(file))) as edge:
        assert state(edge) == (False, True)
        rows = {"features": [[1], [2], [6]]}
        assert post(f"{edge.url}/batch_predict", rows)[1]["predictions"] == [0.0, 0.0, 0.0]


def test_what_first_comes_out_otherwise_with_somebodys_row_is_not_batched_from_then_on(tmp_path: Path) -> None:
    """The names say that rows may share runs, and are wrong: a row alone shows it."""
    file = str(positives(tmp_path / "positives.onnx", rows="n", found="n"))
    with serve(Model(file)) as edge:
        assert post(f"{edge.url}/predict", {"features": [1, 2]})[1]["prediction"] == [1.0, 2.0]
        answer = post(f"{edge.url}/batch_predict", {"features": [[30, 31], [-1, -2]]})[1]
        assert answer["predictions"] == [[30.0, 31.0], []]


def test_an_example_is_answered_and_compared_as_each_rows_own(tmp_path: Path) -> None:
    file = str(positives(tmp_path / "positives.onnx"))
    golden = [Golden([3, -1], prediction=[3.0]), Golden([3, 4], prediction=[3.0, 4.0])]
    with serve(Model(file, golden=golden)) as edge:
        assert state(edge) == (False, True)


def test_rows_that_reach_into_each_other_are_found_whatever_the_graph_says(tmp_path: Path) -> None:
    file = onnx_models.save(
        tmp_path / "centred.onnx",
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["n", 2])},
        {"y": (TensorProto.FLOAT, ["n", 2])},
    )
    with serve(Model(str(file))) as edge:
        assert state(edge) == (False, True)
        _, answer, _ = post(f"{edge.url}/batch_predict", {"features": [[1, 2], [3, 4]]})
        assert answer["predictions"] == [[0.0, 0.0], [0.0, 0.0]]


def test_outputs_that_are_no_tensors_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    """As skl2onnx exports a classifier: its probabilities are maps."""
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "scores"],
            domain="ai.onnx.ml",
            coefficients=[-1.0, 1.0],
            intercepts=[0.0, 0.0],
            classlabels_ints=[0, 1],
        ),
        helper.make_node("ZipMap", ["scores"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]),
    ]
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    )
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_value_info("probabilities", maps),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    file = tmp_path / "classifier.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(file))
    for isolated in (False, True):
        behavior = Behavior(MODEL_PATHS, origin=Model(str(file), isolated=isolated))
        with EdgeServer(distribution=Distribution("ml", behaviors=[behavior])) as edge:
            log = Log(edge)
            assert post(f"{edge.url}/predict", {"features": [3]})[1]["prediction"] == 1
            [left_out] = edge.request("GET", "/models/classifier").json()["left_out"]
            assert left_out.startswith("probabilities (")
            wait_until(partial(is_said, log, "zipmap"))
