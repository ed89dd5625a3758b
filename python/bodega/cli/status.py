"""`bodega status`: what the edges that run here are doing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bodega.cli.output import fail, print_json, print_lines
from bodega.cli.purge import running_edges
from bodega.edge import ModelVersion
from bodega.errors import BodegaError


def status(
    edge: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Only the edge with this admin listener.  \\[default: all of yours here]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Show what the edges that run here are doing.

    bodega status

    bodega status --edge 127.0.0.1:9180 --json
    """
    shown: list[dict[str, Any]] = []
    texts: list[str] = []
    failures: list[BodegaError] = []
    for each in running_edges(edge):
        named = {"pid": each.pid, "address": each.address}
        try:
            stats, models = each.stats(), each.models()
        except BodegaError as error:
            failures.append(error)
            shown.append({**named, "error": str(error)})
        else:
            shown.append({**named, **stats.to_dict(), "models": [model.to_dict() for model in models]})
            process = f"process          {each.pid}\n" if each.pid is not None else ""
            texts.append("\n".join([f"{process}{stats}", *map(_model, filter(_is_other_than_configured, models))]))
    if as_json:
        print_json({"edges": shown})
    elif texts:
        print_lines("\n\n".join(texts))
    if not as_json:
        for failure in failures:
            fail(failure)
    if failures:
        raise typer.Exit(1)


def _is_other_than_configured(model: ModelVersion) -> bool:
    # Each that is loaded has a line among the statistics.
    return model.set_over or not model.version


def _model(model: ModelVersion) -> str:
    named = f"{model.name}@{model.version}" if model.version else f"{model.name} ({model.state})"
    return f"model            {named}{', set over the configuration' if model.set_over else ''}"
