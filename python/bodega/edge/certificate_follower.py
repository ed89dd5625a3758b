"""Puts certificates in force whose files have changed: whoever renews them need not tell the edge."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Literal

from bodega.errors import BodegaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodega.edge.running import RunningEdge

_EVERY_SECONDS = 60.0
_TELL_EVERY_SECONDS = 86_400.0


class CertificateFollower:
    """Looks at the files now and then, and has those read that are others than they were."""

    def __init__(self, running: RunningEdge, say: Callable[[Literal["note", "warning", "error"], str], None]) -> None:
        """Begin to follow.

        Args:
            running: Shows the certificates.
            say: Is told what happens, in sentences.
        """
        self._running = running
        self._say = say
        self._looked_at = self._told_at = time.monotonic()

    def tell(self) -> None:
        """Tell what clients will not like about the certificates."""
        self._told_at = time.monotonic()
        with contextlib.suppress(BodegaError):
            for finding in self._running.certificate_findings():
                self._say("warning", f"{finding.what}; {finding.hint}" if finding.hint else finding.what)

    def follow(self) -> None:
        """Reload if it is time to look and something has changed; what cannot be used is told once.

        What is about to expire because nobody renews it is told once a day.
        """
        now = time.monotonic()
        if now - self._looked_at < _EVERY_SECONDS:
            return
        self._looked_at = now
        if now - self._told_at >= _TELL_EVERY_SECONDS:
            self.tell()
        if not self._running.certificates_changed():
            return
        try:
            self._running.reload_certificates()
        except BodegaError as error:
            self._say("error", f"certificates not reloaded, those of before stay in force: {error}")
        else:
            self._say("note", "certificates have changed and are in force")
            self.tell()
