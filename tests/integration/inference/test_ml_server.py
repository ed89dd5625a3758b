"""Predictions as calls: `EdgeMLServer`."""

from __future__ import annotations

import array
import json
import urllib.request
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.integration.inference import onnx_models

from bodega import EdgeMLServer, Model
from bodega.errors import ConfigInvalid, EdgeClosed, PredictionRefused

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
        (each for each in (1, 2)),
        [Decimal("1.0"), Fraction(2)],
        [np.int64(1), np.float16(2)],
        np.array([1, 2], dtype=np.longdouble),
        np.array([1, Decimal(2)], dtype=object),
        [np.array(1), np.array([2])[0]],
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


def test_a_row_with_a_nan_is_computed_each_time_and_one_with_infinities_kept(server: EdgeMLServer) -> None:
    # It was sent as JSON, which has no such numbers.
    known = server.predict([1, 1])
    for _ in range(2):
        assert server.predict(np.array([np.nan, 1.0])) == {**known, "prediction": None, "cached": False}
    for is_kept in (False, True):
        # What JSON has no number for is None in an answer.
        assert server.predict({"x": [1, np.inf]}) == {**known, "prediction": None, "cached": is_kept}


def imputing(path: Path) -> Path:
    """`float32[n, 2]` to their sums, with 7 in place of each NaN, and how many of those there are."""
    return onnx_models.save(
        path,
        [
            helper.make_node("IsNaN", ["x"], ["missing"]),
            helper.make_node("Where", ["missing", "seven", "x"], ["filled"]),
            helper.make_node("ReduceSum", ["filled", "last"], ["sum"], keepdims=1),
            helper.make_node("Cast", ["missing"], ["as_number"], to=TensorProto.INT64),
            helper.make_node("Identity", ["as_number"], ["which"]),
        ],
        {"x": (TensorProto.FLOAT, ["n", 2])},
        {"sum": (TensorProto.FLOAT, ["n", 1]), "which": (TensorProto.INT64, ["n", 2])},
        [
            helper.make_tensor("seven", TensorProto.FLOAT, [], [7.0]),
            helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        ],
    )


async def test_rows_with_a_nan_stand_in_a_batch_where_they_were(tmp_path: Path) -> None:
    nan = float("nan")
    with EdgeMLServer(imputing(tmp_path / "imputing.onnx")) as server:
        assert server.predict([1, 2])["cached"] is False
        answer = await server.batch_predict([[nan, 1], [1, 2], [nan, nan], [2, 2]])
        sums = [(told["sum"], told["which"]) for told in answer["predictions"]]
        assert sums == [(8.0, [1, 0]), (3.0, [0, 0]), (14.0, [1, 1]), (4.0, [0, 0])]
        assert (answer["cached"], answer["count"]) == ([False, True, False, False], 4)
        for rows, field in [
            ([[nan, 1], [1, 2], [1, "a"]], "features[2][1]"),
            ([[1, 2], [nan, 1, 2]], "features[1]"),
            (nan, "features"),
        ]:
            with pytest.raises(PredictionRefused) as refused:
                await server.batch_predict(rows)
            assert (refused.value.status, refused.value.field) == (400, field)
            assert str(refused.value).startswith(f"{field}: ")


async def test_the_row_is_named_that_the_model_failed_for_among_those_with_a_nan(tmp_path: Path) -> None:
    # A class in `x` of `picky` beside a number that may be none.
    path = onnx_models.save(
        tmp_path / "picky.onnx",
        [
            helper.make_node("Gather", ["table", "at"], ["found"], axis=0),
            helper.make_node("Add", ["found", "x"], ["y"]),
        ],
        {"at": (TensorProto.INT64, ["n", 1]), "x": (TensorProto.DOUBLE, ["n", 1])},
        {"y": (TensorProto.DOUBLE, ["n", 1])},
        [helper.make_tensor("table", TensorProto.DOUBLE, [3], [1.0, 2.0, 3.0])],
    )
    nan, inf = float("nan"), float("inf")
    with EdgeMLServer(Model(str(path), ignored=["request"])) as server:
        rows = [{"at": [0], "x": [1.5]}, {"at": [1], "x": [nan], "request": 7}, {"at": [2], "x": [-inf]}]
        assert (await server.batch_predict(rows))["predictions"] == [2.5, None, None]
        with pytest.raises(PredictionRefused) as failed:
            await server.batch_predict([*rows, {"at": [7], "x": [nan]}])
        assert (failed.value.status, failed.value.field) == (500, "features[3]")
        with pytest.raises(PredictionRefused, match=r"^features\[1\]\.at: expected INT64, got a string$") as refused:
            await server.batch_predict([{"at": [0], "x": [nan]}, {"at": ["a"], "x": [nan]}])
        assert (refused.value.status, refused.value.field) == (400, "features[1].at")
        for row, field in [({"at": [nan], "x": [1]}, "features.at[0]"), ({"x": [nan]}, "features.at")]:
            with pytest.raises(PredictionRefused, match="int64") as refused:
                server.predict(row)
            assert refused.value.field == field


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
        ([1, float("nan"), 3], 400, "features: expected float32[2], got float32[3]"),
        ([1, 1j], 400, "features[1]: a complex is no number"),
        ({"x": [1, object()]}, 400, "features.x[1]: a object is no number"),
        ([Decimal("1e400"), 1], 400, "features[0]: 1E+400 is more than a double holds"),
        ([1, 10**5000], 400, "features[1]: a whole number of 16610 bits is more than a double holds"),
        ({1, 2}, 400, "features: a set is no number"),
        ([float("nan"), 1e39], 400, "features[1]: expected float32, got 1e+39"),
        ([float("nan"), "a"], 400, "features[1]: expected float32, got a string"),
        ({"y": [float("nan"), 1]}, 400, "features.y: the model has no such input"),
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


async def test_what_is_stopped_stays_so_until_it_is_started(tmp_path: Path) -> None:
    # The next prediction started it again, with the first model, behind a listener that nobody stopped.
    with EdgeMLServer(onnx_models.linear(tmp_path / "m.onnx", [2.0])) as server:
        assert server.predict([4])["prediction"] == 8.0
    for ask in (
        lambda: server.predict([4]),
        lambda: server.predict([float("nan")]),
        server.invalidate,
        lambda: server.load(tmp_path / "m.onnx"),
        lambda: server.url,
    ):
        with pytest.raises(EdgeClosed):
            ask()
    with pytest.raises(EdgeClosed):
        await server.batch_predict([[4]])
    assert not server.edge.is_running
    with server:
        assert server.predict([4])["cached"] is False
