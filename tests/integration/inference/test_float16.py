"""Floats of 16 bits, by a real model of such."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper
from tests.integration.inference import onnx_models
from tests.integration.inference.test_predict import post

from bodega import Behavior, Distribution, EdgeServer, Model
from bodega.distributions import Golden

if TYPE_CHECKING:
    from pathlib import Path


def half(path: Path) -> Path:
    """``float16[n, 3]`` to ``float16[n, 1]``: the sum of the row, twice."""
    return onnx_models.save(
        path,
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": (TensorProto.FLOAT16, ["n", 3])},
        {"y": (TensorProto.FLOAT16, ["n", 1])},
        [helper.make_tensor("w", TensorProto.FLOAT16, [3, 1], np.full(3, 2, np.float16).tobytes(), raw=True)],
    )


def test_numbers_are_rounded_to_float16_and_bytes_taken_as_they_are(tmp_path: Path) -> None:
    model = Model(str(half(tmp_path / "half.onnx")), golden=[Golden([1, 2, 0.5], prediction=7)])
    behavior = Behavior(["/predict", "/v2/*"], origin=model, policy="predictions", methods=["GET", "POST"])
    with EdgeServer("eu-west-2", distribution=Distribution("ml", behaviors=[behavior])) as edge:
        url = f"{edge.url}/predict"
        assert post(url, {"features": [1, 2, 0.5]})[1]["prediction"] == 7.0
        first, again = (post(url, {"features": [0.1, 0, row]})[1] for row in (0, -0.0))
        assert (np.float16(first["prediction"]), again["cached"]) == (np.float16(0.1) * 2, True)
        assert post(url, {"features": [0.10000001, 0, 0]})[1]["cached"] is True, "the same float16"
        status, refused, _ = post(url, {"features": [1, 70_000, 0]})
        assert (status, "float16" in refused["expected"]) == (400, True), refused
        assert post(url, {"features": [40_000, 0, 0]})[1]["prediction"] is None, "infinite: JSON has no number for it"
        with urllib.request.urlopen(f"{edge.url}/v2/models/half") as answer:
            said = json.load(answer)
        assert {each["datatype"] for each in said["inputs"] + said["outputs"]} == {"FP16"}
        rows = np.array([[1, 2, 0.5], [3, -0.0, 0.25]], np.float16)
        tensor = {"name": "x", "shape": [2, 3], "datatype": "FP16", "parameters": {"binary_data_size": rows.nbytes}}
        asked = {"inputs": [tensor], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}
        head = json.dumps(asked).encode()
        request = urllib.request.Request(
            f"{edge.url}/v2/models/half/infer",
            head + rows.tobytes(),
            {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"},
        )
        with urllib.request.urlopen(request) as answer:
            length = int(answer.headers["Inference-Header-Content-Length"])
            body = answer.read()
        (output,) = json.loads(body[:length])["outputs"]
        assert (output["datatype"], output["shape"]) == ("FP16", [2, 1])
        assert np.frombuffer(body[length:], np.float16).tolist() == [7.0, 6.5]
