"""A disk that fails or is slow when a test says so, under one directory of one process.

The process loads `unwell_disk.c` before the C library: calls on files below the directory then end with an error, or
take their time, as long as the test wants.
"""

from __future__ import annotations

import mmap
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

SOURCE = Path(__file__).with_suffix(".c")
KINDS = ("read", "write", "sync", "open", "send")
"""Reading; writing; bringing to the disk; opening to write, renaming and the like; `sendfile`."""

_NUMBER = struct.Struct("=i")
_N_FAILED = len(KINDS) + 1
_N_SLOW = _N_FAILED + len(KINDS)
_N_NUMBERS = _N_SLOW + len(KINDS)


def compile_library(folder: Path) -> Path:
    """Compile what the process loads.

    Args:
        folder: Where to put it.

    Returns:
        The library.
    """
    library = folder / "unwell_disk.so"
    # cargo has linked the edge with the same program.
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class UnwellDisk:
    """The switch of a disk; well at first.

    Attributes:
        folder: The directory.
    """

    def __init__(self, folder: Path, library: Path, switch: Path) -> None:
        """Make the page that is shared with the process.

        Args:
            folder: The directory whose disk is meant.
            library: What `compile_library` made.
            switch: A file for the page.
        """
        self.folder = folder
        self._library = library
        self._switch = switch
        switch.write_bytes(bytes(_N_NUMBERS * _NUMBER.size))
        with switch.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _N_NUMBERS * _NUMBER.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._page.close()

    @property
    def command(self) -> list[str]:
        """What runs bodega with this disk."""
        settings = {
            "LD_PRELOAD": self._library,
            "BODEGA_TEST_DISK": self.folder,
            "BODEGA_TEST_DISK_SWITCH": self._switch,
        }
        return ["env", *(f"{name}={value}" for name, value in settings.items()), sys.executable, "-m", "bodega"]

    @contextmanager
    def failing(self, **errors: int) -> Iterator[None]:
        """Fail calls of some kinds with these errors meanwhile."""
        assert set(errors) <= set(KINDS)
        for kind, error in errors.items():
            self._set(KINDS.index(kind), error)
        try:
            yield
        finally:
            for kind in errors:
                self._set(KINDS.index(kind), 0)

    @contextmanager
    def slow(self, milliseconds: int) -> Iterator[None]:
        """Let every call take this long meanwhile."""
        self._set(len(KINDS), milliseconds)
        try:
            yield
        finally:
            self._set(len(KINDS), 0)

    def n_failed(self, kind: str) -> int:
        """Return how many calls of a kind were made to fail so far."""
        return self._get(_N_FAILED + KINDS.index(kind))

    def n_slow(self, kind: str) -> int:
        """Return how many calls of a kind were made to take their time so far."""
        return self._get(_N_SLOW + KINDS.index(kind))

    def _set(self, place: int, number: int) -> None:
        _NUMBER.pack_into(self._page, place * _NUMBER.size, number)

    def _get(self, place: int) -> int:
        return int(_NUMBER.unpack_from(self._page, place * _NUMBER.size)[0])
