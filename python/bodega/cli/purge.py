"""`bodega purge`: makes edges forget; `bodega invalidate` is the same."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from bodega.cli.output import fail, print_json, print_lines
from bodega.edge import AdminClient, find_edges
from bodega.errors import BodegaError, EdgeNotFound
from bodega.invalidation import parse_selector

_MOST_SHOWN = 3


def purge(
    selectors: Annotated[
        list[str],
        typer.Argument(help="URLs, `tag:NAME`, `prefix:URL/`, `glob:HOST/*.webp`, `model:NAME`, or `all`."),
    ],
    soft: Annotated[bool, typer.Option("--soft", help="Make it stale instead: it may answer while validated.")] = False,
    edge: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Only the edge with this admin listener.  \\[default: all of yours here]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Make the edges that run here forget something, at once.

    A URL means all its variants. What is under way is not cut; what begins from now on asks the origin.

        bodega purge https://shop.example.com/ https://shop.example.com/style.css

        bodega purge tag:product:42 "tag:user:123:*" --soft

        bodega purge prefix:https://shop.example.com/images/ "glob:shop.example.com/*.webp"

        bodega purge all --edge 127.0.0.1:9180
    """
    texts = [parse_selector(each).text for each in selectors]
    edges = running_edges(edge)
    done: list[dict[str, Any]] = []
    failures: list[BodegaError] = []
    undurable: list[str] = []
    for each in edges:
        try:
            invalidated = each.invalidate(texts, soft=soft)
        except BodegaError as error:
            failures.append(error)
            done.append({"address": each.address, "pid": each.pid, "error": str(error)})
        else:
            report = {"sequence": invalidated.sequence, "durable": invalidated.durable}
            done.append({"address": each.address, "pid": each.pid, **report})
            if not invalidated.durable:
                undurable.append(each.address)
    if as_json:
        print_json({"selectors": texts, "soft": soft, "edges": done})
    else:
        n_done = len(edges) - len(failures)
        if n_done:
            done_so = "stale" if soft else "forgotten"
            what = "everything" if "all" in texts else ", ".join(texts[:_MOST_SHOWN])
            more = f" and {len(texts) - _MOST_SHOWN} more" if len(texts) > _MOST_SHOWN and what != "everything" else ""
            print_lines(f"{done_so} on {n_done} edge{'s' if n_done > 1 else ''}: {what}{more}")
        for address in undurable:
            print_lines(f"{address}: in force, but its disk does not take it: it would not survive a restart")
        for failure in failures:
            fail(failure)
    if failures:
        raise typer.Exit(1)


def running_edges(address: str | None) -> list[AdminClient]:
    """Return the edge at an address, or all edges of this user that run here.

    Raises:
        EdgeNotFound: If none runs here.
    """
    if address is not None:
        return [AdminClient(address, token=os.environ.get("BODEGA_ADMIN_TOKEN") or None)]
    found = find_edges(os.environ)
    if not found:
        raise EdgeNotFound(
            "no edge of yours runs here", hint="name its admin listener: `--edge 127.0.0.1:9180` or `--edge unix:/path`"
        )
    return found
