"""The objects that are asked for: their sizes, their paths, and what their bytes are.

A path is the folder of the size and a key of twelve digits. An object of 1 KiB starts with its own path, so that an
answer to another key shows; larger ones are the same for every key of a size.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from benchmarks.exchange import Answer

SIZES: Mapping[str, int] = {"1k": 1 << 10, "16k": 16 << 10, "100k": 100 << 10, "1m": 1 << 20, "10m": 10 << 20}
"""Folder of a size, and its bytes."""

FOLDERS_WITH_PATHS = frozenset({"1k"})
"""Where each object begins with its own path."""

PAD = "bodega." * 144
"""What follows the path in an object of 1 KiB."""


def path(folder: str, key: int) -> str:
    """Return the path of one object."""
    return f"/{folder}/{key:012d}"


def body(asked: str) -> bytes:
    """Return the bytes that belong to a path."""
    folder = asked.split("/")[1]
    return (asked + PAD).encode() if folder in FOLDERS_WITH_PATHS else _CONTENTS[folder]


def is_right(asked: str, answer: Answer) -> bool:
    """Whether an answer is the whole object that this path has."""
    return answer.status == 200 and answer.body == body(asked)


def write(folder: Path) -> None:
    """Write the objects that an origin serves from files."""
    folder.mkdir()
    for name, content in _CONTENTS.items():
        (folder / name).write_bytes(content)


_CONTENTS = {
    name: random.Random(name).randbytes(size) for name, size in SIZES.items() if name not in FOLDERS_WITH_PATHS
}
