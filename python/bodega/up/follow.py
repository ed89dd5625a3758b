"""Shows the edges at work until somebody stops it, or an edge dies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.live import Live

from bodega.errors import EdgeNotFound
from bodega.up.table import Watch, json_line, live_table, plain_line

if TYPE_CHECKING:
    from rich.console import Console

    from bodega.up.demonstration import Demonstration
    from bodega.up.table import Row

LIVE_SECONDS = 1.0
PLAIN_SECONDS = 10.0
_CHECK_SECONDS = 0.25


def follow(demonstration: Demonstration, console: Console, *, as_json: bool) -> None:
    """Show a table, lines or JSON until interrupted; never returns by itself.

    Args:
        demonstration: What is running.
        console: Where to show it.
        as_json: One object a line for each edge and second.

    Raises:
        EdgeError: If an edge has ended by itself.
        KeyboardInterrupt: When somebody stops it.
    """
    watch = Watch(demonstration.edges)
    if as_json:
        while True:
            for row in _look(demonstration, watch):
                console.file.write(json_line(row) + "\n")
            console.file.flush()
            _wait(demonstration, LIVE_SECONDS)
    if not console.is_terminal:
        before: list[int] = []
        while True:
            rows = _look(demonstration, watch)
            # Nothing new is not worth a line in somebody's log.
            if (now := [row.stats.n_requests for row in rows]) != before:
                for row in rows:
                    console.print(plain_line(row), highlight=False, soft_wrap=True)
            before = now
            _wait(demonstration, PLAIN_SECONDS)
    with Live(live_table(_look(demonstration, watch)), console=console, auto_refresh=False) as live:
        while True:
            _wait(demonstration, LIVE_SECONDS)
            live.update(live_table(_look(demonstration, watch)), refresh=True)


def _look(demonstration: Demonstration, watch: Watch) -> list[Row]:
    try:
        return watch.look()
    except EdgeNotFound:
        # It may have died this very moment: its last lines say more than a refused connection.
        _wait(demonstration, _CHECK_SECONDS)
        raise


def _wait(demonstration: Demonstration, seconds: float) -> None:
    """Wait, and notice early when an edge dies."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        demonstration.check()
        time.sleep(min(left, _CHECK_SECONDS))
    demonstration.check()
