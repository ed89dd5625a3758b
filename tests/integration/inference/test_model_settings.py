"""What is said of a model beside its file: how long predictions are kept, what is ignored, what it has to answer."""

from __future__ import annotations

import importlib
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from onnx import TensorProto, helper
from tests.integration.inference import onnx_models
from tests.integration.inference.test_predict import post, serve

from bodega import Behavior, Distribution, Golden, Model
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path


def two_inputs(path: Path) -> Path:
    """``a`` and ``b``, each ``float32[n, 1]``, to their sum."""
    return onnx_models.save(
        path,
        [helper.make_node("Add", ["a", "b"], ["y"])],
        {"a": (TensorProto.FLOAT, ["n", 1]), "b": (TensorProto.FLOAT, ["n", 1])},
        {"y": (TensorProto.FLOAT, ["n", 1])},
    )


def normalizing(path: Path) -> Path:
    """``float32[n, 1]`` to ``float32[n, 1]``: less the mean of all rows of a run, which a free axis does not tell."""
    return onnx_models.save(
        path,
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["n", 1])},
        {"y": (TensorProto.FLOAT, ["n", 1])},
    )


def ttl_of(fields: dict[str, str]) -> int:
    return int(fields["cache-status"].split("ttl=")[1].split(";")[0])


def test_a_model_says_how_long_its_predictions_are_kept_and_the_policy_bounds_it(tmp_path: Path) -> None:
    file = str(onnx_models.linear(tmp_path / "fraud.onnx", [2.0]))
    for model, policy, bounds in [
        (Model(file), {}, (200, 300)),
        (Model(file, ttl="1h"), {}, (3500, 3600)),
        (Model(file, ttl="1h"), {"max_ttl": "20m"}, (1100, 1200)),
    ]:
        with serve(model, **policy) as edge:
            post(f"{edge.url}/predict", {"features": [1]})
            fields = post(f"{edge.url}/predict", {"features": [1]})[2]
            assert bounds[0] < ttl_of(fields) <= bounds[1], fields
    with serve(Model(file, ttl="0")) as edge:
        cached = [post(f"{edge.url}/predict", {"features": [1]})[1]["cached"] for _ in range(2)]
        assert cached == [False, False]


def test_what_is_ignored_reaches_the_model_and_is_not_in_the_key(tmp_path: Path) -> None:
    file = str(two_inputs(tmp_path / "sum.onnx"))
    with serve(Model(file, ignored=["a", "trace"])) as edge:

        def ask(a: float, b: float, **more: Any) -> tuple[float, bool]:
            answer = post(f"{edge.url}/predict", {"features": {"a": a, "b": b, **more}})[1]
            return answer["prediction"], answer["cached"]

        assert ask(1, 2, trace={"id": 7}) == (3.0, False)
        assert ask(5, 2, trace="x") == (3.0, True), "computed for the first one that asked"
        assert ask(5, 3) == (8.0, False), "the input that is ignored reaches the model"
        status, refused, _ = post(f"{edge.url}/predict", {"features": {"a": 1, "b": 2, "trail": 1}})
        assert (status, refused["field"]) == (400, "features.trail")
    with pytest.raises(ConfigInvalid, match="nothing is left to tell rows apart"):
        serve(Model(file, ignored=["a", "b"])).start()


def test_a_model_that_answers_otherwise_than_expected_is_not_put_in_force(tmp_path: Path) -> None:
    file = str(onnx_models.linear(tmp_path / "fraud.onnx", [2.0, 1.0]))
    right = [Golden([1, 0.5], prediction=2.5), Golden([1, 1]), Golden({"x": [0, 1]}, prediction=1.00001)]
    with serve(Model(file, golden=right)) as edge:
        assert post(f"{edge.url}/predict", {"features": [1, 0.5]})[1]["prediction"] == 2.5
    for wrong, words in [
        (Golden([1, 0.5], prediction=2.6), ["golden[1]", "for [1, 0.5] expected 2.6, got 2.5"]),
        (Golden([1, 0.5], prediction="high"), ['expected "high", got 2.5']),
        (Golden([1]), ["float32[2]", "float32[1]"]),
    ]:
        with pytest.raises(ConfigInvalid) as refused:
            serve(Model(file, golden=[right[0], wrong])).start()
        for word in [*words, "fraud.onnx"]:
            assert word in str(refused.value)


def test_rows_that_change_each_other_are_not_batched(tmp_path: Path) -> None:
    model = Model(str(normalizing(tmp_path / "norm.onnx")), golden=[Golden([3], prediction=0)])
    rows = {"features": [[1], [2], [6]]}
    with serve(model) as edge:
        assert post(f"{edge.url}/batch_predict", rows)[1]["predictions"] == [0.0, 0.0, 0.0]


def test_several_threads_answer_the_same(tmp_path: Path) -> None:
    file = str(onnx_models.linear(tmp_path / "fraud.onnx", [2.0, 1.0]))
    with serve(Model(file, threads=2, batch_wait="2ms")) as edge:
        answer = post(f"{edge.url}/batch_predict", {"features": [[at, 1] for at in range(20)]})[1]
        assert answer["predictions"] == [2.0 * at + 1 for at in range(20)]


def has_cuda() -> bool:
    onnxruntime: Any = importlib.import_module("onnxruntime")
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


@pytest.mark.skipif(has_cuda(), reason="this library has CUDA")
def test_without_cuda_a_model_that_wants_it_is_refused(tmp_path: Path) -> None:
    file = str(onnx_models.linear(tmp_path / "fraud.onnx", [2.0]))
    with pytest.raises(ConfigInvalid, match="onnxruntime-gpu") as refused:
        serve(Model(file, provider="cuda")).start()
    assert "fraud.onnx" in str(refused.value)


@pytest.mark.skipif(not has_cuda(), reason="needs onnxruntime-gpu and a device")
def test_cuda_answers_as_the_cpu_does(tmp_path: Path) -> None:
    file = str(onnx_models.linear(tmp_path / "fraud.onnx", [2.0, -1.0, 0.125]))
    rows = {"features": [[at, at / 3, 1 - at] for at in range(64)]}
    answers = []
    for provider in ("cpu", "cuda"):
        with serve(Model(file, provider=provider)) as edge:
            request = urllib.request.Request(f"{edge.url}/batch_predict", data=json.dumps(rows).encode())
            with urllib.request.urlopen(request, timeout=60) as response:
                answers.append(json.load(response)["predictions"])
    assert answers[1] == pytest.approx(answers[0], rel=1e-5)


def test_a_model_in_the_edge_is_bounded_by_what_it_takes_on_trial(tmp_path: Path) -> None:
    file = str(onnx_models.linear(tmp_path / "fraud.onnx", [2.0]))
    with serve(Model(file, max_memory="1GB")) as edge:
        (model,) = edge.models()
        assert model.process_bytes is None
        assert model.trial_bytes is not None
        assert 10_000_000 < model.trial_bytes < 1_000_000_000
        with pytest.raises(ConfigInvalid, match=r"on trial: it took \d+ bytes of memory, of 16777216 that it may"):
            edge.reload(Distribution("ml", behaviors=[Behavior(origin=Model(file, max_memory="16MiB"))]))
        assert edge.models() == [model]
