"""Keeps a disk busy until it is ended: reads and writes of 1 MiB at random places, past the page cache.

`python -m benchmarks.store.disk_load FILE MEBIBYTES` uses a file of that size, which it makes.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
import threading
from pathlib import Path

_BYTES = 1 << 20
N_READERS = 4
N_WRITERS = 4


def main(path: Path, n_mebibytes: int) -> None:
    """Read and write until the process is ended."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
    block = _block()
    for number in range(n_mebibytes):
        os.pwritev(file, [block], number * _BYTES)
    print("ready", flush=True)
    threads = [threading.Thread(target=_read, args=(file, n_mebibytes)) for _ in range(N_READERS)]
    threads += [threading.Thread(target=_write, args=(file, n_mebibytes)) for _ in range(N_WRITERS)]
    for thread in threads:
        thread.start()


def _read(file: int, n_mebibytes: int) -> None:
    block, chance = _block(), random.Random()
    while True:
        os.preadv(file, [block], chance.randrange(n_mebibytes) * _BYTES)


def _write(file: int, n_mebibytes: int) -> None:
    block, chance = _block(), random.Random()
    while True:
        os.pwritev(file, [block], chance.randrange(n_mebibytes) * _BYTES)


def _block() -> mmap.mmap:
    """Memory as such calls want it: it begins where a page does."""
    block = mmap.mmap(-1, _BYTES)
    block.write(os.urandom(_BYTES))
    return block


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
