"""Several models, and several versions of one, on one edge."""

from __future__ import annotations

import struct
import urllib.request
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import httpx
import pytest
from tests.integration.inference import onnx_models
from tests.integration.inference.test_grpc import GRPC, SERVICE, failure, frame, inference, part
from tests.integration.inference.test_predict import post

from bodega import Behavior, Distribution, EdgeServer, Model, ModelGroup
from bodega.distributions.model import MODEL_PATHS
from bodega.errors import ConfigInvalid, ModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeServer]:
    """``fraud`` in two versions, which double and treble, and ``risk``, which takes two inputs."""
    models = [
        Model(str(onnx_models.linear(tmp_path / "two.onnx", [2.0])), name="fraud", version="v2"),
        Model(str(onnx_models.linear(tmp_path / "three.onnx", [3.0])), name="fraud", version="v1"),
        Model(str(onnx_models.linear(tmp_path / "risk.onnx", [1.0, 1.0]))),
    ]
    distribution = Distribution(
        "ml",
        behaviors=[
            Behavior("/fraud/*", origin=models[0]),
            Behavior(MODEL_PATHS, origin=ModelGroup(models)),
        ],
    )
    with EdgeServer(distribution=distribution) as running:
        yield running


def test_models_and_versions_are_asked_by_their_names(edge: EdgeServer) -> None:
    for path, row, answer in [
        ("/models/fraud/predict", [4], (8.0, "fraud", "v2")),
        ("/models/fraud/versions/v2/predict", [4], (8.0, "fraud", "v2")),
        ("/models/fraud/versions/v1/predict", [4], (12.0, "fraud", "v1")),
        ("/models/risk/predict", [4, 1], (5.0, "risk", None)),
        ("/fraud/predict", [4], (8.0, "fraud", "v2")),
        ("/fraud/models/fraud/versions/v1/predict", [4], (12.0, "fraud", "v1")),
    ]:
        status, told, _ = post(f"{edge.url}{path}", {"features": row})
        prediction, name, version = answer
        assert (status, told.get("prediction"), told.get("model")) == (200, prediction, name), (path, told)
        assert version in (None, told["version"])
    told = post(f"{edge.url}/models/fraud/versions/v1/batch_predict", {"features": [[4], [1]]})[1]
    assert (told["predictions"], told["cached"]) == ([12.0, 3.0], [True, False])


def test_what_is_not_there_is_told_with_what_is(edge: EdgeServer) -> None:
    for path, words in [
        ("/predict", ["fraud, risk", "/models/NAME/predict"]),
        ("/models/frod/predict", ["frod", "fraud, risk"]),
        ("/models/fraud/versions/v3/predict", ["v3", "v2, v1"]),
        ("/models/fraud/versions/v3/predict/", ["v3", "v2, v1"]),
        ("/models/fraud/score", ["/models/fraud/score", "/models/NAME/predict"]),
        ("/fraud/models/fraud/version/v1/predict", ["/models/NAME/versions/VERSION/predict"]),
        ("/fraud/models/fraud/versions/v1/predict/now", ["/models/NAME/versions/VERSION/predict"]),
    ]:
        status, told, _ = post(f"{edge.url}{path}", {"features": [4]})
        assert status == 404
        for word in words:
            assert word in told["error"]


def test_a_slash_behind_a_path_changes_nothing(edge: EdgeServer) -> None:
    for version, expected in [("v1", 12.0), ("v2", 8.0)]:
        path = f"{edge.url}/models/fraud/versions/{version}"
        assert post(f"{path}/predict/", {"features": [4]})[1]["prediction"] == expected
        assert post(f"{path}/batch_predict/", {"features": [[4]]})[1]["predictions"] == [expected]


def test_what_is_unloaded_may_still_be_meant(edge: EdgeServer) -> None:
    edge.unload_model("risk")
    status, told, _ = post(f"{edge.url}/predict", {"features": [4]})
    assert (status, "fraud, risk" in told["error"]) == (404, True)
    with pytest.raises(ModelRefused, match="risk is unloaded already"):
        edge.unload_model("risk")


def test_versions_are_forgotten_each_by_itself(edge: EdgeServer) -> None:
    def ask(version: str) -> bool:
        cached: bool = post(f"{edge.url}/models/fraud/versions/{version}/predict", {"features": [4]})[1]["cached"]
        return cached

    for version in ("v1", "v2"):
        assert (ask(version), ask(version)) == (False, True)
    edge.invalidate("model:fraud@v1")
    assert (ask("v1"), ask("v2")) == (False, True)


def test_one_v2_answers_for_all(edge: EdgeServer) -> None:
    body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [4]}]}
    for path, output in [("fraud", 8.0), ("fraud/versions/v1", 12.0)]:
        status, told, _ = post(f"{edge.url}/v2/models/{path}/infer", body)
        assert (status, told["outputs"][0]["data"]) == (200, [output])
    with urllib.request.urlopen(f"{edge.url}/v2/models/risk/ready", timeout=20) as response:
        assert response.status == 200


def test_the_same_version_twice_is_refused(tmp_path: Path) -> None:
    file = onnx_models.linear(tmp_path / "fraud.onnx", [2.0])
    models = [Model(str(file)), Model(str(file), max_batch=1)]
    with pytest.raises(ConfigInvalid, match="is this version of fraud already"):
        EdgeServer(distribution=Distribution("ml", behaviors=[Behavior(origin=ModelGroup(models))])).start()


def test_all_are_listed_in_every_interface(edge: EdgeServer) -> None:
    listed = edge.request("GET", "/models").json()["models"]
    assert [(each["name"], each["versions"]) for each in listed] == [("fraud", ["v2", "v1"]), ("risk", [ANY])]
    old = edge.request("GET", "/models/fraud/versions/v1").json()
    assert (old["version"], old["versions"]) == ("v1", ["v2", "v1"])
    page = edge.request("GET", "/models", headers={"accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert all(f'href="/models/{name}"' in page.text for name in ("fraud", "risk"))
    paths = edge.request("GET", "/models/openapi.json").json()["paths"]
    assert {"/models/fraud/predict", "/models/risk/batch_predict", "/v2/models/risk/infer"} < set(paths)
    assert "/predict" not in paths, "nobody could tell which is meant"
    names = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(set(names)) == len(names)
    assert "post_models_fraud_predict" in names
    under = edge.request("GET", "/fraud/models/openapi.json").json()
    assert (under["servers"], "/predict" in under["paths"]) == ([{"url": "/fraud"}], True)
    index = edge.request("POST", "/v2/repository/index").json()
    assert {(each["name"], each["state"]) for each in index} == {("fraud", "READY"), ("risk", "READY")}
    assert [each["version"] for each in index if each["name"] == "fraud"] == ["v2", "v1"]
    post(f"{edge.url}/v2/models/fraud/versions/v1/infer", tensor([[9]]))
    counted = {
        (each["name"], each["version"]): each["inference_stats"]["success"]["count"]
        for each in edge.request("GET", "/v2/models/stats").json()["model_stats"]
    }
    assert (counted["fraud", "v1"], counted["fraud", "v2"]) == (1, 0)


def tensor(rows: list[list[float]]) -> dict[str, Any]:
    data = {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": rows}
    return {"inputs": [data]}


@pytest.mark.parametrize(
    ("version", "expected"), [(b"", 8.0), (b"v1", 12.0), (b"v2", 8.0)], ids=["the default", "v1", "v2"]
)
def test_a_call_by_grpc_names_a_version(edge: EdgeServer, version: bytes, expected: float) -> None:
    message = part(2, version) + inference(4)
    with httpx.Client(base_url=edge.url, timeout=30, trust_env=False, http1=False, http2=True) as client:
        answer = client.post(f"{SERVICE}/ModelInfer", content=frame(message), headers=GRPC)
        assert struct.pack("<f", expected) in answer.content
        wrong = client.post(f"{SERVICE}/ModelInfer", content=frame(part(2, b"v3") + inference(4)), headers=GRPC)
        assert failure(wrong) == ("5", 'there is no version "v3" of fraud: there is v2, v1')
