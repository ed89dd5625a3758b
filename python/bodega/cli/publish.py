"""`bodega publish`: puts a configuration in force on a whole fleet."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bodega.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from bodega.client import Fleet


def publish(
    file: Annotated[Path, typer.Argument(help="A bodega.toml without `[edge]`; `-`: standard input.")],
    comment: Annotated[str, typer.Option("--comment", "-m", help="What is said of it.")] = "",
    expects: Annotated[
        int | None, typer.Option(metavar="REVISION", help="Only if this revision is in force; 0: none is yet.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it, and publish nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
    *,
    fleet: Fleet,
) -> None:
    """Put a configuration in force on every edge of a fleet.

    One that cannot be used is refused with the line of every problem, and changes nothing.

        bodega publish site.toml --dry-run

        bodega publish site.toml -m "images for a week" --expects 3

        bodega revisions roll-back 3
    """
    declared = sys.stdin.read() if file == Path("-") else file
    configurations = fleet.configurations
    if dry_run:
        would = configurations.validate(declared, expects=expects)
        if as_json:
            print_json({**asdict(would), "dry_run": True})
        else:
            print_lines(f"{file} can be used: it would be revision {would.revision}")
        return
    published = configurations.publish(declared, comment=comment, expects=expects)
    if as_json:
        print_json(asdict(published))
    else:
        print_lines(f"revision {published.revision} is in force; `bodega edges` shows which edges serve it")
