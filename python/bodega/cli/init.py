"""`bodega init`: a commented file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bodega.cli.output import print_lines, say
from bodega.errors import BodegaError

STARTING_FILE = """\
# What this edge serves. Check it: bodega check. Serve it: bodega edge. Read it again while serving: kill -HUP.
# A duration has its unit ("90s", "24h"), and so has a size ("512MB"). Unknown keys are errors.

# This machine. Each setting is also an option (--memory) and a variable (BODEGA_MEMORY); a change needs a restart.
[edge]
listen = ["127.0.0.1:8080"]
memory = "512MB"
# tls = "dev"                            # HTTPS and HTTP/2 on port 8443; or a file or a folder of certificates
# access_log = "-"                       # lines on standard output, or a path

# Where the truth is. Secrets do not stand here: S3 credentials come from the environment or a file.
[origins]
site = "http://127.0.0.1:9000"
# images = { url = "s3://shop-images", endpoint = "https://s3.example.com", region = "eu-west-1" }
# fraud = { model = "models/fraud.onnx" } # the edge answers predictions itself: pip install "bodega[models]"

# What is kept, and for how long. Built in: "web", "immutable", "api", "none".
[policies.pages]
extends = "web"
default_ttl = "24h"                      # of answers that say nothing; "0": keep only what they say
stale_if_error = "1h"                    # an origin that is down is covered for so long
# key = { query = ["page", "lang"] }     # what is not in the key is not sent to the origin

# A site: its hosts, and what is done with their requests. The first behavior that matches decides.
[distributions.shop]
hosts = ["*"]                            # or ["shop.example.com", "*.shop.example.com"]
behaviors = [
  # { path = ["/images/*", "*.webp"], origin = "images", policy = "immutable" },
  # { path = ["/predict", "/batch_predict"], origin = "fraud" },            # POST {"features": [0.5, 1.2, 3]}
  # { path = "/old/*", redirect = "https://shop.example.com{path}{query}" },
  { path = ["/account", "/account/*"], origin = "site", policy = "none" },  # personal: forwarded, never kept
  { origin = "site", policy = "pages" },                                    # the last one has no path
]
"""


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it; - for standard output.")] = Path("bodega.toml"),
) -> None:
    """Write a commented file to start from.

    bodega init

    bodega init shop.toml && bodega check shop.toml
    """
    if str(file) == "-":
        print_lines(STARTING_FILE)
        return
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(STARTING_FILE)
    except FileExistsError:
        raise BodegaError(f"{file} is there already", hint="name another, or remove it") from None
    except OSError as error:
        raise BodegaError(f"{file} cannot be written: {error.strerror}") from None
    named = "" if str(file) == "bodega.toml" else f" {file}"
    say("note", f"{file} is written: set `site` to your origin, then `bodega check{named}` and `bodega edge{named}`")
