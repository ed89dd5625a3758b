"""Writes the `bodega.toml` of the demonstration: one for all three edges, with origins as each region reaches them."""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodega.up.origins import Upstream

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

[distributions.store]
hosts = ["*"]
behaviors = [                                   # first match wins; the last one has no path
  { path = ["/images/*", "/video/*", "*.webp"], origin = "images", policy = "immutable" },
  { path = "/models/*", origin = "models", policy = "immutable" },
  { path = ["/account", "/account/*", "/api/*"], origin = "site", policy = "none" },
  { path = ["/shop", "/shop/"], redirect = { location = "/products/", status = 308 } },
  { origin = "site", policy = "web" },
]
""")


def declaration(near: Upstream, far: Upstream) -> str:
    """Return what the edges serve.

    Args:
        near: The origins as the edge next to them reaches them.
        far: The same as the others reach them.
    """
    return _TEXT.substitute(near_site=near.site_url, near_s3=near.s3_url, far_site=far.site_url, far_s3=far.s3_url)
