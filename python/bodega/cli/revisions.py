"""`bodega revisions`: what was published, what differs, and the way back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax

from bodega.cli.fleet_options import alone, with_fleet
from bodega.cli.output import print_json, print_lines, print_table, table, when

if TYPE_CHECKING:
    from bodega.client import Fleet

_Json = Annotated[bool, typer.Option("--json", help="JSON, for programs: one object a line.")]
_Revision = Annotated[int, typer.Argument(min=0, help="Its number; 0 is the one in force.")]


def revisions() -> typer.Typer:
    """Return the command with its commands."""
    app = typer.Typer(help="Configurations that were published, and the way back to one. Alone it lists them.")
    listed = with_fleet(ls)
    alone(app, listed, limit=50, as_json=False)
    app.command("ls")(listed)
    app.command("show")(with_fleet(show))
    app.command("diff")(with_fleet(diff))
    app.command("roll-back")(with_fleet(roll_back))
    return app


def ls(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    as_json: _Json = False,
    *,
    fleet: Fleet,
) -> None:
    """List what was published, the newest first.

    bodega revisions ls
    """
    found = fleet.configurations.history(limit)
    if as_json:
        for each in found:
            print_json(asdict(each))
        return
    if not found:
        print_lines("nothing was published yet; `bodega publish FILE` does that")
        return
    rows = table(">revision", "when", "by", "", "comment")
    for each in found:
        rows.add_row(
            str(each.revision), when(each.time_ms), each.by, "in force" if each.is_in_force else "", each.comment
        )
    print_table(rows)


def show(revision: _Revision = 0, as_json: _Json = False, *, fleet: Fleet) -> None:
    """Print the text of a configuration.

    bodega revisions show 3 > site.toml
    """
    found = fleet.configurations.show(revision)
    print_json(asdict(found)) if as_json else print_lines(found.text)


def diff(
    revision: _Revision,
    to: Annotated[int, typer.Argument(min=0, help="The other one; 0 is the one in force.")] = 0,
    as_json: _Json = False,
    *,
    fleet: Fleet,
) -> None:
    """Show what is different in another revision, as `diff -u` would.

    bodega revisions diff 3
    """
    text = fleet.configurations.diff(revision, to)
    if as_json:
        print_json({"revision": revision, "to": to, "diff": text})
        return
    console = Console()
    if not text:
        print_lines("they are alike")
    elif console.is_terminal:
        console.print(Syntax(text, "diff", background_color="default", theme="ansi_dark"))
    else:
        print_lines(text)


def roll_back(
    revision: Annotated[int, typer.Argument(min=1, help="Its number.")], as_json: _Json = False, *, fleet: Fleet
) -> None:
    """Put an earlier configuration in force again, as a new revision.

    bodega revisions roll-back 3
    """
    published = fleet.configurations.roll_back(revision)
    if as_json:
        print_json(asdict(published))
    else:
        print_lines(f"revision {published.revision} is in force: it is revision {revision} again")
