"""Predictions as calls: `EdgeMLServer`."""

from __future__ import annotations

import array
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.integration.inference import onnx_models

from bodega import EdgeMLServer, Model
from bodega.errors import ConfigInvalid, PredictionRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EdgeMLServer]:
    with EdgeMLServer(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0]), "eu-west-1") as running:
        yield running


def test_a_prediction_is_a_call_and_the_second_one_is_kept(server: EdgeMLServer) -> None:
    first = server.predict([0.5, 0.25])
    assert (first["prediction"], first["cached"], first["edge_region"], first["model"]) == (
        1.0,
        False,
        "eu-west-1",
        "fraud",
    )
    assert server.predict([0.5, 0.25]) == {**first, "cached": True}


@pytest.mark.parametrize(
    "features",
    [
        (1, 2),
        [1.0, np.float32(2)],
        np.array([1, 2], dtype=np.float32),
        np.array([1, 2], dtype=np.int16),
        array.array("d", [1, 2]),
        {"x": np.array([1, 2])},
        range(1, 3),
    ],
)
def test_any_sequence_is_a_row(server: EdgeMLServer, features: Any) -> None:
    assert server.predict([1, 2])["cached"] is False
    answer = server.predict(features)
    assert (answer["prediction"], answer["cached"]) == (5.0, True)


async def test_a_batch_keeps_its_order(server: EdgeMLServer) -> None:
    server.predict([1, 0])
    answer = await server.batch_predict(np.array([[2, 0], [1, 0], [0, 1]], dtype=np.float64))
    assert (answer["predictions"], answer["cached"], answer["count"]) == ([2.0, 1.0, 2.0], [False, True, False], 3)
    assert (await server.batch_predict([]))["predictions"] == []


def test_calls_and_clients_share_one_cache(server: EdgeMLServer) -> None:
    server.predict([3, 3])
    with urllib.request.urlopen(f"{server.url}/predict", data=b'{"features": [3, 3]}', timeout=20) as response:
        assert json.load(response)["cached"] is True
    server.invalidate()
    assert server.predict([3, 3])["cached"] is False


def test_what_is_no_row_is_refused_with_what_was_expected(server: EdgeMLServer) -> None:
    for features, status, words in [
        ([1, 2, 3], 400, "float32[2]"),
        ([1, "a"], 400, "a string"),
        ([1, float("nan")], 400, "NaN"),
    ]:
        with pytest.raises(PredictionRefused) as refused:
            server.predict(features)
        assert refused.value.status == status
        assert words in str(refused.value)


def test_it_starts_with_the_first_prediction(tmp_path: Path) -> None:
    server = EdgeMLServer(Model(str(onnx_models.linear(tmp_path / "m.onnx", [2.0])), name="score"))
    try:
        assert server.predict([4])["model"] == "score"
    finally:
        server.stop()
    with pytest.raises(ConfigInvalid, match="no such file"):
        EdgeMLServer(tmp_path / "nothing.onnx").predict([1])
