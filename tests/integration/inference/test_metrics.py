"""What an edge counts of its models: `/metrics`, statistics, and the table."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.integration.edge.conftest import wait_until
from tests.integration.exposition import parse_exposition
from tests.integration.inference import onnx_models
from tests.integration.inference.test_predict import post, serve

from bodega import Answer, Behavior, Distribution, EdgeServer, Model

if TYPE_CHECKING:
    from pathlib import Path


MODELS = "cdn_" + "model_"
"""What the names of all metrics of models begin with."""


def test_what_a_model_does_is_counted(tmp_path: Path) -> None:
    file = onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])
    with serve(Model(str(file), version="v1")) as edge:
        idle = edge.stats().models[0]
        assert (idle.n_rows, idle.n_runs, str(edge.stats()).count("not asked yet")) == (0, 0, 1)
        post(f"{edge.url}/predict", {"features": [1, 1]})
        post(f"{edge.url}/predict", {"features": [1, 1]})
        post(f"{edge.url}/batch_predict", {"features": [[1, 1], [2, 2], [3, 3]]})
        families = parse_exposition(edge.prometheus())
        named = {"model": "fraud", "version": "v1", "region": "ap-northeast-1"}
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert families["cdn_model_info"].value(**named, digest=digest) == 1
        assert families["cdn_model_rows_total"].value(**named) == 3, "a hit is none"
        n_runs = families["cdn_model_run_seconds"].value("_count", **named)
        assert 2 <= n_runs <= 3
        assert families["cdn_model_run_seconds"].value("_sum", **named) > 0
        assert families["cdn_model_queue_rows"].value(**named) == 0
        assert families["cdn_model_file_bytes"].value(**named) == file.stat().st_size
        assert families["cdn_model_load_seconds"].value(**named) > 0
        (stats,) = edge.stats().models
        assert (stats.model, stats.version, stats.digest) == ("fraud", "v1", digest)
        assert (stats.n_rows, stats.n_runs, stats.failures) == (3, n_runs, {"model": 0, "gone": 0})
        assert f"fraud@v1, {file.stat().st_size}" in str(edge.stats())
        assert f"3 computed in {n_runs:.0f} runs" in str(edge.stats())


def test_a_row_that_the_model_fails_for_is_counted(tmp_path: Path) -> None:
    with serve(Model(str(onnx_models.picky(tmp_path / "picky.onnx")))) as edge:
        status, _, _ = post(f"{edge.url}/predict", {"features": [7]})
        assert status == 500
        families = parse_exposition(edge.prometheus())
        assert families["cdn_model_failures_total"].value(model="picky", reason="model") == 1
        assert families["cdn_model_failures_total"].value(model="picky", reason="gone") == 0


def test_rows_that_are_turned_away_are_counted(tmp_path: Path) -> None:
    model = Model(str(onnx_models.slow(tmp_path / "slow.onnx", n_rounds=60)), max_queue=1, timeout="2m")
    with serve(model) as edge, ThreadPoolExecutor(12) as pool:
        body = [{"features": [float(number)]} for number in range(12)]
        statuses = [each[0] for each in pool.map(lambda each: post(f"{edge.url}/predict", each), body)]
        assert 503 in statuses, statuses
        rejected = parse_exposition(edge.prometheus())["cdn_model_rejected_total"]
        assert rejected.value(reason="queue_full") == statuses.count(503)


def test_of_a_version_that_was_replaced_nothing_is_said_any_more(tmp_path: Path) -> None:
    file = onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])

    def declared(version: str) -> Distribution:
        behavior = Behavior("/predict", origin=Model(str(file), version=version), policy="predictions")
        return Distribution("ml", behaviors=[behavior])

    with EdgeServer("eu-west-2", distribution=declared("v1")) as edge:
        post(f"{edge.url}/predict", {"features": [1, 1]})
        edge.reload(declared("v2"))
        wait_until(lambda: [each.version for each in edge.stats().models] == ["v2"])
        families = parse_exposition(edge.prometheus())
        for name, family in families.items():
            if name.startswith(MODELS):
                # Those of a worker have no samples where there is none.
                of_a_worker = name.startswith(f"{MODELS}worker_")
                expected = set() if of_a_worker else {"v2"}
                assert {sample.labels["version"] for sample in family.samples} == expected, name
        assert families["cdn_model_rows_total"].value(version="v2") == 0


def test_an_edge_without_models_says_nothing_of_them() -> None:
    behavior = Behavior(answer=Answer(body="hello"))
    with EdgeServer("eu-west-2", distribution=Distribution("hello", behaviors=[behavior])) as edge:
        assert not [name for name in parse_exposition(edge.prometheus()) if name.startswith(MODELS)]
        assert edge.stats().models == ()
