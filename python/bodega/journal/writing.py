"""The thread that writes: what is asked for while it waits for the disk goes together with the next transaction."""

from __future__ import annotations

import logging
import queue
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from bodega.errors import AppendRefused, BodegaError, JournalError
from bodega.journal import tables
from bodega.journal.event import NO_CHAIN, Appended, Event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bodega.journal.event import NewEvent, Place

_LOG = logging.getLogger(__name__)
_MOST_IN_A_GROUP = 4096

Told: TypeAlias = "Callable[[int], None]"


@dataclass(frozen=True, slots=True)
class _Asked:
    events: Sequence[NewEvent]
    done: Future[list[Appended]]


@dataclass(frozen=True, slots=True)
class _Work:
    """Something else that is done in a transaction of its own."""

    run: Callable[[sqlite3.Connection], int]
    done: Future[int]


class Writer:
    """Appends to a file that its caller holds the lock of."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        """Start.

        Args:
            path: The file, which is there.
            clock: Returns the time in milliseconds since 1970.
        """
        self._path = path
        self._clock = clock
        self._connection = tables.connect(path, to_write=True)
        try:
            with tables.read_from(path):
                self._place = tables.head(self._connection)
        except BaseException:
            self._connection.close()
            raise
        self._asked: queue.SimpleQueue[_Asked | _Work | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._told: list[Told] = []
        self._is_closed = False
        self.n_groups = 0
        """How many transactions events were written in."""
        self._thread = threading.Thread(target=self._run, name="bodega-journal", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        """The last position."""
        return self._place.position

    def append(self, events: Sequence[NewEvent]) -> Future[list[Appended]]:
        """Append events, all or none; see `Journal.append`."""
        done: Future[list[Appended]] = Future()
        self._ask(_Asked(tuple(events), done), done)
        return done

    def work(self, run: Callable[[sqlite3.Connection], int]) -> int:
        """Do something else in a transaction, and wait for it."""
        done: Future[int] = Future()
        self._ask(_Work(run, done), done)
        return done.result()

    def wait(self, after: int, timeout_seconds: float) -> bool:
        """Wait until there is something after a position."""
        with self._changed:
            self._changed.wait_for(lambda: self._place.position > after or self._is_closed, timeout_seconds)
            return self._place.position > after

    def on_append(self, told: Told) -> Callable[[], None]:
        """Have `told` called after each group."""
        with self._changed:
            self._told.append(told)

        def end() -> None:
            with self._changed:
                if told in self._told:
                    self._told.remove(told)

        return end

    def close(self) -> None:
        """Write what was asked for, and end."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._asked.put(None)
            self._changed.notify_all()
        self._thread.join()
        self._connection.close()

    def _ask(self, asked: _Asked | _Work, done: Future[list[Appended]] | Future[int]) -> None:
        with self._changed:
            if not self._is_closed:
                self._asked.put(asked)
                return
        done.set_exception(JournalError(f"{self._path} has been closed"))

    def _run(self) -> None:
        left: _Asked | _Work | None = None
        while True:
            first = left or self._asked.get()
            left = None
            if first is None:
                return
            if not first.done.set_running_or_notify_cancel():
                continue
            if isinstance(first, _Work):
                self._work(first)
                continue
            group, n_events = [first], len(first.events)
            while n_events < _MOST_IN_A_GROUP:
                try:
                    following = self._asked.get_nowait()
                except queue.Empty:
                    break
                if not isinstance(following, _Asked):
                    if following is None:
                        # The end, once this group is written.
                        self._asked.put(None)
                    left = following
                    break
                if following.done.set_running_or_notify_cancel():
                    group.append(following)
                n_events += len(following.events)
            self._write(group)

    def _failed(self, error: Exception) -> BodegaError:
        return error if isinstance(error, BodegaError) else JournalError(f"{self._path}: {error!r}")

    def _work(self, work: _Work) -> None:
        try:
            with tables.explained(self._path), _transaction(self._connection):
                result = work.run(self._connection)
        except Exception as error:  # noqa: BLE001 - Whatever it is, whoever waits is told, and all others go on.
            work.done.set_exception(self._failed(error))
        else:
            work.done.set_result(result)

    def _write(self, group: list[_Asked]) -> None:
        place = self._place
        answers: list[list[Appended] | AppendRefused] = []
        try:
            with tables.explained(self._path), _transaction(self._connection):
                for asked in group:
                    answer, place = _append(self._connection, asked.events, place, self._clock())
                    answers.append(answer)
        except Exception as error:  # noqa: BLE001 - Whatever it is, whoever waits is told, and all others go on.
            # None of them is there: the transaction has been taken back.
            failed = self._failed(error)
            for asked in group:
                asked.done.set_exception(failed)
            return
        is_new = place.position > self._place.position
        with self._changed:
            self._place = place
            self.n_groups += is_new
            self._changed.notify_all()
            told = list(self._told) if is_new else []
        for asked, answer in zip(group, answers, strict=True):
            if isinstance(answer, AppendRefused):
                asked.done.set_exception(answer)
            else:
                asked.done.set_result(answer)
        for tell in told:
            try:
                tell(place.position)
            except Exception:  # noqa: BLE001 - Whatever it is.
                # What one listener does must not end what all write by.
                _LOG.exception("a listener of the journal failed")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _append(
    connection: sqlite3.Connection, events: Sequence[NewEvent], place: Place, now_ms: int
) -> tuple[list[Appended] | AppendRefused, Place]:
    """Append what one caller asked for; all or none of it."""
    known: dict[str, int] = {}
    digests: dict[str, bytes] = {}
    for event in events:
        if event.key is None:
            continue
        row = connection.execute("SELECT position, digest FROM keys WHERE key = ?", (event.key,)).fetchone()
        if row is not None:
            known[event.key], digests[event.key] = row
        if digests.setdefault(event.key, event.digest()) != event.digest():
            what = f'the key "{event.key}" was used for another event'
            where = f"it is that of event {known[event.key]}; " if event.key in known else ""
            return AppendRefused(what, hint=f"{where}use a new key for another event"), place
    answer = []
    for event in events:
        if event.key is not None and event.key in known:
            answer.append(Appended(known[event.key], is_new=False))
            continue
        made = Event(
            place.position + 1, now_ms, event.type, event.version, event.unless_known, event.by, event.text, NO_CHAIN
        )
        made = replace(made, chain=made.chained(place.chain))
        connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (made.position, now_ms, made.type, made.version, made.unless_known, made.by, made.text, made.chain),
        )
        if event.key is not None:
            known[event.key] = made.position
            connection.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?)", (event.key, made.position, event.digest(), now_ms)
            )
        place = replace(place, position=made.position, chain=made.chain)
        answer.append(Appended(made.position, is_new=True))
    return answer, place
