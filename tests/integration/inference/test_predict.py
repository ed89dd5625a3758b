"""A model as an origin, over real sockets."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.integration.edge.conftest import wait_until
from tests.integration.inference import onnx_models

from bodega import Behavior, CachePolicy, DiskTier, Distribution, EdgeServer, Model
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def post(url: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, Any, dict[str, str]]:
    """Post JSON, or bytes as they are; returns the status, the JSON that came, and the fields in lower case."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers or {}, method="POST")
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, json.loads(response.read()), {k.lower(): v for k, v in response.headers.items()}


def serve(*models: Model, **policy: Any) -> EdgeServer:
    """An edge with each model under its own name's path."""
    kept: Any = CachePolicy(extends="predictions", **policy) if policy else "predictions"
    paths = {model: "" if len(models) == 1 else f"/{model.name}" for model in models}
    behaviors = [
        Behavior([f"{path}/predict", f"{path}/batch_predict"], origin=model, policy=kept)
        for model, path in paths.items()
    ]
    return EdgeServer("ap-northeast-1", distribution=Distribution("ml", behaviors=behaviors))


@pytest.fixture
def fraud(tmp_path: Path) -> Path:
    return onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0, -4.0])


@pytest.fixture
def edge(fraud: Path) -> Iterator[EdgeServer]:
    with serve(Model(str(fraud))) as running:
        yield running


def n_computed(edge: EdgeServer) -> int:
    """Count the rows that were found nowhere: each is one request to the model."""
    lines = [line for line in edge.prometheus().splitlines() if line.startswith("cdn_origin_requests_total{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if 'result="ok"' in line)


def test_an_input_is_computed_once_however_it_is_written(edge: EdgeServer) -> None:
    status, first, fields = post(f"{edge.url}/predict", {"features": [1, 2, 0.5]})
    assert (status, first["prediction"], first["cached"]) == (200, 3.0, False)
    assert (first["model"], first["edge_region"]) == ("fraud", "ap-northeast-1")
    assert len(first["version"]) == 12
    assert fields["content-type"] == "application/json"
    assert "fwd=uri-miss" in fields["cache-status"]
    assert "stored" in fields["cache-status"]
    for body in (
        b'{"features":[1.0,2e0,0.5]}',
        b'{ "features" : [1,2.0,5E-1], "id": 7 }',
        {"features": {"x": [1, 2, 0.5]}},
    ):
        status, again, fields = post(f"{edge.url}/predict", body)
        assert (status, again) == (200, {**first, "cached": True}), body
        assert "; hit" in fields["cache-status"]
        assert int(fields["cache-status"].split("ttl=")[1]) <= 300
    assert n_computed(edge) == 1


def test_a_prediction_of_minus_one_is_a_prediction(edge: EdgeServer) -> None:
    answers = [post(f"{edge.url}/predict", {"features": [-1, 0, 0]})[1] for _ in range(2)]
    assert [(each["prediction"], each["cached"]) for each in answers] == [(-1.0, False), (-1.0, True)]


def test_zero_is_zero_with_either_sign(edge: EdgeServer) -> None:
    post(f"{edge.url}/predict", b'{"features": [0, 0, 0]}')
    assert post(f"{edge.url}/predict", b'{"features": [-0.0, 0.0, -0]}')[1]["cached"] is True


def test_rows_of_a_batch_are_found_or_computed_each_by_itself(edge: EdgeServer) -> None:
    post(f"{edge.url}/predict", {"features": [1, 1, 1]})
    status, answer, fields = post(
        f"{edge.url}/batch_predict", {"features": [[3, 0, 0], [1, 1, 1], [0, 2, 0], [3, 0, 0]]}
    )
    assert status == 200
    assert answer["predictions"] == [3.0, -1.0, 4.0, 3.0]
    assert (answer["count"], answer["cached"]) == (4, [False, True, False, False])
    assert "fwd=" in fields["cache-status"]
    assert n_computed(edge) == 3, "the row that is there twice is computed once"
    _, again, fields = post(f"{edge.url}/batch_predict", {"features": [[0, 2, 0], [1, 1, 1]]})
    assert (again["predictions"], again["cached"]) == ([4.0, -1.0], [True, True])
    assert "; hit" in fields["cache-status"]
    assert post(f"{edge.url}/predict", {"features": [3, 0, 0]})[1]["cached"] is True


def test_an_empty_batch_is_answered(edge: EdgeServer) -> None:
    status, answer, fields = post(f"{edge.url}/batch_predict", {"features": []})
    assert (status, answer["predictions"], answer["count"], answer["cached"]) == (200, [], 0, [])
    assert fields["cache-status"] == "bodega; detail=method"


def test_a_large_batch_comes_back_in_its_order(edge: EdgeServer) -> None:
    rows = [[float(at), 0.0, 0.0] for at in range(500)]
    status, answer, _ = post(f"{edge.url}/batch_predict", {"features": rows})
    assert status == 200
    assert answer["predictions"] == [row[0] for row in rows]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        pytest.param("/predict", b"", 400, ["empty", "features"], id="nothing"),
        pytest.param("/predict", b"{", 400, ["JSON"], id="no JSON"),
        pytest.param("/predict", b'{"features": [NaN, 1, 2]}', 400, ["NaN"], id="NaN"),
        pytest.param("/predict", b'{"feature": [1, 2, 3]}', 400, ["features", "missing"], id="misspelt"),
        pytest.param("/predict", b'{"features": [1, 2]}', 400, ["float32[3]", "float32[2]"], id="shape"),
        pytest.param("/predict", b'{"features": [1, "2", 3]}', 400, ["features[1]", "a string"], id="type"),
        pytest.param("/batch_predict", b'{"features": [[1, 2, 3], [1]]}', 400, ["features[1]", "float32[1]"], id="row"),
        pytest.param("/predict", b'{"features": [' + b" " * 1_000_000 + b"]}", 413, ["1000000 bytes"], id="too long"),
        pytest.param("/nothing", b"{}", 404, [], id="elsewhere"),
    ],
)
def test_bad_input_is_refused_in_clear_words(
    edge: EdgeServer, path: str, body: bytes, status: int, words: list[str]
) -> None:
    answer = edge.request("POST", path, body=body)
    assert answer.status == status
    for word in words:
        assert word in answer.json()["error"], answer.text
    if status == 400:
        assert "no-store" in answer.headers["cache-control"]
    assert post(f"{edge.url}/predict", {"features": [0, 1, 0]})[1]["prediction"] == 2.0, "the rest is unharmed"


def test_over_http2_as_over_http1(tmp_path: Path, fraud: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    running = EdgeServer(distribution=_with(Model(str(fraud))), tls="dev", listen_tls="127.0.0.1:0")
    with running as edge, httpx.Client(http2=True, verify=False, trust_env=False, timeout=30) as client:
        url = f"{edge.tls_url}/predict"
        answers = [client.post(url, json={"features": [1, 1, 1]}) for _ in range(2)]
        assert [answer.http_version for answer in answers] == ["HTTP/2"] * 2
        assert [answer.json()["cached"] for answer in answers] == [False, True]
        rows = [[float(at), 0.0, 0.0] for at in range(100)]
        found = client.post(f"{edge.tls_url}/batch_predict", json={"features": rows}).json()
        assert found["predictions"] == [row[0] for row in rows]
        # What is too long by far is refused in words, though the client has not sent all of it yet.
        refused = client.post(url, content=b" " * 4_000_000)
        assert (refused.status_code, "limit" in refused.json()["error"]) == (413, True)


def test_a_get_is_told_to_post(edge: EdgeServer) -> None:
    answer = edge.request("GET", "/predict")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert "POST" in answer.json()["error"]


def test_a_purge_forgets_one_models_predictions_and_no_others(tmp_path: Path, fraud: Path) -> None:
    other = onnx_models.linear(tmp_path / "price.onnx", [10.0])
    with serve(Model(str(fraud)), Model(str(other), version="v2")) as edge:
        fraud_url, price_url = f"{edge.url}/fraud/predict", f"{edge.url}/price/predict"

        def are_cached() -> tuple[bool, bool]:
            answers = post(fraud_url, {"features": [1, 1, 1]})[1], post(price_url, {"features": [1]})[1]
            return answers[0]["cached"], answers[1]["cached"]

        assert are_cached() == (False, False)
        for selector, expected in [
            ("model:fraud", (False, True)),
            ("model:price@v2", (True, False)),
            ("model:price@v1", (True, True)),
            ("tag:model:fraud", (False, True)),
            ("model:*", (False, False)),
            ("distribution:ml", (False, False)),
            ("all", (False, False)),
        ]:
            assert are_cached() == (True, True)
            edge.invalidate(selector)
            assert are_cached() == expected, selector


def test_who_names_a_credential_shares_nothing(edge: EdgeServer) -> None:
    url = f"{edge.url}/predict"
    for headers in ({"authorization": "Bearer a"}, {"cookie": "session=1"}):
        for _ in range(2):
            status, answer, _ = post(url, {"features": [5, 5, 5]}, headers)
            assert (status, answer["prediction"], answer["cached"]) == (200, -5.0, False)
    assert post(url, {"features": [5, 5, 5]})[1]["cached"] is False


def test_by_key_each_credential_has_predictions_of_its_own(tmp_path: Path, fraud: Path) -> None:
    behavior = Behavior("/predict", origin=Model(str(fraud)), authorization="key")
    with EdgeServer(distribution=Distribution("ml", hosts=["*"], behaviors=[behavior])) as edge:
        url = f"{edge.url}/predict"
        callers = [
            {},
            {"authorization": "Bearer a"},
            {"authorization": "Bearer b"},
            {"cookie": "session=1"},
            {"authorization": "Bearer a", "cookie": "session=1"},
        ]
        for is_cached in (False, True):
            answers = [post(url, {"features": [5, 5, 5]}, caller)[1] for caller in callers]
            assert [(answer["prediction"], answer["cached"]) for answer in answers] == [(-5.0, is_cached)] * 5
        edge.invalidate("model:fraud")
        assert [post(url, {"features": [5, 5, 5]}, caller)[1]["cached"] for caller in callers] == [False] * 5


def test_equal_inputs_under_way_are_computed_once(tmp_path: Path) -> None:
    path = onnx_models.slow(tmp_path / "slow.onnx")
    with serve(Model(str(path), timeout="50s")) as edge:
        answers: list[Any] = []
        askers = [
            threading.Thread(target=lambda: answers.append(post(f"{edge.url}/predict", {"features": [2]})))
            for _ in range(8)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert [answer["prediction"] for _, answer, _ in answers] == [2.0] * 8
        assert n_computed(edge) == 1


def test_hits_are_answered_while_a_heavy_model_runs(tmp_path: Path) -> None:
    path = onnx_models.slow(tmp_path / "heavy.onnx", n_rounds=300)
    with serve(Model(str(path), timeout="50s")) as edge:
        url = f"{edge.url}/predict"
        assert post(url, {"features": [1]})[1]["prediction"] == 1.0
        done = threading.Event()

        def ask() -> None:
            post(url, {"features": [2]})
            done.set()

        asker = threading.Thread(target=ask)
        asker.start()
        n_hits_meanwhile = 0
        while not done.is_set():
            assert post(url, {"features": [1]})[1]["cached"] is True
            n_hits_meanwhile += not done.is_set()
        asker.join()
        assert n_hits_meanwhile >= 3


def test_inputs_and_outputs_of_many_types(tmp_path: Path) -> None:
    with serve(Model(str(onnx_models.typed(tmp_path / "typed.onnx")))) as edge:
        row = {"count": [2**60, -3], "on": True, "words": ["a", "ü"]}
        expected = {"twice": [2**61, -6], "off": False, "said": ["a", "ü"]}
        status, answer, _ = post(f"{edge.url}/predict", {"features": row})
        assert (status, answer["prediction"]) == (200, expected)
        rows = [row, {"count": [1.0, 1], "on": False, "words": []}, {"count": [0, 0], "on": True, "words": ["x"]}]
        _, answer, _ = post(f"{edge.url}/batch_predict", {"features": rows})
        assert answer["predictions"] == [
            expected,
            {"twice": [2, 2], "off": True, "said": []},
            {"twice": [0, 0], "off": False, "said": ["x"]},
        ]
        assert answer["cached"] == [True, False, False]
        status, answer, _ = post(f"{edge.url}/predict", {"features": {**row, "count": [2**63, 0]}})
        assert (status, answer["field"]) == (400, "features.count[0]")


def test_a_model_whose_axis_is_fixed_takes_one_row_at_a_time(tmp_path: Path) -> None:
    with serve(Model(str(onnx_models.one_row_at_a_time(tmp_path / "single.onnx")))) as edge:
        _, answer, _ = post(f"{edge.url}/batch_predict", {"features": [[1, 2, 3], [4, 5, 6]]})
        assert answer["predictions"] == [[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]]


def test_a_row_on_which_the_model_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    with serve(Model(str(onnx_models.picky(tmp_path / "picky.onnx")))) as edge:
        url = f"{edge.url}/predict"
        status, answer, fields = post(url, {"features": [7]})
        assert (status, "the model failed" in answer["error"]) == (500, True), answer
        assert fields["cache-control"] == "no-store"
        _, answer, _ = post(f"{edge.url}/batch_predict", {"features": [[0], [2]]})
        assert answer["predictions"] == [10.0, 30.0]
        assert post(f"{edge.url}/batch_predict", {"features": [[1], [7]]})[0] == 500
        assert post(url, {"features": [1]})[1]["prediction"] == 20.0


def test_another_file_is_another_version(tmp_path: Path) -> None:
    model = tmp_path / "score.onnx"
    onnx_models.linear(model, [1.0])
    with serve(Model(str(model), version="v1")) as edge:
        url = f"{edge.url}/predict"
        assert post(url, {"features": [3]})[1]["prediction"] == 3.0
        onnx_models.linear(model, [2.0])
        edge.reload(_with(Model(str(model), version="v1")))
        answer = post(url, {"features": [3]})[1]
        assert (answer["prediction"], answer["cached"]) == (6.0, False), "though nobody changed the version's name"
        model.write_bytes(b"no model")
        with pytest.raises(ConfigInvalid, match=r"score\.onnx"):
            edge.reload(_with(Model(str(model), version="v2")))
        answer = post(url, {"features": [3]})[1]
        assert (answer["prediction"], answer["cached"], answer["version"]) == (6.0, True, "v1")


def _with(model: Model) -> Distribution:
    return Distribution("ml", behaviors=[Behavior(["/predict", "/batch_predict"], origin=model)])


def test_what_is_no_model_is_refused_with_the_file_and_the_cause(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.onnx"
    with pytest.raises(ConfigInvalid, match=r"nothing\.onnx: there is no such file"):
        serve(Model(str(nothing))).start()
    nothing.write_bytes(b"these are no weights")
    with pytest.raises(ConfigInvalid, match=r"nothing\.onnx"):
        serve(Model(str(nothing))).start()


def test_predictions_survive_a_restart_on_disk(tmp_path: Path, fraud: Path) -> None:
    def start() -> EdgeServer:
        disk = DiskTier(path=str(tmp_path / "cache"), size="64MB", admission="always")
        return EdgeServer(disk=disk, distribution=_with(Model(str(fraud))))

    with start() as edge:
        assert post(f"{edge.url}/predict", {"features": [1, 2, 3]})[1]["cached"] is False
    with start() as edge:
        # Until it has read what is there, what is not found yet is asked for.
        wait_until(lambda: getattr(edge.stats().disk, "recovered", False))
        answer = post(f"{edge.url}/predict", {"features": [1, 2, 3]})[1]
        assert (answer["prediction"], answer["cached"]) == (-7.0, True)
