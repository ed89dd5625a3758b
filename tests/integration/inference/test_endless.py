"""Models that do not come to an end for some rows: they take nothing from other models, and go on."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest
from onnx import TensorProto, helper
from tests.integration.inference import onnx_models
from tests.integration.inference.test_predict import post, serve

from bodega import Behavior, Distribution, Golden, Model
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from bodega import EdgeServer


def endless(path: Path, given: str = "n") -> Path:
    """``float32[n, 1]`` to itself: at once where no number is over 0, else never."""
    condition = helper.make_node("Greater", ["most", "zero"], ["goes_on"])
    body = helper.make_graph(
        [helper.make_node("Identity", ["before"], ["after"]), helper.make_node("Identity", ["on"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("at", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["n", 1]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["n", 1]),
        ],
    )
    return onnx_models.save(
        path,
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            condition,
            helper.make_node("Loop", ["", "goes_on", "x"], ["y"], body=body),
        ],
        {"x": (TensorProto.FLOAT, [given, 1])},
        {"y": (TensorProto.FLOAT, ["n", 1])},
        [helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])],
    )


def asked(edge: EdgeServer, name: str, row: float) -> http.client.HTTPConnection:
    """A connection of its own, on which something was asked."""
    connection = http.client.HTTPConnection(edge.url.removeprefix("http://"), timeout=60)
    connection.request("POST", f"/{name}/predict", f'{{"features": [{row}]}}'.encode())
    return connection


def status(connection: http.client.HTTPConnection) -> int:
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_run_that_does_not_end_is_ended_and_nobody_else_waits_for_it(tmp_path: Path) -> None:
    bad = Model(str(endless(tmp_path / "endless.onnx")), timeout="1s")
    good = Model(str(onnx_models.linear(tmp_path / "good.onnx", [2.0])))
    with serve(bad, good) as edge:
        # A cheap model, it seems.
        assert [status(asked(edge, "endless", -at)) for at in range(30)] == [200] * 30
        for n in (1, 2):
            # On all serving threads.
            waiting = [asked(edge, "endless", 10 * n + at) for at in range(8)]
            assert [status(asked(edge, "good", at)) for at in range(8)] == [200] * 8
            assert [status(connection) for connection in waiting] == [504] * 8
            assert status(asked(edge, "endless", -100 - n)) == 200, "it goes on"


@pytest.mark.parametrize("isolated", [False, True])
def test_whether_rows_may_share_runs_is_not_tried_for_ever(tmp_path: Path, isolated: bool) -> None:
    model = Model(str(endless(tmp_path / "endless.onnx", given="m")), timeout="1s", isolated=isolated)
    with serve(model) as edge:
        assert post(f"{edge.url}/batch_predict", {"features": [[-1], [-2]]})[1]["predictions"] == [-1.0, -2.0]
        assert [(each.batched, each.mixing) for each in edge.models()] == [(False, True)]


def test_examples_that_are_new_are_tried_before_they_are_run_in_the_edge(tmp_path: Path) -> None:
    file = str(endless(tmp_path / "endless.onnx"))

    def declared(*rows: float) -> Distribution:
        model = Model(file, timeout="1s", golden=[Golden([row]) for row in rows])
        return Distribution("ml", behaviors=[Behavior(["/predict"], origin=model, policy="predictions")])

    with serve(Model(file, timeout="1s", golden=[Golden([-1])])) as edge:
        with pytest.raises(ConfigInvalid, match=r"on trial: golden\[1\]") as refused:
            edge.reload(declared(-1, 5))
        assert "1 s" in str(refused.value)
        assert post(f"{edge.url}/predict", {"features": [-3]})[1]["prediction"] == -3.0
        edge.reload(declared(-1, -2))
