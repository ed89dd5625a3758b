"""The options of every command that talks with a control process.

The command takes what they come to as one value, ``fleet``; this file gives it a signature with the options, which is
what typer reads.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_type_hints

import typer

from bodega.cli.output import say
from bodega.client import Fleet, find_control
from bodega.errors import ControlNotFound

_PANEL = "Control process"
_OPTIONS: dict[str, tuple[Any, typer.models.OptionInfo, Any]] = {
    "control": (
        str | None,
        typer.Option(
            metavar="URL",
            envvar="BODEGA_CONTROL",
            help="Which control process.  \\[default: the one of yours that runs here]",
            rich_help_panel=_PANEL,
        ),
        None,
    ),
    "token_file": (
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file with the token.  \\[default: BODEGA_TOKEN holds it, BODEGA_CONTROL_TOKEN_FILE names one, else "
            "that of the one that runs here]",
            rich_help_panel=_PANEL,
        ),
        None,
    ),
    "token": (
        str | None,
        typer.Option(metavar="TOKEN", help="The token itself; others on this machine see it.", rich_help_panel=_PANEL),
        None,
    ),
    "control_insecure": (
        bool,
        typer.Option(
            "--control-insecure",
            envvar="BODEGA_CONTROL_INSECURE",
            help="Let the token go to another machine by plain HTTP.",
            rich_help_panel=_PANEL,
        ),
        False,
    ),
}

FindFleet: TypeAlias = Callable[[], Fleet | None]
"""Finds the fleet that is meant, or says that there is none."""


def with_fleet(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, which has a keyword ``fleet: Fleet``, the options that say which one."""

    def run(values: dict[str, Any], find: FindFleet) -> None:
        fleet = find()
        if fleet is None:
            raise ControlNotFound(
                "no control process of yours runs here",
                hint="name one: `--control URL` or BODEGA_CONTROL; `bodega control` starts one",
            )
        with fleet:
            command(**values, fleet=fleet)

    return _with_options(command, "fleet", run)


def with_any_fleet(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, which has a keyword ``find: FindFleet``, the same options; it may do without a fleet."""
    return _with_options(command, "find", lambda values, find: command(**values, find=find))


def alone(app: typer.Typer, listed: Callable[..., None], **values: Any) -> None:
    """Let a command of commands, named alone, list; `values` are what `listed` takes beside the options here."""

    @app.callback(invoke_without_command=True)
    def run(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            given = {name: default for name, (_, _, default) in _OPTIONS.items()}
            context.invoke(listed, **values, **given)


def _with_options(
    command: Callable[..., None], name: str, call: Callable[[dict[str, Any], FindFleet], None]
) -> Callable[..., None]:
    hints = get_type_hints(command, localns={"Fleet": Fleet, "FindFleet": FindFleet}, include_extras=True)
    kept = [
        each.replace(annotation=hints[each.name])
        for each in inspect.signature(command).parameters.values()
        if each.name != name
    ]
    added = [
        inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
        for each, (kind, option, default) in _OPTIONS.items()
    ]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        call(values, functools.partial(_find, **{each: values.pop(each) for each in _OPTIONS}))

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*kept, *added)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    # Else typer reads the signature of the command inside.
    del run.__wrapped__
    return run


def _find(control: str | None, token_file: Path | None, token: str | None, control_insecure: bool) -> Fleet | None:
    if token is not None:
        say("warning", "a token on the command line is seen by others on this machine: use `--token-file`")
    address = find_control(os.environ, url=control, token=token, token_file=token_file, insecure=control_insecure)
    return None if address is None else Fleet(address)
