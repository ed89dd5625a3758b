"""One version in place of another, while the edge answers."""

from __future__ import annotations

import asyncio
import shutil
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import httpx
import onnx
import pytest
from onnx import TensorProto, helper
from tests.integration.edge.conftest import wait_until
from tests.integration.inference import onnx_models
from tests.integration.inference.test_predict import n_computed, post

from bodega import Behavior, DiskTier, Distribution, EdgeMLServer, EdgeServer, Golden, Model, ModelGroup
from bodega.distributions.model import MODEL_PATHS
from bodega.edge import AdminClient
from bodega.errors import InvalidationRefused, ModelRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def times(folder: Path, factor: float, name: str = "fraud") -> Path:
    """A version of a model: its input so many times."""
    folder.mkdir(exist_ok=True)
    return onnx_models.linear(folder / f"{name}-{factor:g}.onnx", [factor])


def serve(*models: Model, **settings: Any) -> EdgeServer:
    origin = models[0] if len(models) == 1 else ModelGroup(models)
    return EdgeServer(distribution=Distribution("ml", behaviors=[Behavior(MODEL_PATHS, origin=origin)]), **settings)


def ask(edge: EdgeServer, row: float, path: str = "/predict") -> tuple[float, str, bool]:
    status, answer, _ = post(f"{edge.url}{path}", {"features": [row]})
    assert status == 200, answer
    return answer["prediction"], answer["version"], answer["cached"]


@pytest.fixture(params=["memory", "disk"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "memory":
        return {}
    return {"disk": DiskTier(path=str(tmp_path / "store"), size="1GiB", admission="always")}


def test_exactly_the_old_versions_predictions_are_forgotten(tmp_path: Path, tiers: dict[str, Any]) -> None:
    fraud = [Model(str(times(tmp_path, at)), name="fraud", version=f"v{at}") for at in (1, 2)]
    risk = Model(str(times(tmp_path, 10, "risk")), name="risk", version="v1")
    asked = ["/models/fraud/versions/v1/predict", "/models/fraud/versions/v2/predict", "/models/risk/predict"]
    with serve(*fraud, risk, **tiers) as edge:
        for path in asked:
            assert [ask(edge, 3, path)[2] for _ in range(2)] == [False, True]
        swap = edge.update_model("fraud", times(tmp_path, 4), version="v4")
        assert (swap.before, swap.version, swap.drained) == ("v1", "v4", True)
        assert ask(edge, 3, "/models/fraud/predict") == (12.0, "v4", False)
        assert [ask(edge, 3, path)[2] for path in asked[1:]] == [True, True]
        status, refused, _ = post(f"{edge.url}{asked[0]}", {"features": [3]})
        assert (status, "v4, v2" in refused["error"]) == (404, True)
        # Back again: the same file and version as at first, of which nothing is left.
        assert edge.update_model("fraud", times(tmp_path, 1), version="v1").before == "v4"
        assert ask(edge, 3, asked[0]) == (3.0, "v1", False)
        assert [ask(edge, 3, path)[2] for path in asked] == [True, True, True]


def test_an_edge_that_follows_forgets_the_version_that_it_replaced(tmp_path: Path) -> None:
    with serve(Model(str(times(tmp_path, 1)), name="fraud", version="v1")) as edge:
        assert edge._running is not None
        edge._running.set_following("https://control.test:9280")
        assert [ask(edge, 3)[2] for _ in range(2)] == [False, True]
        with pytest.raises(InvalidationRefused, match=r"purge at https"):
            edge.invalidate("model:fraud")
        edge.update_model("fraud", times(tmp_path, 2), version="v2")
        assert ask(edge, 3) == (6.0, "v2", False)
        edge.update_model("fraud", times(tmp_path, 1), version="v1")
        assert ask(edge, 3) == (3.0, "v1", False)


def test_what_was_forgotten_stays_so_after_a_restart(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"disk": DiskTier(path=str(tmp_path / "store"), size="1GiB", admission="always")}
    one, two = times(tmp_path, 1), times(tmp_path, 2)
    with serve(Model(str(one), name="fraud"), **settings) as edge:
        ask(edge, 3)
        edge.update_model("fraud", two)
        assert ask(edge, 3)[2] is False
    # What was set while the edge ran does not outlive it.
    with serve(Model(str(one), name="fraud"), **settings) as edge:
        assert ask(edge, 3)[:2] == (3.0, edge.models()[0].version)
        assert edge.models()[0].set_over is False


def test_a_file_is_read_again_where_no_other_is_named(tmp_path: Path) -> None:
    file = times(tmp_path, 2)
    with serve(Model(str(file), name="fraud")) as edge:
        before = edge.models()[0]
        assert ask(edge, 3)[0] == 6.0
        same = edge.update_model("fraud")
        assert (same.before, same.version) == (None, before.version)
        assert ask(edge, 3)[2] is True, "nothing was changed, and nothing forgotten"
        shutil.copy(times(tmp_path, 5), file)
        swap = edge.update_model("fraud")
        assert (swap.before, ask(edge, 3)) == (before.version, (15.0, swap.version, False))
        [after] = edge.models()
        assert (after.version, after.path, after.loaded_at >= before.loaded_at) == (swap.version, str(file), True)
        assert (after.runs, after.rows, after.bytes) == (1, 1, file.stat().st_size)


def nothing_of_onnx(folder: Path) -> Path:
    file = folder / "notes.onnx"
    file.write_text("these are no weights")
    return file


def unknown_operator(folder: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Divine", ["x"], ["y"], domain="com.example")],
        "unknown",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    file = folder / "unknown.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(file))
    return file


def vanished(folder: Path) -> Path:
    file = times(folder, 9)
    file.unlink()
    return file


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing_of_onnx, ["notes.onnx", "rotobuf"]),
        (unknown_operator, ["unknown.onnx", "Divine"]),
        (vanished, ["fraud-9.onnx", "there is no such file"]),
        (lambda folder: times(folder, 3), ["fraud-3.onnx", "golden[0]", "expected 2, got 3"]),
    ],
)
def test_what_cannot_be_loaded_harms_nothing(tmp_path: Path, make: Callable[[Path], Path], words: list[str]) -> None:
    model = Model(str(times(tmp_path, 2)), name="fraud", version="v2", golden=[Golden([1], prediction=2)])
    with serve(model) as edge:
        ask(edge, 3)
        with pytest.raises(ModelRefused) as refused:
            edge.update_model("fraud", make(tmp_path))
        for word in words:
            assert word in str(refused.value)
        assert ask(edge, 3) == (6.0, "v2", True)
        for name, version, what in [("frod", None, "there is fraud"), ("fraud", "a b", "no version")]:
            with pytest.raises(ModelRefused, match=what):
                edge.update_model(name, times(tmp_path, 2), version=version)
        with pytest.raises(ModelRefused, match="other contents"):
            edge.update_model("fraud", onnx_models.linear(tmp_path / "other.onnx", [1.0], bias=1.0), version="v2")
        assert ask(edge, 3) == (6.0, "v2", True)


def test_what_was_set_holds_until_the_models_configuration_changes(tmp_path: Path) -> None:
    def declared(**more: Any) -> Distribution:
        model = Model(str(times(tmp_path, 2)), name="fraud", version="v2", **more)
        return Distribution("ml", behaviors=[Behavior(MODEL_PATHS, origin=model)])

    with EdgeServer(distribution=declared()) as edge:
        file = times(tmp_path, 3)
        edge.update_model("fraud", file, version="v3")
        file.unlink()
        assert [(each.version, each.set_over) for each in edge.models()] == [("v3", True)]
        edge.reload(declared())
        assert ask(edge, 1)[:2] == (3.0, "v3"), "a reload of what was there before changes nothing"
        edge.reload(declared(max_batch=4))
        assert ask(edge, 1)[:2] == (2.0, "v2")
        assert [(each.version, each.set_over) for each in edge.models()] == [("v2", False)]


def test_a_version_is_unloaded_and_loaded_again(tmp_path: Path) -> None:
    models = [Model(str(times(tmp_path, at)), name="fraud", version=f"v{at}") for at in (1, 2)]
    with serve(*models) as edge:
        assert ask(edge, 3)[1] == "v1"
        assert edge.unload_model("fraud").before == "v1"
        assert ask(edge, 3)[1] == "v2", "the next one is the default"
        assert edge.unload_model("fraud", "v2").before == "v2"
        status, refused, _ = post(f"{edge.url}/predict", {"features": [3]})
        assert (status, refused["error"]) == (404, "no model is loaded here")
        assert {each.state for each in edge.models()} == {"unloaded"}
        for version in ("v1", None):
            with pytest.raises(ModelRefused):
                edge.unload_model("fraud", version)
        edge.update_model("fraud", times(tmp_path, 5), version="v5")
        assert ask(edge, 3)[:2] == (15.0, "v5")


class Load:
    """Clients that ask without a pause, and note what is wrong with any answer."""

    def __init__(self, edge: EdgeServer, factors: dict[str, float], n_clients: int = 3) -> None:
        self.wrong: list[object] = []
        self.n_answers = 0
        self.seen: set[str] = set()
        self._url, self._factors, self._ended = edge.url, factors, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(at,)) for at in range(n_clients)]

    def _run(self, number: int) -> None:
        at = 0
        while not self._ended.is_set():
            at += 1
            # Some inputs come again, most do not.
            rows = [float(at % 7), float(number * 1_000_000 + at), 1.0]
            try:
                status, answer, _ = post(f"{self._url}/batch_predict", {"features": [[row] for row in rows]})
            except OSError as error:
                self.wrong.append(error)
                continue
            factor = self._factors.get(answer.get("version", ""))
            if status != 200 or factor is None or answer["predictions"] != [row * factor for row in rows]:
                self.wrong.append((status, rows, answer))
            self.seen.add(answer.get("version", ""))
            self.n_answers += 1

    def has_answered_more_than(self, n_answers: int) -> Callable[[], bool]:
        return lambda: self.n_answers > n_answers

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def test_no_request_fails_or_is_of_two_versions_while_versions_change(tmp_path: Path) -> None:
    factors = {f"v{at}": float(at) for at in range(1, 7)}
    files = {version: times(tmp_path, factor) for version, factor in factors.items()}
    with serve(Model(str(files["v1"]), name="fraud", version="v1")) as edge, Load(edge, factors) as load:
        for version in [*list(factors)[1:], *factors] * 3:
            before = load.n_answers
            swap = edge.update_model("fraud", files[version], version=version)
            assert (swap.version, swap.drained) == (version, True)
            assert ask(edge, 1)[:2] == (factors[version], version), "not one old prediction after the acknowledgement"
            wait_until(load.has_answered_more_than(before))
    assert load.wrong == []
    assert load.seen == set(factors)


def test_two_changes_go_one_after_the_other(tmp_path: Path) -> None:
    async def change(edge: EdgeServer) -> None:
        files = [times(tmp_path, at) for at in range(2, 6)]
        swaps = await asyncio.gather(*(asyncio.to_thread(edge.update_model, "fraud", file) for file in files))
        chain = {swap.before: swap.version for swap in swaps}
        version, first = edge.models()[0].version, next(iter(chain))
        assert len(chain) == 4
        assert version in chain.values()
        assert first is not None

    with serve(Model(str(times(tmp_path, 1)), name="fraud")) as edge:
        asyncio.run(change(edge))


def test_a_server_in_this_process_loads_another_version(tmp_path: Path) -> None:
    with EdgeMLServer(times(tmp_path, 2)) as server:
        assert server.predict([4])["prediction"] == 8.0
        swap = server.load(times(tmp_path, 3), version="v3")
        answer = server.predict([4])
        assert (answer["prediction"], answer["version"], answer["cached"], swap.version) == (12.0, "v3", False, "v3")
        with pytest.raises(ModelRefused):
            server.load(tmp_path / "nothing.onnx")
        assert server.predict([4])["cached"] is True


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[tuple[EdgeServer, AdminClient]]:
    with serve(Model(str(times(tmp_path, 2)), name="fraud", version="v2"), admin="127.0.0.1:0") as edge:
        assert edge.admin_url is not None
        yield edge, AdminClient(edge.admin_url)


def test_the_admin_listener_changes_models(tmp_path: Path, admin: tuple[EdgeServer, AdminClient]) -> None:
    edge, client = admin
    assert client.update_model("fraud", times(tmp_path, 3), version="v3").before == "v2"
    assert ask(edge, 1)[:2] == (3.0, "v3")
    [model] = client.models()
    assert (model.name, model.version, model.default, model.set_over) == ("fraud", "v3", True, True)
    for asked in [("frod", None), ("fraud", tmp_path / "nothing.onnx")]:
        with pytest.raises(ModelRefused):
            client.update_model(*asked)
    url = client.address
    for body, status in [({}, 400), ({"model": "fraud", "file": "x"}, 400), ({"model": "frod"}, 404)]:
        assert post(f"{url}/admin/update_model", body)[0] == status
    from_page = httpx.post(
        f"{url}/admin/update_model", json={"model": "fraud"}, headers={"Origin": "https://a.example"}
    )
    assert from_page.status_code == 403
    assert httpx.post(f"{edge.url}/admin/update_model", json={"model": "fraud"}).status_code == 404


def test_kserves_repository_loads_and_unloads_on_the_admin_listener(
    tmp_path: Path, admin: tuple[EdgeServer, AdminClient]
) -> None:
    edge, client = admin
    repository = f"{client.address}/v2/repository"
    index = [{"name": "fraud", "version": "v2", "state": "READY", "reason": ""}]
    assert post(f"{repository}/index", {})[1] == index
    assert post(f"{repository}/models/fraud/unload", {})[0] == 200
    assert post(f"{repository}/index", {})[1][0]["state"] == "UNAVAILABLE"
    assert post(f"{edge.url}/predict", {"features": [1]})[0] == 404
    shutil.copy(times(tmp_path, 7), tmp_path / "fraud-2.onnx")
    assert post(f"{repository}/models/fraud/load", {})[0] == 200
    assert ask(edge, 1)[0] == 7.0
    assert post(f"{repository}/models/frod/load", {})[0] == 404
    on_the_public_port = httpx.post(f"{edge.url}/v2/repository/models/fraud/unload", json={})
    assert on_the_public_port.status_code in (403, 404)
    assert ask(edge, 1)[0] == 7.0
    assert n_computed(edge) == 1


def test_whose_rows_are_not_batched_is_said(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1)
    file = onnx_models.save(
        tmp_path / "norm.onnx",
        [mean, helper.make_node("Sub", ["x", "mean"], ["y"])],
        {"x": (TensorProto.FLOAT, ["n", 1])},
        {"y": (TensorProto.FLOAT, ["n", 1])},
    )
    with serve(Model(str(file), golden=[Golden([3], prediction=0)])) as edge:
        assert [(each.batched, each.mixing) for each in edge.models()] == [(False, True)]
        with urllib.request.urlopen(f"{edge.url}/v2/health/ready", timeout=20) as response:
            assert response.status == 200
