"""How commands speak: sentences and errors on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bodega.edge.foreground import Kind
    from bodega.errors import BodegaError, Problem

_UNFOLDED = 10_000
_STYLES: dict[str, str] = {"note": "", "ready": "bold green", "warning": "yellow", "error": "bold red"}


def say(kind: Kind, text: str) -> None:
    """Tell a person something; warnings and errors begin with the word."""
    line = Text(text)
    if kind in ("warning", "error"):
        line = Text.assemble((f"{kind}: ", _STYLES[kind]), text)
    elif _STYLES[kind]:
        line = Text(text, style=_STYLES[kind])
    _console().print(line, soft_wrap=True)


def fail(error: BodegaError) -> None:
    """Tell a person what went wrong and what to do: one problem a paragraph."""
    console = _console()
    if isinstance(error, ConfigInvalid):
        for problem in error.problems:
            console.print(_problem("error", problem), soft_wrap=True)
        return
    console.print(_sentence("error", "", error.what, error.hint), soft_wrap=True)


def advise(problem: Problem) -> None:
    """Point out what is probably not meant."""
    _console().print(_problem("note", problem), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a result for programs, on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_lines(text: str) -> None:
    """Print a result for people."""
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


def table(*columns: str) -> Table:
    """Return a table with columns of these names; those with `>` before them hold numbers."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        is_number = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if is_number else "left", overflow="fold")
    return made


def print_table(made: Table) -> None:
    """Print a table: as wide as the terminal, or where there is none as wide as it is."""
    Console(highlight=False, width=None if sys.stdout.isatty() else _UNFOLDED).print(made)


def print_columns(*rows: Sequence[str], right: Collection[int] = ()) -> None:
    """Print rows whose last column may be long: a line each where somebody looks, else all of it.

    Args:
        rows: As many texts each.
        right: The columns that hold numbers.
    """
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]) - 1)]
    width = Console().width if sys.stdout.isatty() else None
    for *row, last in rows:
        cells = [
            f"{cell:>{widths[number]}}" if number in right else f"{cell:<{widths[number]}}"
            for number, cell in enumerate(row)
        ]
        print_lines("  ".join([*cells, last])[:width])


def when(time_ms: int) -> str:
    """Write a time in milliseconds since 1970 for people."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def problem_as_json(problem: Problem) -> dict[str, Any]:
    """Return a problem as plain values."""
    return {
        "file": problem.file,
        "line": problem.line,
        "path": list(problem.path),
        "what": problem.what,
        "hint": problem.hint,
    }


def _problem(kind: str, problem: Problem) -> Text:
    return _sentence(kind, problem.where, problem.what, problem.hint)


def _sentence(kind: str, where: str, what: str, hint: str) -> Text:
    style = "bold red" if kind == "error" else "bold yellow"
    text = Text.assemble((f"{kind}: ", style), (f"{where}: " if where else "", "bold"), what)
    if hint:
        text.append(f"\n  {hint}", style="cyan")
    return text


def _console() -> Console:
    return Console(stderr=True, highlight=False)
