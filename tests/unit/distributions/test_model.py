from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bodega.distributions import Behavior, CachePolicy, Declarations, Distribution, Model, OriginGroup
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
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(given: dict[str, Any], field: str, what: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        Model(**{"model": "fraud.onnx", **given})
    assert refused.value.path == (field,)
    assert what in str(refused.value)


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
    [distribution] = Declarations.of_model("fraud.onnx", ttl="1h").distributions
    [behavior] = distribution.behaviors
    assert (distribution.hosts, behavior.paths) == (("*",), ("/predict", "/batch_predict", "/v2", "/v2/*"))
    assert behavior.policy == CachePolicy(extends="predictions", default_ttl="1h")
    with pytest.raises(ConfigInvalid) as refused:
        Declarations.of_model("fraud.onnx", ttl="soon")
    assert refused.value.path == ("ttl",)
