"""Writes the `bodega.toml` of the demonstration: one for all three edges, with origins as each region reaches them."""

from __future__ import annotations

import json
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodega.up.origins import Upstream
    from bodega.up.predictors import Predictors

_TEXT = Template("""\
# Written by `bodega up` for its three edges. A good start for one of your own: `bodega init` writes another.

[origins]
site   = { regions = { "ap-*" = "$far_site", "eu-*" = "$far_site" }, otherwise = "$near_site" }
images = { regions = { "ap-*" = "images-far", "eu-*" = "images-far" }, otherwise = "images-near" }
models = { regions = { "ap-*" = "models-far", "eu-*" = "models-far" }, otherwise = "models-near" }

images-near = { url = "s3://images", endpoint = "$near_s3", region = "us-east-1" }
images-far  = { url = "s3://images", endpoint = "$far_s3", region = "us-east-1" }
models-near = { url = "s3://models", endpoint = "$near_s3", region = "us-east-1" }
models-far  = { url = "s3://models", endpoint = "$far_s3", region = "us-east-1" }
$model_origins
[distributions.store]
hosts = ["*"]
behaviors = [                                   # first match wins; the last one has no path
$model_behaviors\
  { path = ["/images/*", "/video/*", "*.webp"], origin = "images", policy = "immutable" },
  { path = "/models/*", origin = "models", policy = "immutable" },
  { path = ["/account", "/account/*", "/api/*"], origin = "site", policy = "none" },
  { path = ["/shop", "/shop/"], redirect = { location = "/products/", status = 308 } },
  { origin = "site", policy = "web" },
]
""")


_MODEL_ORIGINS = Template("""
# Models that every edge runs itself. The first one has to be right about cases that it was not trained on, or it
# does not serve.
breast-cancer = { model = $breast_cancer, ttl = "1h", golden = [
$golden] }
magika = { model = $magika, ttl = "1h" }
predictors = { models = ["breast-cancer", "magika"] }
""")

_MODEL_BEHAVIORS = """\
  { path = ["/predict", "/batch_predict"], origin = "breast-cancer", policy = "predictions" },
  { path = [
    "/models/breast-cancer/*", "/models/magika/*", "/v2", "/v2/*", "/inference.GRPCInferenceService/*",
  ], origin = "predictors", policy = "predictions" },
"""


def declaration(near: Upstream, far: Upstream, predictors: Predictors | None = None) -> str:
    """Return what the edges serve.

    Args:
        near: The origins as the edge next to them reaches them.
        far: The same as the others reach them.
        predictors: The models that they run, where there are some.
    """
    return _TEXT.substitute(
        near_site=near.site_url,
        near_s3=near.s3_url,
        far_site=far.site_url,
        far_s3=far.s3_url,
        model_origins="" if predictors is None else _model_origins(predictors),
        model_behaviors="" if predictors is None else _MODEL_BEHAVIORS,
    )


def _model_origins(predictors: Predictors) -> str:
    golden = "".join(
        f"  {{ features = {case['features']}, prediction = {_table(case['prediction'])} }},\n"
        for case in predictors.golden
    )
    return _MODEL_ORIGINS.substitute(
        # A text of JSON is one of TOML, too.
        breast_cancer=json.dumps(str(predictors.breast_cancer)),
        magika=json.dumps(str(predictors.magika)),
        golden=golden,
    )


def _table(prediction: dict[str, object]) -> str:
    return f"{{ {', '.join(f'{name} = {value}' for name, value in prediction.items())} }}"
