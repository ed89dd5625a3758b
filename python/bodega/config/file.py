"""Reads a `bodega.toml`: every problem in it with its line.

`[edge]` is kept as it was given, so that variables and options can lie over it; the rest becomes `Declarations`.
Start at `read_config`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodega.config.edge_settings import EdgeSettings, SettingsContradict
from bodega.distributions import Declarations
from bodega.distributions.positions import locate_keys
from bodega.distributions.read import documented_fields, read_fields, read_noun, unknown_key
from bodega.distributions.toml_text import locate, parse_toml, read_text
from bodega.errors import ConfigInvalid, KeyPath, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Config:
    """What a file says.

    Attributes:
        file: The file as it was named.
        declarations: Distributions, origins and policies.
        given: The settings of `[edge]` that the file names, by field.
        lines: The line of every key, from 1.
    """

    file: str
    declarations: Declarations
    given: tuple[tuple[str, object], ...]
    lines: Mapping[KeyPath, int]

    def settings(self, base: EdgeSettings | None = None, **over: object) -> EdgeSettings:
        """Return the settings of `[edge]` over others.

        Args:
            base: What holds where the file is silent; by default the defaults.
            over: What holds over the file.

        Raises:
            ConfigInvalid: If the result contradicts itself.
        """
        try:
            values: dict[str, Any] = {**dict(self.given), **over}
            return replace(base or EdgeSettings(), **values)
        except ConfigInvalid as error:
            if error.path and error.path[0] in over:
                raise
            raise self.located(error.under("edge")) from None

    def located(self, error: ConfigInvalid) -> ConfigInvalid:
        """Return the same error with file and line."""
        return ConfigInvalid.of(self.locate(problem) for problem in error.problems)

    def locate(self, problem: Problem) -> Problem:
        """Return the same problem with file and line."""
        return locate(problem, self.file, self.lines)


def read_config(path: str | Path) -> Config:
    """Read a file.

    Args:
        path: The file.

    Raises:
        ConfigInvalid: With every problem found, each with its line.
    """
    name = str(path)
    return parse_config(read_text(Path(path), f"`bodega init {name}` writes one"), name)


def parse_config(text: str, name: str = "bodega.toml") -> Config:
    """Read the text of a file.

    Args:
        text: TOML.
        name: What messages call the file.

    Raises:
        ConfigInvalid: With every problem found, each with its line.
    """
    document = parse_toml(text, name)
    lines = locate_keys(text)
    try:
        return _read_document(document, name, lines)
    except ConfigInvalid as error:
        found = [locate(problem, name, lines) for problem in error.problems]
        raise ConfigInvalid.of(sorted(found, key=lambda problem: problem.line or 0)) from None


def _read_document(document: dict[str, object], name: str, lines: Mapping[KeyPath, int]) -> Config:
    problems: list[Problem] = []
    rest = dict(document)
    given: dict[str, Any] = {}
    try:
        given = read_fields(EdgeSettings, rest.pop("edge", {}), ("edge",))
        EdgeSettings(**given)
    except SettingsContradict:
        pass  # Variables and options are not known here; whoever asks for the settings is told.
    except ConfigInvalid as error:
        at_edge = all(problem.path[:1] == ("edge",) for problem in error.problems)
        problems.extend((error if at_edge else error.under("edge")).problems)
    known = ["edge", *documented_fields(Declarations)]
    for key in [key for key in rest if key not in known]:
        del rest[key]
        problems.append(_unknown_top(key, known, document))
    try:
        declarations = read_noun(Declarations, rest)
    except ConfigInvalid as error:
        raise ConfigInvalid.of([*problems, *error.problems]) from None
    if problems:
        raise ConfigInvalid.of(problems)
    return Config(name, declarations, tuple(given.items()), lines)


def _unknown_top(key: str, known: list[str], document: Mapping[str, object]) -> Problem:
    if key in documented_fields(EdgeSettings) and not isinstance(document[key], dict):
        return Problem(f'"{key}" stands outside of a table', "put it under [edge]", (key,))
    return unknown_key(key, known, ())
