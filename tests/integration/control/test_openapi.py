"""The API is what its OpenAPI document says: asked with generated requests, right ones and wrong ones, by schemathesis.

Streams have no end and are left out; `test_nouns.py` reads them.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration import generated_requests
from tests.integration.control.conftest import ControlProcess, register
from tests.integration.control.test_nouns import CONFIGURATION

OPERATIONS = [
    "GET /health",
    "GET /v1/configurations",
    "POST /v1/configurations",
    "GET /v1/configurations/{revision}",
    "GET /v1/configurations/{revision}/diff",
    "POST /v1/configurations/{revision}/roll-back",
    "GET /v1/edges",
    "POST /v1/edges/invitations",
    "GET /v1/edges/{edge}",
    "PUT /v1/edges/{edge}",
    "DELETE /v1/edges/{edge}",
    "GET /v1/edges/{edge}/configuration",
    "POST /v1/edges/{edge}/drain",
    "POST /v1/edges/{edge}/heartbeat",
    "POST /v1/edges/{edge}/resume",
    "GET /v1/invalidations",
    "POST /v1/invalidations",
    "GET /v1/invalidations/{invalidation_id}",
    "GET /v1/journal/events",
    "GET /v1/tokens",
    "POST /v1/tokens",
    "DELETE /v1/tokens/{token_id}",
]
# What a text of these means is checked as well, which no schema says.
MEANT = {
    "POST /v1/configurations",
    "POST /v1/invalidations",
    "POST /v1/tokens",
    "POST /v1/edges/invitations",
    "PUT /v1/edges/{edge}",
}
WITHOUT_END = {"GET /v1/journal/stream"}


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlProcess]:
    """One for all: it has to live with whatever it was asked before."""
    process = ControlProcess(tmp_path_factory.mktemp("control"))
    process.start()
    with process.client() as client:
        client.post("/v1/configurations", json={"text": CONFIGURATION})
        register(client, "tokyo-1")
    yield process
    assert process.end() == 0
    assert "Traceback" not in process.errors()


@pytest.fixture(scope="module")
def schema(control: ControlProcess) -> Any:
    document = httpx.get(f"{control.url}/openapi.json", trust_env=False).json()
    return generated_requests.schema(document, control.url)


def test_every_operation_is_asked(schema: Any) -> None:
    assert generated_requests.labels(schema) == {*OPERATIONS, *WITHOUT_END}


@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation_answers_as_it_is_described(schema: Any, control: ControlProcess, label: str) -> None:
    headers = {"Authorization": f"Bearer {control.token}"}
    generated_requests.ask(schema, label, n_requests=30, meant=MEANT, headers=headers)


@pytest.mark.parametrize(
    ("status", "method", "path", "more"),
    [
        (401, "GET", "/v1/edges", {"headers": {"Authorization": "Bearer bdg_x_y"}}),
        (403, "GET", "/v1/tokens", {"scope": "read"}),
        (404, "GET", "/v1/configurations/999", {}),
        (409, "POST", "/v1/configurations", {"json": {"text": CONFIGURATION, "expects": 999}}),
        (413, "POST", "/v1/configurations", {"content": b" " * (3 << 20)}),
        (422, "POST", "/v1/invalidations", {"json": {"selectors": ["tog:a"]}}),
        (429, "POST", "/v1/invalidations", {"n": 60, "json": {"selectors": ["tag:a"] * 1000}}),
    ],
)
def test_every_documented_refusal_is_as_described(
    schema: Any, control: ControlProcess, status: int, method: str, path: str, more: dict[str, Any]
) -> None:
    n, scope = more.pop("n", 1), more.pop("scope", "admin")
    with control.client() as client:
        made = client.post("/v1/tokens", json={"name": "own", "scopes": [scope]}).json()
    with control.client(made["token"]) as client:
        answer = next(
            answer
            for answer in (client.request(method, path, **more) for _ in range(n))
            if answer.status_code == status
        )
    assert answer.json()["error"]
    assert (status == 429) == ("retry-after" in answer.headers)


def test_a_journal_that_cannot_be_written_is_told_and_served_beside(tmp_path: Path) -> None:
    process = ControlProcess(tmp_path)
    process.start()
    try:
        with process.client() as client:
            # No file may grow beyond this: as on a disk that is full.
            _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, most))
            refused = client.post("/v1/invalidations", json={"selectors": ["tag:a"]})
            assert refused.status_code == 503
            assert refused.json()["error"]
            assert client.get("/v1/invalidations").json() == []
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
            assert client.post("/v1/invalidations", json={"selectors": ["tag:a"]}).status_code == 202
    finally:
        process.end()
