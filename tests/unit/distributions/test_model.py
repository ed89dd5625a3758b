from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bodega.distributions import Behavior, CachePolicy, Declarations, Distribution, Golden, Model, OriginGroup
from bodega.distributions.model import MODEL_PATHS
from bodega.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("models/fraud.onnx", "fraud"),
        ("fraud.v2.onnx", "fraud.v2"),
        ("my fraud (new).onnx", "my-fraud-new"),
        ("....onnx", "model"),
    ],
)
def test_a_model_is_called_as_its_file(written: str, name: str) -> None:
    assert Model(written).name == name


def test_a_path_is_taken_as_a_text(tmp_path: Path) -> None:
    given: Any = tmp_path / "fraud.onnx"
    assert Model(given).model == str(tmp_path / "fraud.onnx")
    assert Model("~/fraud.onnx").model == str(Path.home() / "fraud.onnx")


@pytest.mark.parametrize(
    ("given", "field", "what"),
    [
        ({"model": ""}, "model", "empty"),
        ({"name": "a b"}, "name", "a b"),
        ({"version": "v 1"}, "version", "v 1"),
        ({"timeout": "0s"}, "timeout", "no time"),
        ({"timeout": 10}, "timeout", "10"),
        ({"max_batch": 0}, "max_batch", "0"),
        ({"max_queue": 0}, "max_queue", "0"),
        ({"max_body": "1GB"}, "max_body", "256 MiB"),
        ({"max_body": "0B"}, "max_body", "256 MiB"),
        ({"ttl": "soon"}, "ttl", "soon"),
        ({"batch_wait": "2s"}, "batch_wait", "as long"),
        ({"threads": 0}, "threads", "0"),
        ({"provider": "npu"}, "provider", "npu"),
        ({"isolated": 1}, "isolated", "neither true nor false"),
        ({"runner": "shop.models"}, "runner", "no class"),
        ({"runner": "shop.models:Fraud()"}, "runner", "no class"),
        ({"runner": "shop.models:Fraud", "provider": "cuda"}, "provider", "chooses"),
        ({"runner": "shop.models:Fraud", "region_only": True}, "region_only", "runner"),
        ({"max_memory": "1MB", "isolated": True}, "max_memory", "as small"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(given: dict[str, Any], field: str, what: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        Model(**{"model": "fraud.onnx", **given})
    assert refused.value.path == (field,)
    assert what in str(refused.value)


@pytest.mark.parametrize(
    ("golden", "path", "what"),
    [
        ([0.5], ("golden", 0), "not Golden"),
        (Golden([1]), ("golden",), "a Golden is not a list of examples"),
        ([Golden([1]), {"features": [1]}], ("golden", 1), "not Golden"),
    ],
)
def test_what_is_no_example_is_refused(golden: Any, path: tuple[str | int, ...], what: str) -> None:
    with pytest.raises(ConfigInvalid, match=what) as refused:
        Model("fraud.onnx", golden=golden)
    assert refused.value.path == path


def test_an_example_is_a_value_of_json() -> None:
    assert Golden(np.array([1, 2]), prediction=np.float32(0.5)) == Golden([1, 2], prediction=0.5)
    assert Golden({"x": (1, "a")}).features == {"x": [1, "a"]}
    wrong: list[tuple[dict[str, Any], tuple[str | int, ...]]] = [
        ({"features": [1, float("nan")]}, ("features", 1)),
        ({"features": [1], "prediction": b"x"}, ("prediction",)),
        ({"features": [1], "tolerance": -1}, ("tolerance",)),
    ]
    for given, path in wrong:
        with pytest.raises(ConfigInvalid) as refused:
            Golden(**given)
        assert refused.value.path == path


def test_a_model_is_no_member_of_a_group() -> None:
    member: Any = Model("fraud.onnx")
    with pytest.raises(ConfigInvalid, match="a model is no member"):
        OriginGroup([member, "other"])


def test_a_named_model_is_no_member_of_a_group_either() -> None:
    site = Distribution("site", behaviors=[Behavior(origin="both")])
    with pytest.raises(ConfigInvalid, match='"fraud" is a model'):
        Declarations(
            origins={"fraud": Model("fraud.onnx"), "both": OriginGroup(["fraud", "https://example.com"])},
            distributions=[site],
        )


def test_one_model_for_every_host() -> None:
    [distribution] = Declarations.of_models(["fraud.onnx"], ttl="1h").distributions
    [behavior] = distribution.behaviors
    assert (distribution.hosts, behavior.paths) == (("*",), MODEL_PATHS)
    assert behavior.policy == CachePolicy(extends="predictions", default_ttl="1h")
    with pytest.raises(ConfigInvalid) as refused:
        Declarations.of_models(["fraud.onnx"], ttl="soon")
    assert refused.value.path == ("ttl",)
