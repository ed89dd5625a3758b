"""`bodega edges`: the edges of a fleet."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.text import Text

from bodega.cli.fleet_options import alone, with_fleet
from bodega.cli.output import fail, print_json, print_lines, print_table, say, table
from bodega.errors import BodegaError, ConfigInvalid
from bodega.units import format_duration, parse_duration

if TYPE_CHECKING:
    from bodega.client import Fleet, FleetEdge

_Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Which edges.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="JSON, for programs: one object a line.")]


def edges() -> typer.Typer:
    """Return the command with its commands."""
    app = typer.Typer(help="The edges of a fleet: who is here, how far, and who may join. Alone it lists them.")
    listed = with_fleet(ls)
    alone(app, listed, as_json=False)
    app.command("ls")(listed)
    app.command("invite")(with_fleet(invite))
    app.command("drain")(with_fleet(drain))
    app.command("resume")(with_fleet(resume))
    app.command("remove")(with_fleet(remove))
    return app


def ls(as_json: _Json = False, *, fleet: Fleet) -> None:
    """List the edges: where each is in the journal, what it serves, and what it cannot do.

    bodega edges ls --json | jq -r 'select(.is_here | not) | .name'
    """
    found = fleet.edges.list()
    if as_json:
        for each in found:
            print_json(asdict(each))
        return
    if not found:
        print_lines(f"{fleet.url} has no edges; `bodega edges invite NAME` prints the command that makes one")
        return
    rows = table("edge", "region", "kind", "state", ">position", ">behind", ">revision", ">hits", "problem")
    for each in found:
        rows.add_row(
            each.name,
            each.region,
            each.kind,
            _state(each),
            "" if each.position is None else f"{each.position:,}",
            "" if each.behind is None else f"{each.behind:,}",
            "" if each.revision is None else str(each.revision),
            f"{each.hit_rate:.0%}" if each.is_here else "",
            Text(each.problem, style="red"),
        )
    print_table(rows)


def invite(
    name: Annotated[str, typer.Argument(help="Its name in the fleet: lower-case letters, digits, `-` and `.`.")],
    region: Annotated[str | None, typer.Option(help="Its region, such as `ap-northeast-1`.")] = None,
    kind: Annotated[str | None, typer.Option(help="`regional`, `shield` or `embedded`.")] = None,
    place: Annotated[
        str | None, typer.Option(metavar="LATITUDE,LONGITUDE", help="Where it is: `35.7,139.7`, in degrees.")
    ] = None,
    capacity: Annotated[float | None, typer.Option(help="Relative to other edges.")] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="DURATION", help="When its token ends.  \\[default: never]")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The control process as the edge reaches it.  \\[default: as you do]"),
    ] = None,
    as_json: _Json = False,
    *,
    fleet: Fleet,
) -> None:
    """Print the one command to run on the machine of a new edge.

    It holds a token for that edge alone, which is told this once. An earlier invitation of the same name ends.

        bodega edges invite tokyo-1 --region ap-northeast-1

        bodega edges invite tokyo-1 --region ap-northeast-1 --url https://control.example.com
    """
    invited = fleet.edges.invite(
        name,
        region=region,
        kind=kind,
        place=_place(place),
        capacity=capacity,
        expires_in=_duration(expires_in),
        url=url,
    )
    if as_json:
        print_json(asdict(invited))
        return
    print_lines(invited.command)
    say(
        "note",
        f"the token is for {name} alone, and is shown this once; `bodega tokens revoke {invited.token_id}` ends it",
    )
    host = urlsplit(url or fleet.url).hostname or ""
    if host == "localhost" or host == "::1" or host.startswith("127."):
        say("note", f"{host} is this machine: for another one say `--url`, as the edge reaches the control process")


def drain(names: _Names, as_json: _Json = False, *, fleet: Fleet) -> None:
    """Give edges no new clients. They go on following, and can be resumed.

    bodega edges drain tokyo-1
    """
    for name in names:
        _told(fleet.edges.drain(name), as_json=as_json)


def resume(names: _Names, as_json: _Json = False, *, fleet: Fleet) -> None:
    """Give drained edges clients again.

    bodega edges resume tokyo-1
    """
    for name in names:
        _told(fleet.edges.resume(name), as_json=as_json)


def remove(names: _Names, as_json: _Json = False, *, fleet: Fleet) -> None:
    """Take edges out of the fleet; tokens that are for them alone end.

    One that still runs, with a token for several edges, joins again: stop it first.

        bodega edges remove tokyo-1
    """
    failures: list[BodegaError] = []
    for name in names:
        try:
            fleet.edges.remove(name)
        except BodegaError as error:
            failures.append(error)
            continue
        print_json({"name": name, "removed": True}) if as_json else print_lines(f"{name}: removed")
    for failure in failures:
        fail(failure)
    if failures:
        raise typer.Exit(1)


def _told(edge: FleetEdge, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(edge))
    else:
        print_lines(f"{edge.name}: {'drained' if edge.drained else 'gets clients'}")


def _state(edge: FleetEdge) -> Text:
    if not edge.is_here:
        since = ""
        if edge.last_heard_ms is not None:
            since = f" for {format_duration(max(1, round(time.time() - edge.last_heard_ms / 1000)))}"
        return Text(f"away{since}", style="red")
    if edge.drained:
        return Text("drained", style="yellow")
    if edge.problem or edge.behind:
        return Text("here", style="yellow")
    return Text("here", style="green")


def _place(written: str | None) -> tuple[float, float] | None:
    if written is None:
        return None
    try:
        latitude, longitude = (float(part) for part in written.split(","))
    except ValueError:
        raise ConfigInvalid(f'"{written}" is no place', hint="write it as 35.7,139.7", path=("--place",)) from None
    return latitude, longitude


def _duration(written: str | None) -> Any:
    try:
        return written if written is None or parse_duration(written) else None
    except ValueError as error:
        raise ConfigInvalid(str(error), path=("--expires-in",)) from None
