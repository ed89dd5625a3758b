"""`bodega tokens`: who may do what with a fleet."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bodega.cli.fleet_options import alone, with_fleet
from bodega.cli.output import print_json, print_lines, print_table, say, table, when
from bodega.config import add_client_token
from bodega.errors import BodegaError, ConfigInvalid
from bodega.units import parse_duration

if TYPE_CHECKING:
    from bodega.client import Fleet

_Json = Annotated[bool, typer.Option("--json", help="JSON, for programs: one object a line.")]
_SCOPES = ("read", "purge", "publish", "edges", "admin")


def tokens() -> typer.Typer:
    """Return the command with its commands."""
    app = typer.Typer(help="Who may do what with a fleet. Alone it lists the tokens.")
    listed = with_fleet(ls)
    alone(app, listed, as_json=False)
    app.command("make")(with_fleet(make))
    app.command("add")(add)
    app.command("ls")(listed)
    app.command("revoke")(with_fleet(revoke))
    return app


def make(
    name: Annotated[str, typer.Argument(help="What the journal says of who did something: `ci`.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", "-s", help=f"What it may do, once or more: {', '.join(_SCOPES)}.", show_default=False),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="DURATION", help="When it ends: `30d`.  \\[default: never]")
    ] = None,
    edge: Annotated[
        str | None, typer.Option(metavar="NAME", help="The one edge that it is for; its scope is `edges`.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there, for its owner alone, in place of showing it.")
    ] = None,
    as_json: _Json = False,
    *,
    fleet: Fleet,
) -> None:
    """Make a token. It is told this once: only its hash is kept.

    read looks at everything but tokens; purge invalidates; publish puts configurations in force; edges is for edges
    themselves; admin may do everything.

        bodega tokens make ci --scope purge --expires-in 30d

        bodega tokens make deploy -s publish -s purge --file /etc/deploy/bodega.token
    """
    scopes = list(scope or (["edges"] if edge is not None else []))
    unknown = [each for each in scopes if each not in _SCOPES]
    if unknown or not scopes:
        what = f'"{unknown[0]}" is no scope' if unknown else "a token without a scope may do nothing"
        raise ConfigInvalid(what, hint=f"say one or more of {', '.join(_SCOPES)}", path=("--scope",))
    try:
        lifetime = None if expires_in is None else parse_duration(expires_in)
    except ValueError as error:
        raise ConfigInvalid(str(error), path=("--expires-in",)) from None
    # Before it is made: a token that could be written nowhere would be lost, and still count.
    descriptor = None if file is None else _begin(file)
    try:
        made = fleet.tokens.make(name, scopes, expires_in=None if lifetime is None else expires_in, edge=edge)
    except BodegaError:
        if descriptor is not None and file is not None:
            os.close(descriptor)
            file.unlink()
        raise
    if descriptor is not None:
        with os.fdopen(descriptor, "w") as written:
            written.write(f"{made.token}\n")
    if as_json:
        said = asdict(made)
        print_json(said if file is None else {**{key: said[key] for key in said if key != "token"}, "file": str(file)})
        return
    if file is None:
        print_lines(made.token)
    say(
        "note",
        f"{made.id} may {', '.join(made.scopes)}{_until(made.expires_ms)}; `bodega tokens revoke {made.id}` ends it",
    )


def add(
    file: Annotated[Path, typer.Argument(help="The file of `tokens` in a behavior; made where there is none.")],
    name: Annotated[str, typer.Argument(help="What it is for: `shop`.")],
) -> None:
    """Make a token for those who ask an edge, without a fleet: for `authorization = "edge"`.

    It is told this once: the file gets its SHA-256 alone. To take it back remove the line; edges read the file with
    their configuration.

        bodega tokens add clients.tokens shop
    """
    print_lines(add_client_token(file, name))
    say("note", f"an edge knows it once it has read {file}, with its configuration (SIGHUP)")


def ls(as_json: _Json = False, *, fleet: Fleet) -> None:
    """List the tokens, without their secrets.

    bodega tokens ls
    """
    found = fleet.tokens.list()
    if as_json:
        for each in found:
            print_json(asdict(each))
        return
    rows = table("id", "name", "may", "for", "until")
    for each in found:
        ends = "" if each.expires_ms is None else when(each.expires_ms)
        rows.add_row(each.id, each.name, ", ".join(each.scopes), each.edge or "", ends)
    print_table(rows)


def revoke(
    token_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As `bodega tokens ls` shows them.")],
    as_json: _Json = False,
    *,
    fleet: Fleet,
) -> None:
    """Let nobody do anything with a token any more, at once.

    bodega tokens revoke 5f0c1d2e3a4b
    """
    for token_id in token_ids:
        fleet.tokens.revoke(token_id)
        print_json({"id": token_id, "revoked": True}) if as_json else print_lines(f"{token_id}: revoked")


def _begin(file: Path) -> int:
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigInvalid(f"{file} is there already", hint="name another file", path=("--file",)) from None
    except OSError as error:
        raise ConfigInvalid(f"{file}: {error.strerror}", path=("--file",)) from None


def _until(expires_ms: int | None) -> str:
    return "" if expires_ms is None else f" until {when(expires_ms)}"
