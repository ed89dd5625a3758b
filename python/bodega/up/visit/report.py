"""Shows a visit while it happens: as text with tables, or as one JSON object a line."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from bodega.up.visit.exchange import Check, Exchange
    from bodega.up.visit.figures import Figure

_STYLES = {"hit": "green", "stale": "green", "collapsed": "green", "revalidated": "cyan", "miss": "yellow"}


class Report(Protocol):
    """Who is told what a visit sees."""

    def step(self, name: str, title: str) -> None:
        """Hear that a step begins."""

    def exchange(self, step: str, exchange: Exchange) -> None:
        """Hear of one exchange."""

    def load(self, step: str, exchanges: Sequence[Exchange], seconds: float) -> None:
        """Hear of a page with everything it names, and how long all of it took."""

    def check(self, step: str, check: Check) -> None:
        """Hear of one expectation."""

    def end(self, figures: Sequence[Figure], *, is_as_it_should_be: bool) -> None:
        """Hear how it ended."""


class TableReport:
    """Tells the story on a console; without a terminal, in plain lines."""

    def __init__(self, console: Console) -> None:
        """Tell it on `console`."""
        self._console = console
        self._table: Table | None = None

    def step(self, name: str, title: str) -> None:
        """Print the heading of a step."""
        self._show()
        self._console.print(f"\n[bold]{name}[/bold]  {title}", highlight=False)

    def exchange(self, step: str, exchange: Exchange) -> None:  # noqa: ARG002 - the heading says it already
        """Add a row."""
        self._row(
            exchange.place.title,
            exchange.path,
            str(exchange.status),
            Text(exchange.outcome, _STYLES.get(exchange.outcome, "")),
            milliseconds(exchange.first_byte_seconds),
            milliseconds(exchange.seconds),
            size(exchange.n_bytes),
            Text(exchange.note, "dim"),
        )

    def load(self, step: str, exchanges: Sequence[Exchange], seconds: float) -> None:  # noqa: ARG002 - as above
        """Add one row for a page and everything it names."""
        statuses = sorted({str(each.status) for each in exchanges})
        outcomes = Counter(each.outcome for each in exchanges)
        self._row(
            exchanges[0].place.title,
            f"{exchanges[0].path} and {len(exchanges) - 1} things it names",
            " ".join(statuses),
            Text(
                ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()), _STYLES.get(max(outcomes), "")
            ),
            milliseconds(exchanges[0].first_byte_seconds),
            milliseconds(seconds),
            size(sum(each.n_bytes for each in exchanges)),
            Text(),
        )

    def check(self, step: str, check: Check) -> None:  # noqa: ARG002 - the heading says it already
        """Print whether an expectation was met."""
        self._show()
        mark = Text("ok   ", "green") if check.is_met else Text("WRONG", "bold red")
        self._console.print(Text.assemble("  ", mark, " ", check.what, ("  " + check.seen, "dim")), soft_wrap=True)

    def end(self, figures: Sequence[Figure], *, is_as_it_should_be: bool) -> None:
        """Print the mission's table."""
        self._show()
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        for heading in ("figure", "this visit", "bar", "verdict", "how"):
            table.add_column(heading, no_wrap=heading != "how")
        for figure in figures:
            style = {True: "green", False: "bold red", None: "dim"}[figure.is_reached]
            table.add_row(figure.name, figure.text, figure.bar, Text(figure.verdict, style), Text(figure.how, "dim"))
        self._console.print()
        self._console.print(table)
        self._console.print(
            "\nEverything as it should be." if is_as_it_should_be else "\n[bold red]Not as it should be.[/]"
        )

    def _row(self, *cells: str | Text) -> None:
        if self._table is None:
            self._table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
            for heading in ("where", "asked for", "status", "from", "first byte", "whole", "size", ""):
                is_number, may_wrap = heading in ("first byte", "whole", "size"), heading in ("asked for", "")
                self._table.add_column(heading, justify="right" if is_number else "left", no_wrap=not may_wrap)
        self._table.add_row(*cells)

    def _show(self) -> None:
        if self._table is not None:
            self._console.print(self._table)
            self._table = None


class JsonReport:
    """Writes one JSON object a line: `step`, `exchange`, `check`, `figure`, `end`."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """Give each line to `write`."""
        self._write = write

    def step(self, name: str, title: str) -> None:
        """Write that a step begins."""
        self._line("step", step=name, title=title)

    def exchange(self, step: str, exchange: Exchange) -> None:
        """Write an exchange."""
        self._line(
            "exchange",
            step=step,
            place=exchange.place.name,
            region=exchange.place.region,
            path=exchange.path,
            status=exchange.status,
            outcome=exchange.outcome,
            cache_status=exchange.said,
            first_byte_seconds=round(exchange.first_byte_seconds, 6),
            seconds=round(exchange.seconds, 6),
            size_bytes=exchange.n_bytes,
            note=exchange.note,
        )

    def load(self, step: str, exchanges: Sequence[Exchange], seconds: float) -> None:
        """Write every exchange, then the page as a whole."""
        for exchange in exchanges:
            self.exchange(step, exchange)
        first = exchanges[0]
        self._line(
            "load", step=step, place=first.place.name, path=first.path, n=len(exchanges), seconds=round(seconds, 6)
        )

    def check(self, step: str, check: Check) -> None:
        """Write an expectation."""
        self._line("check", step=step, what=check.what, ok=check.is_met, seen=check.seen)

    def end(self, figures: Sequence[Figure], *, is_as_it_should_be: bool) -> None:
        """Write the figures and how it ended."""
        for figure in figures:
            value = None if figure.value is None else round(figure.value, 3)
            about = {"name": figure.name, "value": value, "unit": figure.unit, "bar": figure.bar}
            self._line("figure", **about, verdict=figure.verdict, how=figure.how)
        self._line("end", ok=is_as_it_should_be)

    def _line(self, kind: str, **fields: object) -> None:
        self._write(json.dumps({"kind": kind, **fields}))


def milliseconds(seconds: float) -> str:
    """Write a duration as a person compares it: ``0.8 ms``, ``312 ms``."""
    return f"{1000 * seconds:.1f} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"


def size(n_bytes: int) -> str:
    """Write a size as a person compares it: ``812 B``, ``35 KB``, ``108 MB``."""
    if n_bytes < 1000:
        return f"{n_bytes} B"
    return f"{n_bytes / 1000:.0f} KB" if n_bytes < 1_000_000 else f"{n_bytes / 1_000_000:.1f} MB"
