"""The lock beside a journal's file: one process appends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from bodega.errors import JournalError, JournalLocked

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class Lock:
    """A lock that ends with the process that holds it.

    Raises:
        JournalLocked: If another process holds it.
        JournalError: If the system refuses the file.
    """

    def __init__(self, journal: Path) -> None:
        """Take it."""
        path = journal.with_name(f"{journal.name}.lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            written = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            pid = int(written) if written.isdecimal() else None
            owner = f"process {pid}" if pid is not None else "another process"
            raise JournalLocked(
                f"{journal} is in use by {owner}", pid=pid, hint="stop it first, or use another file"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give it back. May be called again."""
        if self._file >= 0:
            # The file stays: whoever removed it could take it from somebody who has just opened it.
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.release()
