"""Files in TOML: read whole, and what is wrong with one said with its line."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from bodega.distributions.positions import nearest_line
from bodega.errors import ConfigInvalid, KeyPath, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_text(path: Path, hint: str = "") -> str:
    """Read a file.

    Raises:
        ConfigInvalid: If it cannot be read; `hint` says what to do where there is none.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigInvalid("the file is not UTF-8", hint=f"see byte {error.start}", file=str(path)) from None
    except FileNotFoundError:
        raise ConfigInvalid("there is no such file", hint=hint, file=str(path)) from None
    except OSError as error:
        raise ConfigInvalid(f"the file cannot be read: {error.strerror}", file=str(path)) from None


def locate(problem: Problem, name: str, lines: Mapping[KeyPath, int]) -> Problem:
    """Return the same problem with file and line, unless it is another file's."""
    return problem if problem.file is not None else problem.at(name, nearest_line(dict(lines), problem.path))


def parse_toml(text: str, name: str) -> dict[str, object]:
    """Read the text of a file.

    Raises:
        ConfigInvalid: If it is no TOML, with the line.
    """
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
