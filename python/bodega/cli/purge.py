"""`bodega purge`: makes edges forget; `bodega invalidate` is the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bodega.cli.output import fail, print_json, print_lines
from bodega.cli.purge_progress import in_words, show_begun, show_progress
from bodega.edge import AdminClient, find_edges
from bodega.errors import BodegaError, ConfigInvalid, EdgeNotFound, SelectorInvalid
from bodega.invalidation import parse_selector, reaches_a_whole_site
from bodega.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.cli.fleet_options import FindFleet
    from bodega.client import Fleet

_MOST_AT_ONCE = 1000
NOT_CONFIRMED = 4
"""The exit status where it was not said that all of that is meant."""


def purge(
    selectors: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SELECTORS...",
            help="URLs, `tag:NAME`, `prefix:URL/`, `glob:HOST/*.webp`, `model:NAME`, `distribution:NAME`, or `all`.",
            show_default=False,
        ),
    ] = None,
    soft: Annotated[bool, typer.Option("--soft", help="Make it stale instead: it may answer while validated.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every edge that is here has applied it.")] = False,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Wait for so long at most; then the status is 3.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="ID", help="Say how far an earlier one has come.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Read selectors from a file, one a line; `-`: stdin.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, even for everything.")] = False,
    edge: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Only the edge with this admin listener, without a control process.  "
            "\\[default: the fleet of a control process; without one all edges of yours here]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
    *,
    find: FindFleet,
) -> None:
    """Make edges forget something, at once.

    A URL means all its variants. What is under way is not cut; what begins from now on asks the origin.

        bodega purge https://shop.example.com/ https://shop.example.com/style.css

        bodega purge tag:product:42 "tag:user:123:*" --soft

        bodega purge model:fraud --wait --timeout 30s

        bodega purge --from deleted-urls.txt

        bodega purge status 5f0c1d2e3a4b5c6d --wait

        bodega purge all --edge 127.0.0.1:9180

    Through a control process it is in its journal, and reaches every edge, also those that are away.

    Exit status: 0 done; 1 failed; 2 not understood; 3 not everywhere in time; 4 not confirmed: say `--yes`.
    """
    written = list(selectors or ())
    if status is None and len(written) == len(("status", "ID")) and written[0] == "status":
        # No selector is called so.
        status, written = written[1], []
    seconds = _seconds(timeout)
    is_waiting = wait or seconds is not None
    if status is not None:
        if written or source is not None or edge is not None or soft:
            raise ConfigInvalid("an earlier purge has its selectors", hint="name its id alone", path=("--status",))
        _show(_needed(find()), status, seconds, is_waiting=is_waiting, as_json=as_json)
        return
    texts = [parse_selector(each).text for each in (*written, *_read(source))]
    if not texts:
        raise SelectorInvalid(
            "nothing is named that could be forgotten", hint='for instance `bodega purge "tag:user:123:*"`'
        )
    fleet = None if edge is not None else find()
    edges = running_edges(edge) if fleet is None else []
    _confirm(texts, "" if fleet is None else f" on every edge of {fleet.url}", is_asked=source != Path("-"), yes=yes)
    if fleet is None:
        _tell(edges, texts, soft=soft, as_json=as_json)
        return
    begun = fleet.invalidate(selectors=texts, soft=soft)
    if is_waiting:
        show_progress(begun, seconds, as_json=as_json)
    else:
        show_begun(begun, fleet.url, as_json=as_json)


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


def _show(fleet: Fleet, purge_id: str, seconds: float | None, *, is_waiting: bool, as_json: bool) -> None:
    purge = fleet.purge(purge_id)
    show_progress(purge, seconds if is_waiting else 0.0, as_json=as_json, is_look=not is_waiting)


def _needed(fleet: Fleet | None) -> Fleet:
    if fleet is None:
        raise ConfigInvalid(
            "only a control process knows earlier purges", hint="name it by `--control URL`", path=("--status",)
        )
    return fleet


def _seconds(timeout: str | None) -> float | None:
    if timeout is None:
        return None
    try:
        return parse_duration(timeout)
    except ValueError as error:
        raise ConfigInvalid(str(error), path=("--timeout",)) from None


def _read(source: Path | None) -> list[str]:
    if source is None:
        return []
    try:
        text = sys.stdin.read() if source == Path("-") else source.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{source}: {error}", path=("--from",)) from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _confirm(texts: Sequence[str], where: str, *, is_asked: bool, yes: bool) -> None:
    """Ask whether everything is meant.

    Raises:
        Exit: If it is not, or nobody can be asked.
    """
    wide = [text for text in texts if reaches_a_whole_site(text)]
    if yes or not wide:
        return
    what = f'"{wide[0]}" reaches everything{" of a site" if wide[0] != "all" else ""}{where}'
    if is_asked and sys.stdin.isatty() and sys.stderr.isatty():
        if typer.confirm(f"{what}: each request after it asks its origin. Go on?", err=True):
            return
        raise typer.Exit(NOT_CONFIRMED)
    fail(SelectorInvalid(what, selector=wide[0], hint="say `--yes` if that is meant; nothing was done"))
    raise typer.Exit(NOT_CONFIRMED)


def _tell(edges: Sequence[AdminClient], texts: Sequence[str], *, soft: bool, as_json: bool) -> None:
    done: list[dict[str, Any]] = []
    failures: list[BodegaError] = []
    undurable: list[str] = []
    for each in edges:
        try:
            parts = [texts[at : at + _MOST_AT_ONCE] for at in range(0, len(texts), _MOST_AT_ONCE)]
            invalidated = [each.invalidate(part, soft=soft) for part in parts]
        except BodegaError as error:
            failures.append(error)
            done.append({"address": each.address, "pid": each.pid, "error": str(error)})
        else:
            is_durable = all(part.durable for part in invalidated)
            report = {"sequence": invalidated[-1].sequence, "durable": is_durable}
            done.append({"address": each.address, "pid": each.pid, **report})
            if not is_durable:
                undurable.append(each.address)
    if as_json:
        print_json({"selectors": list(texts), "soft": soft, "edges": done})
    else:
        n_done = len(edges) - len(failures)
        if n_done:
            done_so = "stale" if soft else "forgotten"
            print_lines(f"{done_so} on {n_done} edge{'s' if n_done > 1 else ''}: {in_words(texts)}")
        for address in undurable:
            print_lines(f"{address}: in force, but its disk does not take it: it would not survive a restart")
        for failure in failures:
            fail(failure)
    if failures:
        raise typer.Exit(1)
