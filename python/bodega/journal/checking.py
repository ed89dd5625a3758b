"""Looks at all of a journal: whether each part of it is what was written."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bodega.errors import JournalDamaged
from bodega.journal import tables

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look came to.

    Attributes:
        problems: What is wrong, one sentence each; empty if nothing is.
        n_events: How many events were looked at and are sound.
        last_sound: The last position up to which everything is sound.
    """

    problems: tuple[str, ...]
    n_events: int
    last_sound: int


def check(path: Path, progress: Callable[[int, int], None] | None = None) -> Checked:
    """Check a journal, also one that is in use.

    Args:
        path: The file.
        progress: Is told how many events of how many have been looked at.

    Raises:
        JournalDamaged: If it is no journal at all, or of another version.
        JournalError: If it cannot be opened.
    """
    connection = tables.connect(path, to_write=False)
    try:
        with tables.looking(connection, path):
            # Beginning with what the system of files or a disk does: then what is written stands for what was.
            problems = [
                f"the file: {row[0]}" for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"
            ]
            problems += _history(connection)
            last, found = _events(connection, progress)
            problems += found
            problems += _checkpoints(connection)
            return Checked(tuple(problems), last - tables.base(connection)[0], last)
    finally:
        connection.close()


def _events(connection: sqlite3.Connection, progress: Callable[[int, int], None] | None) -> tuple[int, list[str]]:
    position, _ = tables.base(connection)
    first = position
    n_all = int(connection.execute("SELECT COUNT(*) FROM events").fetchone()[0])
    while True:
        try:
            events = tables.read(connection, position, _AT_ONCE)
        except JournalDamaged as error:
            return position, [f"{error.what}; those after it cannot be trusted"]
        if not events:
            return position, []
        position = events[-1].position
        if progress is not None:
            progress(position - first, n_all)


def _history(connection: sqlite3.Connection) -> list[str]:
    epochs = tables.epochs(connection)
    if not epochs:
        return ["it has no epoch"]
    backwards = [later.epoch for before, later in pairwise(epochs) if later.after < before.after]
    return [f"epoch {name} begins before the one before it" for name in backwards]


def _checkpoints(connection: sqlite3.Connection) -> list[str]:
    problems = []
    rows = connection.execute("SELECT position, chain FROM checkpoints").fetchall()
    for position, chain in rows:
        held = tables.chain_at(connection, position)
        # One whose events were compacted away has nothing to be compared with.
        if held is not None and held != chain:
            problems.append(f"the checkpoint at {position} is of another history")
        if held is None and position > tables.head(connection).position:
            problems.append(f"the checkpoint at {position} is ahead of the last event")
    newest = tables.checkpoint(connection)
    base, _ = tables.base(connection)
    if base > 0 and (newest is None or newest.position < base):
        problems.append(f"events up to {base} are gone, and no checkpoint covers them")
    return problems
