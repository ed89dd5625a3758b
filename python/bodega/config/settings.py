"""Where settings come from: option over environment over file over default.

The same field has the same name everywhere: ``idle_timeout`` in `[edge]`, ``--idle-timeout``, ``BODEGA_IDLE_TIMEOUT``.
An error names the one that was wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bodega.config.edge_settings import EdgeSettings
from bodega.distributions.read import documented_fields, read_shape
from bodega.distributions.shapes import CountShape, FlagShape, ListShape, NumberShape, Shape, about_field
from bodega.errors import ConfigInvalid, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bodega.config.file import Config


def option_name(field: str) -> str:
    """Return the option of a setting: ``--idle-timeout``."""
    return "--" + field.replace("_", "-")


def variable_name(field: str) -> str:
    """Return the variable of a setting: ``BODEGA_IDLE_TIMEOUT``."""
    return "BODEGA_" + field.upper()


def settings_from(
    config: Config | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, str | tuple[str, ...]] | None = None,
    base: EdgeSettings | None = None,
) -> EdgeSettings:
    """Return the settings that file, variables and options make together.

    Args:
        config: The file.
        environment: Variables; empty ones say nothing.
        options: Texts as typed, by field; repeated options as a tuple.
        base: What holds where all of them are silent; by default the defaults.

    Raises:
        ConfigInvalid: If one holds what its setting cannot be, or they contradict each other; it names the option, the
            variable, or the line of the file.
    """
    variables = {name: (environment or {}).get(variable_name(name), "") for name in documented_fields(EdgeSettings)}
    from_variables = _read_texts({name: text for name, text in variables.items() if text}, variable_name)
    from_options = _read_texts(options or {}, option_name)
    from_file = dict(config.given) if config is not None else {}
    values: dict[str, Any] = {**from_file, **from_variables, **from_options}
    try:
        return replace(base or EdgeSettings(), **values)
    except ConfigInvalid as error:
        problems = [_named(each, config, from_variables, from_options) for each in error.problems]
        raise ConfigInvalid.of(problems) from None


def _named(
    problem: Problem, config: Config | None, from_variables: Mapping[str, object], from_options: Mapping[str, object]
) -> Problem:
    """Name a problem by where its setting was written; one that is missing, by where the last other one was."""
    field = str(problem.path[0]) if problem.path else ""
    from_file = dict(config.given) if config is not None else {}
    in_file = field in from_file or not (from_variables or from_options)
    if field in from_options or (from_options and field not in from_variables and not in_file):
        return replace(problem, path=(option_name(field),))
    if field in from_variables or not in_file:
        return replace(problem, path=(variable_name(field),))
    return config.locate(problem.under("edge")) if config is not None else problem


def _read_texts(texts: Mapping[str, str | tuple[str, ...]], name_of: Callable[[str], str]) -> dict[str, object]:
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
    return values


def _from_text(shape: Shape, text: str | tuple[str, ...]) -> object:
    match shape:
        case ListShape():
            parts = text.split(",") if isinstance(text, str) else [part for each in text for part in each.split(",")]
            return [_from_text(shape.of, part.strip()) for part in parts if part.strip()]
        case CountShape() if isinstance(text, str):
            stripped = text.strip()
            return int(stripped) if stripped.isascii() and stripped.isdecimal() and len(stripped) < 20 else text
        case NumberShape() if isinstance(text, str):
            return _number(text)
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


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
