"""Models answer what their OpenAPI document says: asked by schemathesis with generated requests, right and wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import jsonschema
import pytest
from tests.integration import generated_requests
from tests.integration.inference import onnx_models

from bodega import EdgeMLServer, Model

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = [
    "GET /models",
    "GET /models/openapi.json",
    "GET /models/{name}",
    "POST /models/{name}/batch_predict",
    "POST /models/{name}/predict",
    "POST /batch_predict",
    "POST /predict",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/stats",
    "GET /v2/models/{name}",
    "GET /v2/models/{name}/config",
    "GET /v2/models/{name}/ready",
    "GET /v2/models/{name}/stats",
    "POST /v2/models/{name}/infer",
    "POST /v2/repository/index",
]
# A shape has to be that of the data, and free axes have to be as long in all places, which no schema says.
MEANT = {
    "POST /v2/models/fraud/infer",
    "POST /v2/models/typed/infer",
}


@pytest.fixture(scope="module", params=["fraud", "typed"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeMLServer]:
    path = tmp_path_factory.mktemp("models") / f"{request.param}.onnx"
    made = onnx_models.typed(path) if request.param == "typed" else onnx_models.linear(path, [1.0, 2.0])
    with EdgeMLServer(Model(str(made), version="v1")) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: EdgeMLServer) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{server.url}/models/openapi.json", trust_env=False).json()
    return document


@pytest.fixture(scope="module")
def schema(server: EdgeMLServer, document: dict[str, Any]) -> Any:
    loaded = generated_requests.schema(document, server.url)
    loaded.validate()
    return loaded


def test_every_operation_is_asked(schema: Any, server: EdgeMLServer) -> None:
    assert generated_requests.labels(schema) == {operation.format(name=server.model.name) for operation in OPERATIONS}


def test_examples_are_what_the_model_takes(document: dict[str, Any], server: EdgeMLServer) -> None:
    asked = 0
    for path, item in document["paths"].items():
        body = item.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" not in body:
            continue
        jsonschema.validate(body["example"], {**body["schema"], "components": document["components"]})
        answer = httpx.post(f"{server.url}{path}", json=body["example"], trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        asked += 1
    assert asked == 5


@pytest.mark.timeout(120)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_answers_as_it_is_described(schema: Any, server: EdgeMLServer, operation: str) -> None:
    generated_requests.ask(schema, operation.format(name=server.model.name), n_requests=20, meant=MEANT)
