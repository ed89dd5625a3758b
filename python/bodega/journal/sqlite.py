"""The journal in a file of SQLite: what a control process has by default."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from bodega.errors import JournalError
from bodega.journal import tables
from bodega.journal.lock import Lock
from bodega.journal.writing import Writer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Self

    from bodega.journal.event import Appended, Checkpoint, Epoch, Event, NewEvent, Place

_KEYS_LONGER_MS = 24 * 3600 * 1000


def now_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class SqliteReader:
    """Reads a journal, also one that another process appends to.

    Raises:
        JournalDamaged: If the file is no journal, or of another version.
        JournalError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        """Open it."""
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._connection()

    def head(self) -> Place:
        """Return the place after the last event."""
        with self._looking() as connection:
            return tables.head(connection)

    def oldest(self) -> int:
        """Return the position of the oldest event that is still there; one after the last if none is."""
        with self._looking() as connection:
            return tables.base(connection)[0] + 1

    def epochs(self) -> list[Epoch]:
        """Return the epochs, oldest first; at least one."""
        with self._looking() as connection:
            return tables.epochs(connection)

    def read(self, after: int, *, n: int = 1000) -> list[Event]:
        """Return up to `n` events after a position; see `Journal.read`."""
        with self._looking() as connection:
            return tables.read(connection, after, n)

    def parted(self, place: Place) -> str | None:
        """Say why whoever is at `place` cannot go on from there; ``None`` if that is possible."""
        with self._looking() as connection:
            return tables.parted(connection, place)

    def newest_checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint, if there is any."""
        with self._looking() as connection:
            return tables.checkpoint(connection)

    def close(self) -> None:
        """Close it. May be called again."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _looking(self) -> AbstractContextManager[sqlite3.Connection]:
        return tables.looking(self._connection(), self.path)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = tables.connect(self.path, to_write=False)
            with self._lock:
                self._connections.append(connection)
        return connection


class SqliteJournal(SqliteReader):
    """A journal that this process appends to.

    Args:
        path: The file; begun if it is not there, in a folder that is.
        clock: Returns the time in milliseconds since 1970.

    Raises:
        JournalDamaged: If the file is no journal, or of another version.
        JournalError: If it cannot be opened.
        JournalLocked: If another process appends to it.
    """

    def __init__(self, path: Path, *, clock: Callable[[], int] = now_ms) -> None:
        """Open it, or begin it."""
        if not path.parent.is_dir():
            raise JournalError(f"{path.parent}: there is no such folder", hint="make it first")
        self._clock = clock
        self._held = Lock(path)
        try:
            if not path.exists():
                tables.create(path, clock())
            self._writer = Writer(path, clock)
            super().__init__(path)
        except BaseException:
            self._held.release()
            raise

    @property
    def n_groups(self) -> int:
        """How many transactions events were written in since it was opened."""
        return self._writer.n_groups

    def append(self, events: Sequence[NewEvent]) -> Future[list[Appended]]:
        """Append events, all or none; see `Journal.append`."""
        return self._writer.append(events)

    def wait(self, after: int, timeout_seconds: float) -> bool:
        """Wait until there is an event after a position; false if none came."""
        return self._writer.wait(after, timeout_seconds)

    def on_append(self, told: Callable[[int], None]) -> Callable[[], None]:
        """Have `told` called with the new last position after each group; see `Journal.on_append`."""
        return self._writer.on_append(told)

    def checkpoint(self, position: int, state: bytes) -> None:
        """Keep the state up to a position; see `Journal.checkpoint`."""

        def keep(connection: sqlite3.Connection) -> int:
            chain = tables.chain_at(connection, position)
            if chain is None:
                raise JournalError(f"there is no event {position} to keep the state of")
            values = (position, chain, self._clock(), state)
            connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", values)
            return position

        self._writer.work(keep)

    def compact(self, *, keep_seconds: float) -> int:
        """Take out what a checkpoint covers and is older than that; see `Journal.compact`."""
        before_ms = self._clock() - int(keep_seconds * 1000)

        def take_out(connection: sqlite3.Connection) -> int:
            newest = tables.checkpoint(connection)
            if newest is None:
                return 0
            last, chain = tables.base(connection)
            row = connection.execute(
                "SELECT position, chain FROM events WHERE time_ms < ? AND position <= ? ORDER BY position DESC LIMIT 1",
                (before_ms, newest.position),
            ).fetchone()
            if row is None:
                return 0
            n_events = int(row[0]) - last
            last, chain = row
            connection.execute("DELETE FROM events WHERE position <= ?", (last,))
            connection.execute("DELETE FROM checkpoints WHERE position < ?", (newest.position,))
            old = (last, before_ms - _KEYS_LONGER_MS)
            connection.execute("DELETE FROM keys WHERE position <= ? AND time_ms < ?", old)
            connection.executemany(
                "UPDATE meta SET value = ? WHERE name = ?", [(str(last), "base"), (chain.hex(), "base_chain")]
            )
            return n_events

        return self._writer.work(take_out)

    def close(self) -> None:
        """Write what was asked for, and end. May be called again."""
        # Readers first: whoever closes last leaves one file, whole by itself.
        super().close()
        self._writer.close()
        self._held.release()
