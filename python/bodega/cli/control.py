"""`bodega control`: the process that everybody agrees with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bodega import __version__
from bodega.cli.output import print_json, print_lines
from bodega.config import listen_address
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from bodega.control.running import Started


def control(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", envvar="BODEGA_CONTROL_LISTEN", help="Where; port 0 takes a free one.")
    ] = "127.0.0.1:9280",
    journal: Annotated[
        Path, typer.Option("--journal", envvar="BODEGA_JOURNAL", help="The journal; begun if it is not there.")
    ] = Path("journal.db"),
    token_file: Annotated[
        Path | None, typer.Option(help="Where the first token is written.  \\[default: JOURNAL.token]")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Speak plain HTTP beyond this machine: a proxy in front speaks TLS.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it listens as JSON, for programs.")] = False,
) -> None:
    """Run the control process: configurations, invalidations, edges, tokens, by HTTP.

    Everything it is told is an event of its journal. Who runs it needs to name nothing on the same machine:

        bodega control --journal /var/lib/bodega/journal.db

        bodega edges invite tokyo-1 --region ap-northeast-1

        bodega publish site.toml

        bodega purge tag:product:42 --wait
    """
    try:
        from bodega.control import ControlSettings, run_control
    except ModuleNotFoundError as error:
        raise ConfigInvalid(
            f"`bodega control` needs the package {error.name}", hint='`pip install "bodega[control]"` installs it'
        ) from error
    host, _, port = listen_address(listen, "--listen").rpartition(":")
    if not port.isdecimal():
        raise ConfigInvalid(f'"{listen}" is no address of TCP', hint='write it as "127.0.0.1:9280"', path=("--listen",))
    settings = ControlSettings(
        journal=journal, host=host.strip("[]"), port=int(port), insecure=insecure, token_file=token_file
    )

    def started(what: Started) -> None:
        if as_json:
            made = None if what.made_token is None else str(what.made_token)
            print_json({"url": what.url, "position": what.position, "token_file": made})
            return
        print_lines(f"listening on {what.url}; the API is described at {what.url}/openapi.json")
        print_lines(f"{journal}: goes on after event {what.position:,}")
        if what.made_token is not None:
            print_lines(f"{what.made_token}: the first token, which may do everything; it is nowhere else")

    run_control(settings, started, version=__version__)
