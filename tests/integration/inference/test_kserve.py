"""KServe's Open Inference Protocol, version 2, over real sockets."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from tests.integration.inference import onnx_models

from bodega import EdgeMLServer, Model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EdgeMLServer]:
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])), version="v1")
    with EdgeMLServer(model) as running:
        yield running


@pytest.fixture
def client(server: EdgeMLServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as running:
        yield running


def rows(values: list[list[float]]) -> dict[str, Any]:
    return {"name": "x", "shape": [len(values), 2], "datatype": "FP32", "data": values}


def as_bytes(head: dict[str, Any], *tensors: bytes) -> tuple[bytes, dict[str, str]]:
    """A body by the binary tensor extension, and its fields."""
    text = json.dumps(head).encode()
    return text + b"".join(tensors), {"Inference-Header-Content-Length": str(len(text))}


def test_what_is_there_is_told(client: httpx.Client) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/fraud/ready", "/v2/models/fraud/versions/v1/ready"):
        assert client.get(path).status_code == 200, path
    expected = {
        "name": "fraud",
        "versions": ["v1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
    }
    assert client.get("/v2/models/fraud").json() == expected
    assert client.get("/v2/models/fraud/versions/v1").json() == expected
    index = client.post("/v2/repository/index")
    assert index.json() == [{"name": "fraud", "version": "v1", "state": "READY"}]


def test_what_is_not_there_is_told_with_what_is(client: httpx.Client) -> None:
    for path, words in [
        ("/v2/models/other", "there is fraud"),
        ("/v2/models/fraud/versions/v2", "there is v1"),
        ("/v2/models/fraud/nothing", "no /models/fraud/nothing"),
    ]:
        answer = client.get(path)
        assert (answer.status_code, words in answer.json()["error"]) == (404, True), answer.text
    assert client.get("/v2/models/fraud/infer").status_code == 405


def test_rows_are_those_of_predict(client: httpx.Client, server: EdgeMLServer) -> None:
    assert server.predict([1, 2])["cached"] is False
    body = {"id": "7", "inputs": [rows([[1, 2], [3, 4]])]}
    answer = client.post("/v2/models/fraud/infer", json=body)
    assert answer.json() == {
        "id": "7",
        "model_name": "fraud",
        "model_version": "v1",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [5.0, 11.0]}],
    }
    assert "fwd=uri-miss" in answer.headers["cache-status"]
    again = client.post("/v2/models/fraud/versions/v1/infer", json=body)
    assert "; hit" in again.headers["cache-status"]
    assert server.predict([3, 4])["cached"] is True


def test_tensors_as_bytes(client: httpx.Client, server: EdgeMLServer) -> None:
    values = np.array([[1, 2], [0.5, -0.0]], dtype=np.float32)
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": values.nbytes}}
    body, fields = as_bytes({"inputs": [tensor], "parameters": {"binary_data_output": True}}, values.tobytes())
    answer = client.post("/v2/models/fraud/infer", content=body, headers=fields)
    assert answer.headers["content-type"] == "application/octet-stream"
    n_head = int(answer.headers["inference-header-content-length"])
    head = json.loads(answer.content[:n_head])
    assert head["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 1], "parameters": {"binary_data_size": 8}}
    ]
    assert struct.unpack("<2f", answer.content[n_head:]) == (5.0, 0.5)
    assert server.predict([0.5, 0])["cached"] is True, "zero is zero with either sign"


def test_a_row_with_a_nan_is_computed_and_not_kept(client: httpx.Client) -> None:
    values = np.array([[1, np.nan], [7, 7]], dtype=np.float32)
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": values.nbytes}}
    output = {"name": "y", "parameters": {"binary_data": True}}
    body, fields = as_bytes({"inputs": [tensor], "outputs": [output]}, values.tobytes())
    for _ in range(2):
        answer = client.post("/v2/models/fraud/infer", content=body, headers=fields)
        assert answer.status_code == 200
        found = np.frombuffer(answer.content[int(answer.headers["inference-header-content-length"]) :], np.float32)
        assert np.isnan(found[0])
        assert found[1] == 21.0
        assert "; hit" not in answer.headers["cache-status"]
    assert "; hit" in client.post("/v2/models/fraud/infer", json={"inputs": [rows([[7, 7]])]}).headers["cache-status"]


def test_strings_booleans_and_integers_as_bytes(tmp_path: Path) -> None:
    words = b"".join(struct.pack("<I", len(word)) + word for word in (b"a", "ü".encode()))
    counts = np.array([[2**60, -3]], dtype=np.int64).tobytes()
    inputs = [
        {"name": "words", "shape": [1, 2], "datatype": "BYTES", "parameters": {"binary_data_size": len(words)}},
        {"name": "on", "shape": [1], "datatype": "BOOL", "data": [True]},
        {"name": "count", "shape": [1, 2], "datatype": "INT64", "parameters": {"binary_data_size": len(counts)}},
    ]
    with EdgeMLServer(onnx_models.typed(tmp_path / "typed.onnx")) as server:
        body, fields = as_bytes({"inputs": inputs}, words, counts)
        answer = httpx.post(f"{server.url}/v2/models/typed/infer", content=body, headers=fields, trust_env=False)
        found = {each["name"]: each["data"] for each in answer.json()["outputs"]}
        assert found == {"twice": [2**61, -6], "off": [False], "said": ["a", "ü"]}


@pytest.mark.parametrize(
    ("tensor", "status", "words"),
    [
        ({"shape": [1, 3], "data": [1, 2, 3]}, 400, "FP32[1, 3]"),
        ({"datatype": "INT64"}, 400, "INT64[1, 2]"),
        ({"name": "z"}, 400, "no such input"),
        ({"data": [1]}, 400, "1 elements"),
        ({"data": None, "parameters": {"binary_data_size": 8}}, 400, "ends before"),
    ],
)
def test_what_is_wrong_is_told(client: httpx.Client, tensor: dict[str, Any], status: int, words: str) -> None:
    answer = client.post("/v2/models/fraud/infer", json={"inputs": [{**rows([[1, 2]]), **tensor}]})
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_a_body_under_a_coding_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v2/models/fraud/infer", content=b"x", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
