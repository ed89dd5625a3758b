"""Copies of a journal, and a journal out of a copy."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

from bodega.errors import JournalDamaged, JournalError
from bodega.journal import tables
from bodega.journal.checking import check
from bodega.journal.lock import Lock
from bodega.journal.sqlite import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bodega.journal.event import Place

_PAGES_AT_ONCE = 256


def backup(path: Path, copy: Path, progress: Callable[[int, int], None] | None = None) -> Place:
    """Copy a journal as it is at one moment, also while it is in use.

    Args:
        path: The journal.
        copy: The new file.
        progress: Is told how many pages of how many have been copied.

    Returns:
        The place after the last event in the copy.

    Raises:
        JournalDamaged: If it is no journal, or cannot be read.
        JournalError: If the copy is there already, or cannot be written.
    """
    if copy.exists():
        raise JournalError(f"{copy} is there already", hint="name a new file")
    partly = copy.with_name(f"{copy.name}.partly")
    partly.unlink(missing_ok=True)
    try:
        place = _copy(path, partly, progress)
        _sync(partly)
        partly.rename(copy)
        _sync(copy.parent)
    finally:
        partly.unlink(missing_ok=True)
    return place


def restore(
    copy: Path, path: Path, *, readable: bool = False, progress: Callable[[int, int], None] | None = None
) -> Place:
    """Put a copy in a journal's place, and begin an epoch in it; what was there is kept beside it.

    Args:
        copy: The copy; it stays as it is. It may be the damaged journal itself, with `readable`.
        path: Where the journal is, or is to be. Nobody may append to it meanwhile.
        readable: Take what is sound of a damaged copy, up to the first event that is not.
        progress: Is told how many pages of how many have been copied.

    Returns:
        The place after the last event.

    Raises:
        JournalDamaged: If the copy is not sound.
        JournalError: If something cannot be written.
        JournalLocked: If a process appends to the journal.
    """
    with Lock(path):
        checked = check(copy)
        if checked.problems and not readable:
            raise JournalDamaged(
                f"{copy}: {checked.problems[0]}",
                hint=f"take another backup, or what is sound of this one (up to {checked.last_sound}) by `--readable`",
            )
        new = path.with_name(f"{path.name}.new")
        _remove(new)
        try:
            _copy(copy, new, progress)
            place = _begin_anew(new, checked.last_sound)
            _sync(new)
            _move_aside(path)
            new.rename(path)
            _sync(path.parent)
        finally:
            _remove(new)
    return place


def _copy(path: Path, copy: Path, progress: Callable[[int, int], None] | None) -> Place:
    source = tables.connect(path, to_write=False)
    try:
        with tables.explained(copy):
            target = sqlite3.connect(copy, isolation_level=None)
            try:
                copy.chmod(0o600)
                told = None if progress is None else (lambda _, left, all_: progress(all_ - left, all_))
                source.backup(target, pages=_PAGES_AT_ONCE, progress=told)
                # One file, whole by itself.
                target.execute("PRAGMA journal_mode = DELETE")
                return tables.head(target)
            finally:
                target.close()
    finally:
        source.close()


def _begin_anew(path: Path, last: int) -> Place:
    connection = tables.connect(path, to_write=True)
    try:
        with tables.explained(path):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM events WHERE position > ?", (last,))
            connection.execute("DELETE FROM keys WHERE position > ?", (last,))
            connection.execute("DELETE FROM checkpoints WHERE position > ?", (last,))
            connection.execute("DELETE FROM epochs WHERE after > ?", (last,))
            tables.begin_epoch(connection, after=last, now_ms=now_ms(), reason="restored")
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = DELETE")
            return tables.head(connection)
    finally:
        connection.close()


def _move_aside(path: Path) -> None:
    kept = f"{path.name}.before-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    # The log of what was not in the file yet belongs to it.
    for end in ("-wal", "-shm", ""):
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(path.with_name(kept + end))


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
