"""Joins the commands, and turns errors into texts for people and exit statuses for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from bodega.cli.audit import audit
from bodega.cli.cache import cache
from bodega.cli.check import check
from bodega.cli.control import control
from bodega.cli.edge import edge
from bodega.cli.edges import edges
from bodega.cli.fleet_options import with_any_fleet, with_fleet
from bodega.cli.init import init
from bodega.cli.journal import journal
from bodega.cli.key import key
from bodega.cli.models import models
from bodega.cli.output import fail
from bodega.cli.predict import PredictCommand, predict
from bodega.cli.publish import publish
from bodega.cli.purge import purge
from bodega.cli.revisions import revisions
from bodega.cli.settings_options import with_settings
from bodega.cli.status import status
from bodega.cli.tokens import tokens
from bodega.cli.up import up
from bodega.cli.version import version
from bodega.errors import AddressInUse, BodegaError, ConfigInvalid, SelectorInvalid, SnapshotInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

_HELP = """A content delivery network that you run yourself.

See it at work:        bodega up

Put it before a site:  bodega edge --origin http://127.0.0.1:9000

Declare more:          bodega init; bodega check; bodega edge

Look at what is kept:  bodega cache ls

Forget what is kept:   bodega purge all

Keep a fleet alike:    bodega control; bodega edges; bodega publish site.toml
"""

_SERVE, _DECLARE, _COMMAND, _LOOK = "Serve", "Declare", "Command", "Look"


def application() -> typer.Typer:
    """Return the command with all its commands."""
    app = typer.Typer(
        name="bodega",
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command("up", rich_help_panel=_SERVE)(up)
    app.command("edge", rich_help_panel=_SERVE)(with_settings(edge))
    app.command("control", rich_help_panel=_SERVE)(control)
    app.command("init", rich_help_panel=_DECLARE)(init)
    app.command("check", rich_help_panel=_DECLARE)(check)
    app.command("key", rich_help_panel=_DECLARE)(key)
    app.command("purge", rich_help_panel=_COMMAND)(with_any_fleet(purge))
    app.command("invalidate", hidden=True)(with_any_fleet(purge))
    app.command("publish", rich_help_panel=_COMMAND)(with_fleet(publish))
    app.add_typer(revisions(), name="revisions", rich_help_panel=_COMMAND)
    app.add_typer(edges(), name="edges", rich_help_panel=_COMMAND)
    app.add_typer(tokens(), name="tokens", rich_help_panel=_COMMAND)
    app.command("status", rich_help_panel=_LOOK)(status)
    app.add_typer(cache(), name="cache", rich_help_panel=_LOOK)
    app.add_typer(models(), name="models", rich_help_panel=_COMMAND)
    app.command("audit", rich_help_panel=_LOOK)(with_fleet(audit))
    app.command("predict", cls=PredictCommand, rich_help_panel=_LOOK)(predict)
    app.add_typer(journal(), name="journal", rich_help_panel=_LOOK)
    app.command("version", rich_help_panel=_LOOK)(version)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; always ends with SystemExit.

    Args:
        arguments: What was typed after ``bodega``; by default the process's arguments.
    """
    try:
        application()(args=list(arguments) if arguments is not None else None, prog_name="bodega")
    except (ConfigInvalid, SelectorInvalid, SnapshotInvalid) as error:
        fail(error)
        sys.exit(2)
    except AddressInUse as error:
        fail(error)
        sys.exit(AddressInUse.EXIT_STATUS)
    except BodegaError as error:
        fail(error)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read has gone; nothing is to be told to them, not even by the interpreter's last flush.
        sys.stdout = None
        sys.exit(1)
