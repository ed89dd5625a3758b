from __future__ import annotations

import json
from pathlib import Path

import pytest

from bodega.config import parse_config
from bodega.distributions import S3, HttpOrigin, Model, meant_for
from bodega.up.declaration import declaration
from bodega.up.origins import Upstream
from bodega.up.places import PLACES, Place
from bodega.up.predictors import Predictors

NEAR = Upstream("http://127.0.0.1:9000", "http://127.0.0.1:9001")
FAR = Upstream("http://127.0.0.1:9002", "http://127.0.0.1:9003")


def test_models_come_before_what_else_has_their_paths(tmp_path: Path) -> None:
    row = {"features": [0.5, 1.0], "prediction": {"label": 1, "probabilities": [0.25, 0.75]}}
    (tmp_path / "breast-cancer.json").write_text(json.dumps({"cases": [row] * 10}))
    declared = parse_config(declaration(NEAR, FAR, Predictors(tmp_path))).declarations
    model = declared.origins["breast-cancer"]
    assert isinstance(model, Model)
    assert model.model == str(tmp_path / "breast-cancer.onnx")
    assert [(golden.features, golden.prediction) for golden in model.golden] == [tuple(row.values())] * 8
    (store,) = declared.distributions
    origins = [behavior.origin for behavior in store.behaviors]
    assert origins[:3] == ["breast-cancer", "predictors", "images"]


@pytest.mark.parametrize("place", PLACES)
def test_each_place_has_its_way_to_the_origins(place: Place) -> None:
    upstream = FAR if place.is_far else NEAR
    own = meant_for(parse_config(declaration(NEAR, FAR)).declarations, place.name, place.region)
    images = own.origins["images"]
    assert isinstance(images, S3)
    assert (images.bucket, images.endpoint) == ("images", upstream.s3_url)
    assert own.origins["site"] == HttpOrigin(upstream.site_url)
    (store,) = own.distributions
    origins = [(behavior.origin, behavior.policy) for behavior in store.behaviors]
    assert origins == [
        ("images", "immutable"),
        ("models", "immutable"),
        ("site", "none"),
        (None, "web"),
        ("site", "web"),
    ]
