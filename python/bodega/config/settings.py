"""Where settings come from: option over environment over file over default.

The same field has the same name everywhere: ``idle_timeout`` in `[edge]`, ``--idle-timeout``, ``BODEGA_IDLE_TIMEOUT``.
An error names the one that was wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bodega.config.edge_settings import EdgeSettings
from bodega.config.read import documented_fields, read_shape
from bodega.distributions.shapes import CountShape, FlagShape, ListShape, Shape, about_field
from bodega.errors import ConfigInvalid, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def option_name(field: str) -> str:
    """Return the option of a setting: ``--idle-timeout``."""
    return "--" + field.replace("_", "-")


def variable_name(field: str) -> str:
    """Return the variable of a setting: ``BODEGA_IDLE_TIMEOUT``."""
    return "BODEGA_" + field.upper()


def with_environment(settings: EdgeSettings, environment: Mapping[str, str]) -> EdgeSettings:
    """Return the settings with what ``BODEGA_`` variables say; empty variables say nothing.

    Raises:
        ConfigInvalid: If a variable holds what its setting cannot be; its path is the variable's name.
    """
    written = {name: environment.get(variable_name(name), "") for name in documented_fields(EdgeSettings)}
    given = {name: text for name, text in written.items() if text}
    return _with_texts(settings, given, variable_name)


def with_options(settings: EdgeSettings, options: Mapping[str, str | tuple[str, ...]]) -> EdgeSettings:
    """Return the settings with what options say.

    Args:
        settings: What they lie over.
        options: Texts as typed, by field; repeated options as a tuple.

    Raises:
        ConfigInvalid: If an option holds what its setting cannot be; its path is the option's name.
    """
    return _with_texts(settings, options, option_name)


def with_values(settings: EdgeSettings, values: Mapping[str, object]) -> EdgeSettings:
    """Return the settings with values as a document holds them.

    Raises:
        ConfigInvalid: If the result contradicts itself; its path is the field.
    """
    return replace(settings, **values)  # type: ignore[arg-type]


def _with_texts(
    settings: EdgeSettings, texts: Mapping[str, str | tuple[str, ...]], name_of: Callable[[str], str]
) -> EdgeSettings:
    known = documented_fields(EdgeSettings)
    problems: list[Problem] = []
    values: dict[str, object] = {}
    for field, text in texts.items():
        about = about_field(known[field])
        assert about is not None, "every setting is described"
        try:
            values[field] = read_shape(about.shape, _from_text(about.shape, text), (name_of(field),))
        except ConfigInvalid as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigInvalid.of(problems)
    try:
        return with_values(settings, values)
    except ConfigInvalid as error:
        raise ConfigInvalid.of(
            Problem(problem.what, problem.hint, (name_of(str(problem.path[0])),)) if problem.path else problem
            for problem in error.problems
        ) from None


def _from_text(shape: Shape, text: str | tuple[str, ...]) -> object:
    match shape:
        case ListShape():
            parts = text.split(",") if isinstance(text, str) else [part for each in text for part in each.split(",")]
            return [part.strip() for part in parts if part.strip()]
        case CountShape() if isinstance(text, str):
            stripped = text.strip()
            return int(stripped) if stripped.isascii() and stripped.isdecimal() and len(stripped) < 20 else text
        case FlagShape() if isinstance(text, str):
            return {
                "1": True,
                "true": True,
                "yes": True,
                "on": True,
                "0": False,
                "false": False,
                "no": False,
                "off": False,
            }.get(text.strip().lower(), text)
        case _:
            return text
