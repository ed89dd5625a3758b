"""The Open Inference Protocol by gRPC, byte by byte: what a client that keeps the rules never sends."""

from __future__ import annotations

import gzip
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest
from tests.integration.inference import onnx_models

from bodega import Behavior, Distribution, EdgeMLServer, EdgeServer, Model, ModelGroup
from bodega.config import add_client_token
from bodega.distributions.model import MODEL_PATHS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICE = "/inference.GRPCInferenceService"
GRPC = {"content-type": "application/grpc", "te": "trailers"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EdgeMLServer]:
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])), version="v1")
    with EdgeMLServer(model) as running:
        yield running


@pytest.fixture
def client(server: EdgeMLServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False, http1=False, http2=True) as running:
        yield running


def part(number: int, value: bytes) -> bytes:
    """A field of a message: bytes, a text, or a message within."""
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def frame(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


def inference(*values: float, name: str = "x", model: str = "fraud") -> bytes:
    """A `ModelInferRequest` of one row of FP32."""
    shape = part(3, bytes([1, len(values)]))
    tensor = part(1, name.encode()) + part(2, b"FP32") + shape
    return part(1, model.encode()) + part(5, tensor) + part(7, struct.pack(f"<{len(values)}f", *values))


def failure(answer: httpx.Response) -> tuple[str, str]:
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "application/grpc", b"")
    return answer.headers["grpc-status"], unquote(answer.headers["grpc-message"])


def test_a_call_is_answered_and_kept(client: httpx.Client, server: EdgeMLServer) -> None:
    for told in ("fwd=uri-miss", "; hit"):
        answer = client.post(f"{SERVICE}/ModelInfer", content=frame(inference(1, 2)), headers=GRPC)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/grpc")
        assert told in answer.headers["cache-status"]
        assert answer.content[:5] == struct.pack(">BI", 0, len(answer.content) - 5)
        assert struct.pack("<f", 5.0) in answer.content
    assert server.predict([1, 2])["cached"] is True


@pytest.mark.parametrize(
    ("method", "body", "fields", "status", "words"),
    [
        ("ModelInfer", b"", {}, "3", "no message"),
        ("ModelInfer", b"\0\0", {}, "3", "ends within"),
        ("ModelInfer", frame(b"")[:4] + b"\x09a", {}, "3", "ends within"),
        ("ServerLive", frame(b"") * 2, {}, "3", "there is more"),
        ("ServerLive", b"\0\xff\xff\xff\xff", {}, "8", "limit"),
        ("ServerLive", frame(b"x", flag=1), {}, "3", "grpc-encoding"),
        ("ServerLive", frame(b"x", flag=1), {"grpc-encoding": "br"}, "12", "identity, gzip or deflate"),
        ("ServerLive", frame(b"x", flag=1), {"grpc-encoding": "gzip"}, "3", "gzip"),
        ("ModelInfer", frame(gzip.compress(b"\0" * 9_000_000), flag=1), {"grpc-encoding": "gzip"}, "8", "limit"),
        ("ModelInfer", frame(b"\0" * 1_500_000), {}, "8", "limit"),
        ("ModelInfer", frame(inference(1, 2)), {"grpc-timeout": "soon"}, "3", "grpc-timeout"),
        ("ModelInfer", frame(inference(1, 2, 3)), {}, "3", "FP32[1, 3]"),
        ("ModelInfer", frame(inference(1, 2, name="z")), {}, "3", "inputs.z"),
        ("ModelInfer", frame(inference(1, 2, model="o\u00fcther")), {}, "5", "there is fraud"),
        ("ModelInfer", frame(part(5, b"") * 5_000), {}, "8", "4096"),
        ("ModelInfer", frame(inference(1, 2) + part(6, part(1, b"y")) * 2), {}, "3", "outputs.y: is there twice"),
        ("ModelConfig", frame(part(1, b"other")), {}, "5", "there is fraud"),
        ("ModelStatistics", frame(part(1, b"fraud") + part(2, b"v2")), {}, "5", "there is v1"),
        ("RepositoryModelLoad", frame(b""), {}, "7", "admin"),
        ("NoSuchThing", frame(b""), {}, "12", "ModelInfer"),
    ],
)
def test_what_is_wrong_is_told_in_the_head(
    client: httpx.Client, method: str, body: bytes, fields: dict[str, str], status: str, words: str
) -> None:
    answer = client.post(f"{SERVICE}/{method}", content=body, headers={**GRPC, **fields})
    found, told = failure(answer)
    assert (found, words in told) == (status, True), told
    assert "no-store" in answer.headers["cache-control"]


def test_what_is_no_call_is_answered_as_http(client: httpx.Client, server: EdgeMLServer) -> None:
    path = f"{SERVICE}/ModelInfer"
    for answer, status, words in [
        (client.get(path), 405, "POST"),
        (client.post(path, json={}), 415, "application/grpc"),
        (httpx.post(f"{server.url}{path}", content=frame(b""), headers=GRPC, trust_env=False), 505, "HTTP/2"),
    ]:
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_who_waits_no_longer_is_told_and_others_are_not_held_up(tmp_path: Path) -> None:
    with EdgeMLServer(onnx_models.slow(tmp_path / "slow.onnx")) as server:
        body = frame(inference(4, model="slow"))
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False, http1=False, http2=True) as client:
            answer = client.post(f"{SERVICE}/ModelInfer", content=body, headers={**GRPC, "grpc-timeout": "1m"})
            assert failure(answer)[0] == "4"
            patient = client.post(f"{SERVICE}/ModelInfer", content=body, headers={**GRPC, "grpc-timeout": "50S"})
            assert struct.pack("<f", 4.0) in patient.content
            counted = client.get("/v2/models/slow/stats").json()["model_stats"][0]
            assert counted["execution_count"] == 1, "what was under way went on, and was kept"
            assert counted["inference_stats"]["fail"]["count"] == 1
            long = client.post(
                f"{SERVICE}/ServerLive", content=frame(b""), headers={**GRPC, "grpc-timeout": "99999999H"}
            )
            assert long.status_code == 200
            assert "grpc-status" not in long.headers, "it is behind the message"


def test_an_answer_is_packed_as_the_call_was(client: httpx.Client) -> None:
    n_rows = 500
    tensor = part(1, b"x") + part(2, b"FP32") + part(3, varint(n_rows) + b"\x02")
    message = part(1, b"fraud") + part(5, tensor) + part(7, bytes(8 * n_rows))
    body = frame(gzip.compress(message), flag=1)
    for accepted, flag in [("identity,gzip", 1), ("identity", 0)]:
        fields = {**GRPC, "grpc-encoding": "gzip", "grpc-accept-encoding": accepted}
        answer = client.post(f"{SERVICE}/ModelInfer", content=body, headers=fields)
        assert (answer.content[0], answer.headers.get("grpc-encoding")) == (flag, "gzip" if flag else None)
        said = gzip.decompress(answer.content[5:]) if flag else answer.content[5:]
        assert bytes(4 * n_rows) in said


def test_what_a_model_says_instead_is_an_internal_error_of_the_call(tmp_path: Path) -> None:
    with EdgeMLServer(onnx_models.picky(tmp_path / "picky.onnx")) as server:
        tensor = part(1, b"at") + part(2, b"INT64") + part(3, bytes([2, 1]))
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False, http1=False, http2=True) as client:

            def ask(*rows: int) -> httpx.Response:
                message = part(1, b"picky") + part(5, tensor) + part(7, struct.pack("<2q", *rows))
                return client.post(f"{SERVICE}/ModelInfer", content=frame(message), headers=GRPC)

            assert struct.pack("<2f", 20.0, 30.0) in ask(1, 2).content
            found, told = failure(ask(1, 7))
            assert (found, told.startswith("row 1: the model failed")) == ("13", True), told


def test_a_model_that_too_much_waits_for_is_unavailable_for_a_while(tmp_path: Path) -> None:
    slow = Model(str(onnx_models.slow(tmp_path / "slow.onnx", n_rounds=60)), max_queue=1, timeout="2m")
    tensor = part(1, b"x") + part(2, b"FP32") + part(3, bytes([1, 1]))
    with (
        EdgeMLServer(slow) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False, http1=False, http2=True) as client,
        ThreadPoolExecutor(12) as pool,
    ):

        def ask(number: float) -> httpx.Response:
            message = part(1, b"slow") + part(5, tensor) + part(7, struct.pack("<f", number))
            return client.post(f"{SERVICE}/ModelInfer", content=frame(message), headers=GRPC)

        answers = list(pool.map(ask, range(12)))
        refused = [answer for answer in answers if answer.headers.get("grpc-status", "0") != "0"]
        assert 0 < len(refused) < len(answers)
        for answer in refused:
            assert failure(answer)[0] == "14"
            assert answer.headers["retry-after"] == "1"


def test_more_rows_than_may_wait_are_too_many(tmp_path: Path) -> None:
    small = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])), max_queue=4)
    with (
        EdgeMLServer(small) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        rows = [[float(number), 1.0] for number in range(5)]
        answer = client.post("/batch_predict", json={"features": rows})
        assert (answer.status_code, "at most 4 may wait" in answer.json()["error"]) == (413, True), answer.text
        assert client.post("/batch_predict", json={"features": rows[:4]}).json()["count"] == 4
    with EdgeMLServer(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0]))) as server:
        rows = [[float(number), 1.0] for number in range(4096)]
        assert httpx.post(f"{server.url}/batch_predict", json={"features": rows}, timeout=60).json()["count"] == 4096


def test_who_has_no_token_is_not_told_anything(tmp_path: Path) -> None:
    tokens = tmp_path / "clients.tokens"
    token = add_client_token(tokens, "reader")
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])))
    behavior = Behavior(MODEL_PATHS, origin=model, policy="predictions", authorization="edge", tokens=str(tokens))
    body = frame(inference(1, 2))
    with (
        EdgeServer(distribution=Distribution("ml", behaviors=[behavior])) as edge,
        httpx.Client(base_url=edge.url, timeout=30, trust_env=False, http1=False, http2=True) as client,
    ):
        # A client of gRPC makes UNAUTHENTICATED of it.
        assert client.post(f"{SERVICE}/ModelInfer", content=body, headers=GRPC).status_code == 401
        fields = {**GRPC, "authorization": f"Bearer {token}"}
        for told in ("fwd=uri-miss", "; hit"):
            answer = client.post(f"{SERVICE}/ModelInfer", content=body, headers=fields)
            assert (struct.pack("<f", 5.0) in answer.content, told in answer.headers["cache-status"]) == (True, True)


def test_bodies_and_answers_of_rest_under_a_coding(server: EdgeMLServer) -> None:
    rows: list[list[float]] = [[float(at), 1.0] for at in range(400)]
    body: dict[str, Any] = {"inputs": [{"name": "x", "shape": [400, 2], "datatype": "FP32", "data": rows}]}
    url = f"{server.url}/v2/models/fraud/infer"
    plain = json.dumps(body).encode()
    with httpx.Client(timeout=30, trust_env=False) as client:
        packed = client.post(
            url, content=gzip.compress(plain), headers={"content-encoding": "gzip", "accept-encoding": "gzip"}
        )
        assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
        unpacked = client.post(url, content=plain, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in unpacked.headers
        assert packed.json() == unpacked.json()
        bomb = client.post(url, content=gzip.compress(b" " * 9_000_000), headers={"content-encoding": "gzip"})
        assert (bomb.status_code, "limit" in bomb.json()["error"]) == (413, True)
        other = client.post(url, content=plain, headers={"content-encoding": "br"})
        assert (other.status_code, "gzip, deflate" in other.json()["error"]) == (415, True)
        one = gzip.compress(b'{"features": [1, 1]}')
        told = client.post(f"{server.url}/predict", content=one, headers={"content-encoding": "gzip"}).json()
        assert told["prediction"] == 3.0
        broken = client.post(url, content=gzip.compress(plain)[:-9], headers={"content-encoding": "gzip"})
        assert broken.status_code == 400


def test_a_message_may_be_as_long_as_any_body(tmp_path: Path) -> None:
    """The five bytes before it were taken from it, so that what was almost as long as may be had no end."""
    n_bytes = 1_000
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])), max_body=f"{n_bytes}B")
    with (
        EdgeMLServer(model) as server,
        httpx.Client(base_url=server.url, timeout=30, trust_env=False, http1=False, http2=True) as client,
    ):
        message = inference(1, 2)
        for more in (-5, -4, 0, 1):
            # A field that nobody knows.
            padding = n_bytes + more - len(message) - len(part(15, b"\0" * 800)) + 800
            padded = message + part(15, b"\0" * padding)
            assert len(padded) == n_bytes + more
            answer = client.post(f"{SERVICE}/ModelInfer", content=frame(padded), headers=GRPC)
            if more > 0:
                assert failure(answer)[0] == "8"
            else:
                assert struct.pack("<f", 5.0) in answer.content


def test_readiness_ends_where_a_model_is_unloaded(tmp_path: Path) -> None:
    models = [Model(str(onnx_models.linear(tmp_path / f"{name}.onnx", [1.0, 2.0]))) for name in ("one", "two")]
    behavior = Behavior(MODEL_PATHS, origin=ModelGroup(models), policy="predictions")
    with (
        EdgeServer("local", distribution=Distribution("ml", behaviors=[behavior])) as edge,
        httpx.Client(base_url=edge.url, timeout=30, trust_env=False, http1=False, http2=True) as calls,
        httpx.Client(base_url=edge.url, timeout=30, trust_env=False) as client,
    ):

        def ready() -> tuple[int, bytes]:
            """By HTTP the status, by gRPC the message: a flag that is not set is not written."""
            call = calls.post(f"{SERVICE}/ServerReady", content=frame(b""), headers=GRPC)
            return client.get("/v2/health/ready").status_code, call.content

        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.get("/v2/models/one/ready").json() == {"name": "one", "ready": True}
        assert ready() == (200, frame(b"\x08\x01"))
        for name, missing in (("two", "two"), ("one", "one, two")):
            edge.unload_model(name)
            assert ready() == (503, frame(b""))
            assert client.get("/v2/health/ready").json()["error"] == f"not loaded: {missing}"
            assert client.get("/v2/health/live").json() == {"live": True}, "whoever restarts it would have no more"
            assert client.get(f"/v2/models/{name}/ready").status_code == 404
        for name in ("one", "two"):
            edge.update_model(name, tmp_path / f"{name}.onnx")
        assert ready() == (200, frame(b"\x08\x01"))
