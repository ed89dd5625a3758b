"""`bodega cache`: looks into what the edges that run here keep."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bodega.cli.output import print_json, print_lines
from bodega.cli.purge import running_edges
from bodega.edge import AdminClient
from bodega.edge.cache import CacheCheck, CacheEntry
from bodega.errors import ConfigInvalid
from bodega.units import format_duration, round_size

_Edge = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Only the edge with this admin listener.  \\[default: all of yours here]"),
]
_Json = Annotated[bool, typer.Option("--json", help="JSON, for programs: one object a line.")]
_ORDERS = {
    "heat": lambda entry: -entry.hits,
    "size": lambda entry: -entry.size_bytes,
    "age": lambda entry: -entry.age_seconds,
    "ttl": lambda entry: entry.ttl_seconds,
    "url": lambda entry: entry.url,
}


def cache() -> typer.Typer:
    """Return the command with its commands."""
    app = typer.Typer(no_args_is_help=True, help="Look into what the edges that run here keep.")
    app.command("stat")(stat)
    app.command("ls")(ls)
    app.command("show")(show)
    app.command("verify")(verify)
    return app


def stat(edge: _Edge = None, as_json: _Json = False) -> None:
    """Show how full memory and disk are, and how they do.

    bodega cache stat
    """
    for each in running_edges(edge):
        stats = each.stats()
        disk = stats.disk
        if as_json:
            memory = {
                name: getattr(stats, name) for name in ("n_entries", "used_bytes", "capacity_bytes", "n_evictions")
            }
            print_json({"address": each.address, "memory": memory, "disk": stats.to_dict()["disk"]})
            continue
        table = _table("", "entries", "used", "of", "evicted", "hit rate")
        rates = [f"{stats.share(level):.1%}" for level in ("l1", "l2")]
        row = (
            f"{stats.n_entries:,}",
            round_size(stats.used_bytes),
            round_size(stats.capacity_bytes),
            f"{stats.n_evictions:,}",
        )
        table.add_row("memory", *row, rates[0])
        if disk is not None:
            row = (
                f"{disk.n_entries:,}",
                round_size(disk.used_bytes),
                round_size(disk.capacity_bytes),
                f"{disk.n_evictions:,}",
            )
            table.add_row("disk", *row, rates[1])
        _print(table, _title(each))
        if disk is not None:
            print_lines("\n".join(f"{name}: {value}" for name, value in disk.rows()))


def ls(
    prefix: Annotated[
        str | None, typer.Argument(help="Only what begins so: `https://shop.example.com/images/`.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only what carries this tag.")] = None,
    min_size: Annotated[str, typer.Option(help="Only bodies of this size or larger.")] = "0B",
    sort: Annotated[str, typer.Option(help=f"By what: {', '.join(_ORDERS)}.")] = "heat",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many at most.")] = 50,
    edge: _Edge = None,
    as_json: _Json = False,
) -> None:
    """List what is kept.

    The whole store is gone through, so that what is shown are the first of all.

        bodega cache ls --sort size --limit 10

        bodega cache ls https://shop.example.com/images/ --tag product:42 --json
    """
    if sort not in _ORDERS:
        raise ConfigInvalid(f'"{sort}" is no order', hint=f"use one of {', '.join(_ORDERS)}", path=("--sort",))
    for each in running_edges(edge):
        entries = each.cache.ls(prefix=prefix, tag=tag, min_size=min_size)
        chosen = heapq.nsmallest(limit, _once(entries), key=_ORDERS[sort])
        if as_json:
            for entry in chosen:
                print_json({"address": each.address, **entry.to_dict()})
            continue
        table = _table("URL", "size", "in", "hits", "age", "fresh for", "tags")
        for entry in chosen:
            table.add_row(*_row(entry))
        _print(table, _title(each) if chosen else f"{_title(each)}: nothing of that")


def show(
    url: Annotated[str, typer.Argument(help="https://host/path?query, as it is sent.")],
    edge: _Edge = None,
    as_json: _Json = False,
) -> None:
    """Show what is kept of a URL: tiers, slices, freshness, tags, stamps.

    bodega cache show https://downloads.example.com/game.iso
    """
    for each in running_edges(edge):
        entries = each.cache.show(url)
        if as_json:
            print_json({"address": each.address, "url": url, "entries": [entry.to_dict() for entry in entries]})
            continue
        if not entries:
            print_lines(f"{_title(each)}: nothing is kept of {url}")
        for entry in entries:
            _print(_details(entry), f"{_title(each)}: {entry.url}")


def verify(edge: _Edge = None, as_json: _Json = False) -> None:
    """Read everything on disk and compare it with its checksums. What is bad is forgotten.

    Exits with 1 if anything was bad.

        bodega cache verify
    """
    n_bad = 0
    for each in running_edges(edge):
        if each.stats().disk is None:
            print_lines(f"{_title(each)}: no disk") if not as_json else print_json(
                {"address": each.address, "disk": None}
            )
            continue
        check = each.cache.verify() if as_json else _verify_visibly(each)
        n_bad += check.n_bad
        if as_json:
            values = {name: getattr(check, name) for name in CacheCheck.__dataclass_fields__}
            print_json({"address": each.address, **values})
        else:
            found = "all is well" if not check.n_bad else f"{check.n_bad:,} bad, and forgotten"
            read = f"{check.n_records:,} answers and {check.n_slices:,} slices, {round_size(check.checked_bytes)}"
            print_lines(f"{_title(each)}: {read}: {found}")
    if n_bad:
        raise typer.Exit(1)


def _verify_visibly(edge: AdminClient) -> CacheCheck:
    columns = (TextColumn("checking"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("checking", total=None)

        def shown(check: CacheCheck) -> None:
            progress.update(task, completed=check.checked_bytes, total=check.total_bytes or None)

        return edge.cache.verify(progress=shown)


def _once(entries: Iterator[CacheEntry]) -> Iterator[CacheEntry]:
    seen: set[str] = set()
    for entry in entries:
        if entry.key not in seen:
            seen.add(entry.key)
            yield entry


def _row(entry: CacheEntry) -> tuple[str | Text, ...]:
    fresh = Text(
        _time(entry.ttl_seconds) if entry.ttl_seconds > 0 else "stale", style="" if entry.is_fresh else "yellow"
    )
    if entry.invalidated:
        fresh = Text("purged", style="red")
    partly = f", {entry.slices_there}/{entry.slices_all}" if entry.slices_there < entry.slices_all else ""
    return (
        entry.url,
        round_size(entry.size_bytes),
        "+".join(entry.tiers) + partly,
        f"{entry.hits:,}",
        _time(entry.age_seconds),
        fresh,
        " ".join(entry.tags),
    )


def _details(entry: CacheEntry) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    fresh = (
        f"fresh for {_time(entry.ttl_seconds)}" if entry.ttl_seconds > 0 else f"stale for {_time(-entry.ttl_seconds)}"
    )
    rows: list[tuple[str, str]] = [
        ("status", str(entry.status) + (", a part" if entry.kind == "part" else "")),
        ("size", round_size(entry.size_bytes)),
        ("in", ", ".join(entry.tiers)),
        ("hits", f"{entry.hits:,}"),
        ("age", _time(entry.age_seconds)),
        ("freshness", "purged" if entry.invalidated else fresh),
        ("distribution", entry.distribution),
        ("tags", " ".join(entry.tags) or "none"),
        ("stamp", str(entry.stamp)),
        ("key", entry.key),
    ]
    if entry.slices_all:
        rows.append(("slices", f"{entry.slices_there:,} of {entry.slices_all:,}  {_map_of(entry)}"))
    for name, value in rows + [(name, value) for name, value in entry.fields]:
        table.add_row(Text(name, style="bold"), value)
    return table


def _map_of(entry: CacheEntry, width: int = 48) -> str:
    """Which slices are there, as blocks: full, partly, none."""
    there = {slice_ for slice_, *_ in (entry.disk or {}).get("slices") or ()}
    cells = min(width, entry.slices_all)
    text = ""
    for cell in range(cells):
        span = range(cell * entry.slices_all // cells, max(cell + 1, (cell + 1) * entry.slices_all // cells))
        n_there = sum(slice_ in there for slice_ in span)
        text += "█" if n_there == len(span) else "▒" if n_there else "·"
    return text


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        is_number = column in ("size", "hits", "age", "entries", "used", "of", "evicted", "hit rate")
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    return table


def _print(table: Table, title: str) -> None:
    print_lines(title)
    Console(highlight=False).print(table)


def _title(edge: AdminClient) -> str:
    return f"edge {edge.pid}" if edge.pid is not None else edge.address


def _time(seconds: float) -> str:
    return format_duration(round(seconds)) if abs(seconds) >= 1 else "0s"
