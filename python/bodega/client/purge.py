"""Handles of invalidations: how far one has come, and waiting until every edge has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bodega.client.answers import PurgeProgress, read
from bodega.errors import PurgeUnfinished
from bodega.units import parse_duration

if TYPE_CHECKING:
    from bodega.client.connection import Connection

_SLICE_SECONDS = 2.0
"""For so long at most a thread is busy with a question that nobody waits for any more."""
_LOOK_SECONDS = 0.2
_MOST_NAMED = 3


class Purge:
    """An invalidation that is in the journal. It reaches every edge, whether anybody waits for that or not.

    Example:
        >>> purge = bodega.connect().invalidate(tags=["model:fraud"])  # doctest: +SKIP
        >>> print(purge.wait(timeout="30s").applied)  # doctest: +SKIP

    In a coroutine: ``await purge``.

    Attributes:
        id: What it is asked about by; where there were more than 1,000 selectors, that of the last part.
        ids: Those of all parts, in order: edges apply them in order.
        latest: How far it had come when it was last asked about.
    """

    def __init__(self, connection: Connection, begun: PurgeProgress, ids: tuple[str, ...] = ()) -> None:
        """Keep what was answered."""
        self._connection = connection
        self.latest = begun
        self.id = begun.id
        self.ids = ids or (begun.id,)

    def progress(self) -> PurgeProgress:
        """Ask how far it has come.

        Raises:
            ControlNotFound: If nobody answers.
            ControlRefused: If it is not known any more.
        """
        return self._look(0)

    def wait(self, timeout: float | str | timedelta | None = None) -> PurgeProgress:
        """Wait until every edge that is here has applied it.

        Args:
            timeout: Seconds, or a duration (``"30s"``); by default as long as it takes.

        Raises:
            PurgeUnfinished: If that took too long; it goes on.
            ControlNotFound: If nobody answers.
        """
        for progress in self._steps(timeout, _SLICE_SECONDS):
            if progress.is_complete:
                return progress
        raise self._unfinished(timeout)

    def follow(self, timeout: float | str | timedelta | None = None) -> Iterator[PurgeProgress]:
        """Yield how far it has come, some times a second, until every edge that is here has it.

        Raises:
            PurgeUnfinished: If that took too long.
        """
        for progress in self._steps(timeout, _LOOK_SECONDS):
            yield progress
            if progress.is_complete:
                return
        raise self._unfinished(timeout)

    def __await__(self) -> Generator[Any, None, PurgeProgress]:
        """Wait, with the loop free for others."""
        return self._awaited().__await__()

    def __repr__(self) -> str:
        """Say which one it is."""
        return f"<Purge {self.id} at {self.latest.position}>"

    async def _awaited(self) -> PurgeProgress:
        while not (progress := await asyncio.to_thread(self._look, _SLICE_SECONDS)).is_complete:
            pass
        return progress

    def _steps(self, timeout: float | str | timedelta | None, slice_seconds: float) -> Iterator[PurgeProgress]:
        ends = None if timeout is None else time.monotonic() + _seconds(timeout)
        while True:
            left = slice_seconds if ends is None else min(slice_seconds, max(0.0, ends - time.monotonic()))
            yield self._look(left)
            if ends is not None and time.monotonic() >= ends:
                return

    def _look(self, wait_seconds: float) -> PurgeProgress:
        path = f"/v1/invalidations/{quote(self.id, safe='')}?wait={wait_seconds:.3f}"
        self.latest = read(PurgeProgress, self._connection.ask("GET", path, again=True, wait=wait_seconds))
        return self.latest

    def _unfinished(self, timeout: object) -> PurgeUnfinished:
        waiting = self.latest.waiting
        more = f" and {len(waiting) - _MOST_NAMED} more" if len(waiting) > _MOST_NAMED else ""
        written = f"{timeout:g} s" if isinstance(timeout, int | float) else str(timeout)
        return PurgeUnfinished(
            f"{len(waiting)} of {self.latest.n_edges} edges had not applied it after {written}: "
            f"{', '.join(waiting[:_MOST_NAMED])}{more}",
            purge_id=self.id,
            waiting=waiting,
            hint=f"it is in the journal, and reaches them: `bodega purge --status {self.id} --wait`",
        )


class DirectPurge:
    """An invalidation that edges were told one by one: done, once there is a handle of it.

    Attributes:
        id: Empty: no journal has it.
    """

    id = ""

    def __init__(self, selectors: tuple[str, ...], applied: Mapping[str, float], *, soft: bool, time_ms: int) -> None:
        """Keep what was done."""
        self._progress = PurgeProgress(
            "", 0, time_ms, "", selectors, soft=soft, applied=dict(applied), is_complete=True
        )

    def progress(self) -> PurgeProgress:
        """Return how far it has come: everywhere."""
        return self._progress

    def wait(self, timeout: float | str | timedelta | None = None) -> PurgeProgress:  # noqa: ARG002 - There is nothing to wait for.
        """Return the same."""
        return self._progress

    def __await__(self) -> Generator[Any, None, PurgeProgress]:
        """Return the same."""
        yield from ()
        return self._progress


def _seconds(timeout: float | str | timedelta) -> float:
    return float(timeout) if isinstance(timeout, int | float) else parse_duration(timeout)
