"""A journal as a file of SQLite: its tables, how it is known, and how it is read."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bodega.errors import BodegaError, EventsGone, JournalDamaged, JournalError
from bodega.journal.event import NO_CHAIN, Checkpoint, Epoch, Event, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
"""The version of the tables."""

_APPLICATION_ID = 0x626F6467  # "bodg", for `file` and for whoever opens another program's file.
_BUSY_SECONDS = 30.0
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE epochs (
    epoch TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, after INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
    position INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, type TEXT NOT NULL, version INTEGER NOT NULL,
    unless_known TEXT NOT NULL, by TEXT NOT NULL, data TEXT NOT NULL, chain BLOB NOT NULL
);
CREATE TABLE keys (
    key TEXT PRIMARY KEY, position INTEGER NOT NULL, digest BLOB NOT NULL, time_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE checkpoints (
    position INTEGER PRIMARY KEY, chain BLOB NOT NULL, time_ms INTEGER NOT NULL, state BLOB NOT NULL
);
"""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into errors of a journal."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise JournalError(f"{path}: {error}", hint="see that its disk has room and can be written") from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, error) from error


@contextmanager
def read_from(path: Path) -> Iterator[None]:
    """The same where a journal is read: what SQLite finds sound may still be none of what was written."""
    with explained(path):
        try:
            yield
        except BodegaError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> JournalDamaged:
    """Return what is said of a damaged journal."""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    hint = "`bodega journal check` says how far it is sound; `bodega journal restore` mends"
    return JournalDamaged(f"{path}: {said}", hint=hint)


def connect(path: Path, *, to_write: bool) -> sqlite3.Connection:
    """Open an existing file; transactions are begun and ended by statements.

    Raises:
        JournalDamaged: If it is no journal, or of another version.
        JournalError: If it cannot be opened.
    """
    if not path.exists():
        raise JournalError(f"{path}: there is no such file", hint="a control process begins one")
    with explained(path):
        mode = "rw" if to_write else "ro"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_SECONDS,
            check_same_thread=False,
        )
        try:
            if to_write:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
            _recognize(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def looking(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """Look at one moment of a journal: nothing is appended or compacted away between the parts of the look."""
    with read_from(path):
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


def create(path: Path, now_ms: int) -> None:
    """Begin a journal where there is no file.

    Raises:
        JournalError: If it cannot be made.
    """
    with explained(path):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            path.chmod(0o600)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES}")
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [("journal", secrets.token_hex(16)), ("base", "0"), ("base_chain", NO_CHAIN.hex())],
            )
            begin_epoch(connection, after=0, now_ms=now_ms, reason="begun")
            connection.execute("COMMIT")
        finally:
            connection.close()


def begin_epoch(connection: sqlite3.Connection, *, after: int, now_ms: int, reason: str) -> None:
    """Begin an epoch, within a transaction of the caller's."""
    connection.execute(
        "INSERT INTO epochs SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ?, ? FROM epochs",
        (secrets.token_hex(8), after, now_ms, reason),
    )


def identity(connection: sqlite3.Connection) -> str:
    """Return the journal's identity."""
    return _meta(connection, "journal")


def base(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Return the position and the chain before the oldest event that is still there."""
    return int(_meta(connection, "base")), bytes.fromhex(_meta(connection, "base_chain"))


def epochs(connection: sqlite3.Connection) -> list[Epoch]:
    """Return the epochs, oldest first."""
    return [
        Epoch(*row) for row in connection.execute("SELECT epoch, after, time_ms, reason FROM epochs ORDER BY number")
    ]


def head(connection: sqlite3.Connection) -> Place:
    """Return the place after the last event."""
    row = connection.execute("SELECT position, chain FROM events ORDER BY position DESC LIMIT 1").fetchone()
    position, chain = row if row is not None else base(connection)
    return Place(identity(connection), epochs(connection)[-1].epoch, position, chain)


def chain_at(connection: sqlite3.Connection, position: int) -> bytes | None:
    """Return the chain at a position; ``None`` where the journal does not hold it."""
    base_position, base_chain = base(connection)
    if position == base_position:
        return base_chain
    row = connection.execute("SELECT chain FROM events WHERE position = ?", (position,)).fetchone()
    return None if row is None else row[0]


def read(connection: sqlite3.Connection, after: int, n: int) -> list[Event]:
    """Return up to `n` sound events after a position.

    Raises:
        EventsGone: If the first of them was compacted away.
        JournalDamaged: If the first of them is not sound.
    """
    base_position, _ = base(connection)
    if after < base_position:
        what = f"events up to {base_position} have been compacted away"
        raise EventsGone(what, oldest=base_position + 1, hint="begin with the checkpoint")
    before = chain_at(connection, after)
    if before is None:
        return []
    rows = connection.execute(
        "SELECT position, time_ms, type, version, unless_known, by, data, chain FROM events"
        " WHERE position > ? ORDER BY position LIMIT ?",
        (after, n),
    )
    sound: list[Event] = []
    for row in rows:
        event = Event(*row)
        if event.position != after + 1 or event.chain != event.chained(before):
            if sound:
                break
            raise unsound(after + 1)
        sound.append(event)
        after, before = event.position, event.chain
    return sound


def unsound(position: int) -> JournalDamaged:
    """Return the error for an event that is not what was written."""
    return JournalDamaged(
        f"event {position} is not what was written",
        position=position,
        hint="restore a backup (`bodega journal restore`); what is sound before it can be kept with `--readable`",
    )


def checkpoint(connection: sqlite3.Connection) -> Checkpoint | None:
    """Return the newest checkpoint, if there is any."""
    row = connection.execute(
        "SELECT position, chain, time_ms, state FROM checkpoints ORDER BY position DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Checkpoint(*row)


def parted(connection: sqlite3.Connection, place: Place) -> str | None:
    """Say why whoever is at `place` cannot go on from there."""
    if place.journal != identity(connection):
        return "it is another journal"
    history = epochs(connection)
    names = [epoch.epoch for epoch in history]
    if place.epoch not in names:
        return "the epoch is not one of this journal's"
    later = history[names.index(place.epoch) + 1 :]
    if any(epoch.after < place.position for epoch in later):
        return "a later epoch begins before that position"
    if later:
        # Wherever it is: what was acknowledged after the backup, and never reached it, is in no journal any more.
        return "a backup was restored since: what was appended after it is lost"
    if place.position < base(connection)[0]:
        return "the events after that position have been compacted away"
    chain = chain_at(connection, place.position)
    if chain is None:
        return "the journal does not reach that position"
    return None if chain == place.chain else "what led to that position is not what this journal holds"


def _meta(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise JournalDamaged(f"the journal does not say its {name}", hint="restore a backup (`bodega journal restore`)")
    return str(row[0])


def _recognize(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION_ID:
        raise JournalDamaged(f"{path} is no journal of bodega", hint="name another file")
    if version != FORMAT:
        raise JournalDamaged(
            f"{path} has the format {version}, this bodega reads {FORMAT}", hint="use the bodega that wrote it"
        )
