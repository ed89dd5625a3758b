"""`bodega version`: which one this is, and how it was built."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from bodega import __version__
from bodega.cli.output import print_json, print_lines
from bodega.edge import build


def version(as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False) -> None:
    """Show the version, and how the native core was built."""
    native = build()
    if as_json:
        print_json({"version": __version__, "python": platform.python_version(), "native": dict(native)})
        return
    features = f", {native['features']}" if native.get("features") else ""
    print_lines(
        f"bodega {__version__} (native core {native['version']}, {native['profile']}, {native['target']}{features}; "
        f"Python {platform.python_version()})"
    )
