"""One option of `bodega edge` for each setting, made from the settings themselves.

The command takes what was typed as one value (`Typed`); this file gives it a signature with all the options, which is
what typer reads. So a new setting is an option without another line.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

import typer

from bodega.config import EdgeSettings, option_name, variable_name
from bodega.config.reference import default_in_words
from bodega.distributions.shapes import ListShape, about_field


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed for settings.

    Attributes:
        options: Texts by field; options that may be repeated as tuples. What was not typed is not there.
    """

    options: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose last parameter is ``typed: Typed``, an option for each setting."""
    hints = get_type_hints(command, localns={"Typed": Typed}, include_extras=True)
    kept = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "typed"
    ]
    added = [_parameter(name, described) for name, described in _settings().items()]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        written = {name: values.pop(name) for name in _settings()}
        options = {
            name: tuple(value) if isinstance(value, list) else str(value) for name, value in written.items() if value
        }
        command(**values, typed=Typed(options))

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*kept, *added)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    # Else typer reads the signature of the command inside.
    del run.__wrapped__
    return run


def _settings() -> dict[str, Any]:
    return dict(EdgeSettings.__dataclass_fields__)


def _parameter(name: str, described: Any) -> inspect.Parameter:
    about = about_field(described)
    assert about is not None, "every setting is described"
    several = isinstance(about.shape, ListShape)
    option = typer.Option(
        option_name(name),
        help=f"{about.text}  \\[default: {_plain(described)}; {variable_name(name)}]",
        metavar=_metavar(name, about.shape),
        show_default=False,
        rich_help_panel="Settings of this machine",
    )
    kind: Any = list[str] | None if several else str | None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def _plain(described: Any) -> str:
    return default_in_words(described).replace("`", "").replace('"', "").replace("[", "").replace("]", "")


def _metavar(name: str, shape: Any) -> str:
    kind = type(shape).__name__.removesuffix("Shape").upper()
    if name in ("listen", "listen_tls", "admin"):
        return "ADDRESS"
    if name in ("tls", "tls_client_ca"):
        return "PATH"
    if name == "control":
        return "URL"
    if name == "control_token_file":
        return "FILE"
    if name == "place":
        return "LAT,LON"
    return {"COUNT": "N", "NUMBER": "N", "LIST": "NETWORK", "CHOICE": "WORD", "FLAG": "TRUE|FALSE"}.get(kind, kind)
