"""Writes the `bodega.toml` of the demonstration: what each edge is told about the origins in front of it."""

from __future__ import annotations

from string import Template

_TEXT = Template("""\
# Written by `bodega up` for the edge in $title. A good start for one of your own: `bodega init` writes another.

[origins]
site   = "$site_url"
images = { url = "s3://images", endpoint = "$s3_url", region = "us-east-1" }
models = { url = "s3://models", endpoint = "$s3_url", region = "us-east-1" }

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


def declaration(*, title: str, site_url: str, s3_url: str) -> str:
    """Return the declaration of one edge.

    Args:
        title: The place it stands for.
        site_url: The web origin, or the relay in front of it.
        s3_url: The S3 server, or the relay in front of it.
    """
    return _TEXT.substitute(title=title, site_url=site_url, s3_url=s3_url)
