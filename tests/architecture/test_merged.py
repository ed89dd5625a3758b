"""What was merged was merged to its end."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKER = re.compile(rb"^(<{7}|>{7}|\|{7}) ", re.MULTILINE)
MADE = {"target", "dist", "build", "corpus", "artifacts", "__pycache__"}


def files() -> Iterator[Path]:
    """What people have written: not what is built, or installed."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE and (name == ".ci" or not name.startswith("."))]
        yield from (Path(folder, name) for name in names if not name.endswith((".so", ".png")))


def test_no_file_holds_what_a_merge_leaves_where_it_needs_a_hand() -> None:
    found = list(files())
    assert len(found) > 500
    assert [file for file in found if MARKER.search(file.read_bytes())] == []
