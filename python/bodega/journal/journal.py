"""What every journal can do, whatever keeps it. `sqlite` is the one that needs nothing; others join the same tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from bodega.journal.event import Appended, Checkpoint, Epoch, Event, NewEvent, Place


class Journal(Protocol):
    """An ordered, durable list of events."""

    def append(self, events: Sequence[NewEvent]) -> Future[list[Appended]]:
        """Append events, all of them or none, one after the other without others between them.

        The future is done once they are on the disk; it may be waited for (``.result()``) or awaited
        (`asyncio.wrap_future`).

        Raises, through the future:
            AppendRefused: If a key was used for another event.
            JournalError: If they could not be written. They may be appended again, with their keys.
        """
        ...

    def head(self) -> Place:
        """Return the place after the last event."""
        ...

    def oldest(self) -> int:
        """Return the position of the oldest event that is still there; one after the last if none is."""
        ...

    def epochs(self) -> list[Epoch]:
        """Return the epochs, oldest first; at least one."""
        ...

    def read(self, after: int, *, n: int = 1000) -> list[Event]:
        """Return up to `n` events after a position, none at the head.

        Raises:
            EventsGone: If events after that position were compacted away.
            JournalDamaged: If the next one is not sound.
        """
        ...

    def parted(self, place: Place) -> str | None:
        """Say why whoever is at `place` cannot go on from there; ``None`` if that is possible."""
        ...

    def wait(self, after: int, timeout_seconds: float) -> bool:
        """Wait until there is an event after a position; false if none came."""
        ...

    def on_append(self, told: Callable[[int], None]) -> Callable[[], None]:
        """Have `told` called with the new last position after each group, on the writing thread.

        Returns:
            What ends that.
        """
        ...

    def checkpoint(self, position: int, state: bytes) -> None:
        """Keep the state up to a position.

        Raises:
            JournalError: If there is no such position, or it could not be written.
        """
        ...

    def newest_checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint, if there is any."""
        ...

    def compact(self, *, keep_seconds: float) -> int:
        """Take out events that a checkpoint covers and that are older than `keep_seconds`; return how many."""
        ...

    def close(self) -> None:
        """Write what was asked for, and end. May be called again."""
        ...
