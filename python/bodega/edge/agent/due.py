"""When an edge is to say how far it is: at once after something was applied, and now and then in any case.

Two threads say it, so that what was applied does not wait for the answer to something said before: far away that is
longer than all the rest of a purge.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class Due:
    """Lets one of those who wait go on when it is time.

    Args:
        clock: Seconds that only go on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing due, and everything said."""
        self._clock = clock
        self._changed = threading.Condition()
        self._is_woken = False
        self._is_held = False
        self._is_over = False
        self._said_at = clock()

    def wake(self) -> None:
        """There is something to say."""
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def end(self) -> None:
        """Let everybody go who waits, now and later."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def wait(self, every_seconds: Callable[[], float]) -> bool:
        """Wait until it is time to say something; whether that is as there is something new.

        Args:
            every_seconds: How long it may be that nothing is said.
        """
        with self._changed:
            while not self._is_over:
                now = self._clock()
                if self._is_woken and not self._is_held:
                    self._is_woken, self._said_at = False, now
                    return True
                left = self._said_at + every_seconds() - now
                if left <= 0:
                    self._said_at = now
                    return False
                self._changed.wait(left)
        return False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let what is new meanwhile be said along with what is said at the end of the block."""
        with self._changed:
            self._is_held = True
        try:
            yield
        finally:
            with self._changed:
                self._is_held = self._is_woken = False
