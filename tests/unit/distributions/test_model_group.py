from __future__ import annotations

import json
from typing import Any

import pytest

from bodega.config import parse_config
from bodega.distributions import Behavior, Declarations, Distribution, Model, ModelGroup, OriginGroup
from bodega.errors import ConfigInvalid
from bodega.snapshot import compile_snapshot


@pytest.mark.parametrize(
    ("models", "path"),
    [
        ("fraud", ("models",)),
        ([], ("models",)),
        (["fraud", "fraud"], ("models", 1)),
        (["a b"], ("models", 0)),
    ],
)
def test_what_is_no_group_is_refused(models: Any, path: tuple[str | int, ...]) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        ModelGroup(models)
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("members", "what"),
    [(["frau"], 'did you mean "fraud"'), (["site"], '"site" is no model'), (["both"], '"both" is no model')],
)
def test_members_are_models_that_are_declared(members: list[str], what: str) -> None:
    origins: Any = {
        "fraud": Model("fraud.onnx"),
        "site": "https://example.com",
        "both": OriginGroup(["https://a.example", "https://b.example"]),
    }
    origins["site"] = Behavior(origin="https://example.com").origin
    with pytest.raises(ConfigInvalid, match=what):
        Declarations(
            origins=origins, distributions=[Distribution("ml", behaviors=[Behavior(origin=ModelGroup(members))])]
        )


def test_a_group_of_models_is_no_member_of_a_group() -> None:
    with pytest.raises(ConfigInvalid, match="a group is no member"):
        OriginGroup([ModelGroup(["fraud"]), "other"])  # type: ignore[list-item]
    with pytest.raises(ConfigInvalid, match='"all" is a group of models'):
        Declarations(
            origins={
                "fraud": Model("fraud.onnx"),
                "all": ModelGroup(["fraud"]),
                "both": OriginGroup(["all", "https://example.com"]),
            },
            distributions=[Distribution("site", behaviors=[Behavior(origin="both")])],
        )


def test_versions_of_a_model_have_origins_of_their_own() -> None:
    declarations = Declarations.of_models(["v1/fraud.onnx", "v2/fraud.onnx", "language.onnx"])
    document = json.loads(compile_snapshot(declarations).document)
    assert document["origins"]["models"] == {"kind": "models", "members": ["fraud", "fraud-2", "language"]}
    assert document["origins"]["fraud-2"]["path"] == "v2/fraud.onnx"
    [behavior] = document["distributions"][0]["behaviors"]
    assert (behavior["action"], behavior["policy"]) == ({"kind": "origin", "origin": "models"}, "predictions")


def test_a_group_in_a_file() -> None:
    text = """
        [origins]
        fraud = { model = "fraud.onnx" }
        all = { models = ["fraud"] }
        [distributions.ml]
        behaviors = [{ path = "/models/*", origin = "all" }]
        """
    assert parse_config(text).declarations.origins["all"] == ModelGroup(["fraud"])
    with pytest.raises(ConfigInvalid, match='"version" has no meaning') as refused:
        parse_config(text.replace('["fraud"]', '["fraud"], version = "v1"'))
    assert refused.value.line == 4
