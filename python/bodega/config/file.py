"""Reads a `bodega.toml`: every problem in it with its line.

`[edge]` is kept as it was given, so that variables and options can lie over it; the rest becomes `Declarations`.
Start at `read_config`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodega.config.edge_settings import EdgeSettings, SettingsContradict
from bodega.config.positions import locate_keys, nearest_line
from bodega.config.read import documented_fields, read_fields, read_noun, unknown_key
from bodega.distributions import Declarations
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
        return problem.at(self.file, nearest_line(dict(self.lines), problem.path))


def read_config(path: str | Path) -> Config:
    """Read a file.

    Args:
        path: The file.

    Raises:
        ConfigInvalid: With every problem found, each with its line.
    """
    name = str(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigInvalid("the file is not UTF-8", hint=f"see byte {error.start}", file=name) from None
    except FileNotFoundError:
        raise ConfigInvalid("there is no such file", hint=f"`bodega init {name}` writes one", file=name) from None
    except OSError as error:
        raise ConfigInvalid(f"the file cannot be read: {error.strerror}", file=name) from None
    return parse_config(text, name)


def parse_config(text: str, name: str = "bodega.toml") -> Config:
    """Read the text of a file.

    Args:
        text: TOML.
        name: What messages call the file.

    Raises:
        ConfigInvalid: With every problem found, each with its line.
    """
    document = _parsed(text, name)
    lines = locate_keys(text)
    try:
        return _read_document(document, name, lines)
    except ConfigInvalid as error:
        found = [problem.at(name, nearest_line(lines, problem.path)) for problem in error.problems]
        raise ConfigInvalid.of(sorted(found, key=lambda problem: problem.line or 0)) from None


def _parsed(text: str, name: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        what = message[: match.start()] if match else message
        raise ConfigInvalid(
            f"not TOML: {what[:1].lower()}{what[1:]}", hint=_syntax_hint(text, line, message), file=name, line=line
        ) from None
    except (RecursionError, ValueError):
        # Numbers of thousands of digits and values nested thousands deep are refused by the reader in its own ways.
        raise ConfigInvalid(
            "not TOML that anyone would write: nested too deeply, or a number too long", file=name
        ) from None


def _syntax_hint(text: str, line: int, message: str) -> str:
    lines = text.split("\n")
    written = lines[line - 1].strip() if line <= len(lines) else ""
    if re.fullmatch(r"[\w.-]+\s*=\s*[A-Za-z/*][^\"'\[{]*", written) and not re.search(r"=\s*(true|false)\b", written):
        return "texts stand in quotes"
    if re.fullmatch(r"[\w.-]+\s*=\s*\d+(\.\d+)?\s*[A-Za-z]+", written):
        return "quantities with a unit stand in quotes"
    if "key part" in message and _opens_inline_table(lines, line):
        return "an inline table `{ ... }` stands on one line, without a comma before the brace"
    if re.match(r"[\w.-]+\s*:", written):
        return "write `key = value`"
    return ""


def _opens_inline_table(lines: list[str], line: int) -> bool:
    near = [written.split("#", 1)[0] for written in lines[max(0, line - 2) : line]]
    return any(written.count("{") > written.count("}") or written.rstrip().endswith(",}") for written in near)


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
