"""KServe's Open Inference Protocol, version 2, over real sockets."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.integration.inference import onnx_models

from bodega import EdgeMLServer, Model
from bodega.errors import ConfigInvalid

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
    assert "binary_tensor_data" in client.get("/v2").json()["extensions"]
    for path, told in [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/fraud/ready", {"name": "fraud", "ready": True}),
        ("/v2/models/fraud/versions/v1/ready", {"name": "fraud", "ready": True}),
    ]:
        # KServe's own client asks these members.
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (200, told), path
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


def infer(url: str, model: str, inputs: list[dict[str, Any]], **fields: str) -> httpx.Response:
    return httpx.post(
        f"{url}/v2/models/{model}/infer", json={"inputs": inputs}, headers=fields, timeout=60, trust_env=False
    )


def test_the_axis_of_rows_stands_before_an_output_that_has_none(tmp_path: Path) -> None:
    with EdgeMLServer(onnx_models.total(tmp_path / "total.onnx")) as server:
        for n_rows in (0, 1, 3):
            values = [[row, row, row] for row in range(n_rows)]
            tensor = {"name": "x", "shape": [n_rows, 3], "datatype": "FP32", "data": values}
            (output,) = infer(server.url, "total", [tensor]).json()["outputs"]
            expected = [3.0 * row for row in range(n_rows)]
            assert output == {"name": "y", "datatype": "FP32", "shape": [n_rows], "data": expected}
        told = httpx.get(f"{server.url}/v2/models/total", trust_env=False).json()
        assert told["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1]}]


def test_rows_whose_outputs_have_several_shapes_are_told_to_come_alone(tmp_path: Path) -> None:
    with EdgeMLServer(onnx_models.nonzero(tmp_path / "nonzero.onnx")) as server:
        values = [[1, 0, 0], [1, 0, 1]]
        tensor = {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": values}
        answer = infer(server.url, "nonzero", [tensor])
        assert answer.status_code == 422
        assert "INT64[2, 1] of row 0, INT64[2, 2] of row 1. Ask for them one by one" in answer.json()["error"]
        for row, expected in zip(values, ([0, 0], [0, 0, 0, 2]), strict=True):
            tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [row]}
            (output,) = infer(server.url, "nonzero", [tensor]).json()["outputs"]
            assert (output["shape"], output["data"]) == ([1, 2, len(expected) // 2], expected)


def test_the_row_is_named_that_the_model_failed_for(tmp_path: Path) -> None:
    with EdgeMLServer(onnx_models.picky(tmp_path / "picky.onnx")) as server:
        tensor = {"name": "at", "shape": [3, 1], "datatype": "INT64", "data": [0, 7, 1]}
        answer = infer(server.url, "picky", [tensor])
        assert (answer.status_code, answer.json()["error"].startswith("row 1: ")) == (500, True), answer.text
        body = {"features": [[0], [1], [2], [7]]}
        answer = httpx.post(f"{server.url}/batch_predict", json=body, trust_env=False)
        assert (answer.status_code, answer.json()["field"]) == (500, "features[3]")
        answer = httpx.post(f"{server.url}/predict", json={"features": [7]}, trust_env=False)
        assert (answer.status_code, "field" in answer.json()) == (500, False)


def test_many_numbers_for_few_are_answered_whole_and_too_many_are_refused(tmp_path: Path) -> None:
    """A packed request of 111 bytes held up the hits of its thread for most of a second, with an answer of 33 MB."""
    n_embedded = 768
    with EdgeMLServer(onnx_models.embedding(tmp_path / "emb.onnx", n_embedded)) as server:

        def ask(n_rows: int, number: int) -> httpx.Response:
            tensor = {"name": "id", "shape": [n_rows, 1], "datatype": "INT64", "data": [number] * n_rows}
            return infer(server.url, "emb", [tensor])

        expected = (np.float32(3) * np.array([0.1234567 * at for at in range(n_embedded)], np.float32)).tolist()
        for _ in range(2):
            (output,) = ask(500, 3).json()["outputs"]
            assert output["shape"] == [500, n_embedded]
            data = np.array(output["data"], np.float32).reshape(output["shape"])
            assert (data == np.array(expected, np.float32)).all()
        body = {"features": [[3]] * 500}
        answer = httpx.post(f"{server.url}/batch_predict", json=body, timeout=60, trust_env=False)
        predictions = np.array(answer.json()["predictions"], np.float32)
        assert (predictions == np.tile(np.array(expected, np.float32), (500, 1))).all()

    # Of 6 KiB each, 4,096 rows are 24 MiB.
    with EdgeMLServer(onnx_models.embedding(tmp_path / "wide.onnx", 2 * n_embedded)) as server:
        tensor = {"name": "id", "shape": [4_096, 1], "datatype": "INT64", "data": [3] * 4_096}
        for answer in (
            infer(server.url, "wide", [tensor]),
            httpx.post(f"{server.url}/batch_predict", json={"features": [[3]] * 4_096}, timeout=60, trust_env=False),
        ):
            assert answer.status_code == 413
            assert "4096 rows are more than 16 MiB together: ask for fewer at once" in answer.json()["error"]


def test_a_double_is_answered_as_it_was_asked_in_every_form(tmp_path: Path) -> None:
    """One of five doubles came back as another one, and two that are not equal were one row."""
    n_features = 100
    values = np.random.default_rng(7).random((50, n_features)) * 10.0 ** np.arange(-50, 50)
    with EdgeMLServer(onnx_models.doubles(tmp_path / "same.onnx", n_features)) as server:
        body = {"features": values.tolist()}
        answer = httpx.post(f"{server.url}/batch_predict", json=body, timeout=60, trust_env=False)
        assert answer.json()["predictions"] == values.tolist()
        tensor = {"name": "x", "shape": list(values.shape), "datatype": "FP64"}
        by_json = infer(server.url, "same", [{**tensor, "data": values.tolist()}])
        assert by_json.json()["outputs"][0]["data"] == values.ravel().tolist()
        head = {"inputs": [{**tensor, "parameters": {"binary_data_size": values.nbytes}}]}
        content, fields = as_bytes(head, values.tobytes())
        url = f"{server.url}/v2/models/same/infer"
        by_bytes = httpx.post(url, content=content, headers=fields, trust_env=False)
        for each in (by_json, by_bytes):
            assert "; hit" in each.headers["cache-status"], "the rows of /batch_predict"
        for near in (0.0015173985598587237, 0.0015173985598587235):
            row = [near] * n_features
            answer = httpx.post(f"{server.url}/predict", json={"features": row}, trust_env=False)
            assert (answer.json()["cached"], answer.json()["prediction"]) == (False, row)


def test_an_error_is_no_longer_than_it_has_to_be(client: httpx.Client) -> None:
    """A shape of 300,000 axes came back twice, in an error three times as long as the request."""
    for tensor in (
        {"name": "x", "shape": [1] * 300_000, "datatype": "FP32", "data": [1]},
        {"name": "x" * 600_000, "shape": [1, 2], "datatype": "FP32", "data": [1, 2]},
        {"name": "x", "shape": [1, 2], "datatype": "F" * 600_000, "data": [1, 2]},
        {"name": "x", "shape": "x" * 600_000, "datatype": "FP32", "data": [1, 2]},
    ):
        answer = client.post("/v2/models/fraud/infer", json={"inputs": [tensor]})
        assert answer.status_code == 400
        assert len(answer.content) < 4_000
    for features in ({"x" * 600_000: 1}, ["x" * 600_000], "x" * 600_000):
        answer = client.post("/predict", json={"features": features})
        assert (answer.status_code, len(answer.content) < 4_000) == (400, True)


def test_null_is_nothing(client: httpx.Client) -> None:
    tensor = {**rows([[1, 2]]), "parameters": None}
    body = {"id": None, "parameters": None, "inputs": [tensor], "outputs": None}
    assert client.post("/v2/models/fraud/infer", json=body).json()["outputs"][0]["data"] == [5.0]
    body["outputs"] = [{"name": "y", "parameters": None}]
    assert client.post("/v2/models/fraud/infer", json=body).json()["outputs"][0]["data"] == [5.0]


def test_more_inputs_than_are_taken_are_refused_when_the_graph_is_read(tmp_path: Path) -> None:
    names = [f"x{at}" for at in range(1_500)]
    wide = onnx_models.save(
        tmp_path / "wide.onnx",
        [helper.make_node("Sum", names, ["y"])],
        {name: (TensorProto.FLOAT, ["n", 1]) for name in names},
        {"y": (TensorProto.FLOAT, ["n", 1])},
    )
    with pytest.raises(ConfigInvalid, match="it has 1500 inputs: at most 1024 are taken"):
        EdgeMLServer(wide).start()


def test_an_input_without_a_shape_is_refused_when_the_graph_is_read(tmp_path: Path) -> None:
    path = onnx_models.linear(tmp_path / "open.onnx", [1.0, 2.0])
    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, str(path))
    with pytest.raises(ConfigInvalid, match="its input `x` has no shape"):
        EdgeMLServer(path).start()
