"""Remembers what a step was done for, so that it is not done again for the same.

A stamp is a file that holds a digest of everything the step depends on. It lies within what the step made where that
is a folder, so that both are deleted together, and under .tools/stamps otherwise.
Contents are hashed, not times: a checkout or a rebase touches files without changing them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tools.setup.progress import ROOT, TOOLS

FOLDER = TOOLS / "stamps"


def digest(paths: Iterable[Path], *words: str) -> str:
    """Hash some files, the sources under some folders, and some words.

    Args:
        paths: Files or folders; one that is missing counts as such.
        words: Whatever else the step depends on.
    """
    total = hashlib.sha256("\0".join(words).encode())
    for path in paths:
        for file in sorted(_files(path)):
            total.update(f"\0{file.relative_to(ROOT)}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def is_done(stamp: Path, wanted: str) -> bool:
    """Whether the step was done for just this digest."""
    return stamp.is_file() and stamp.read_text() == wanted


def mark_done(stamp: Path, wanted: str) -> None:
    """Remember that the step was done for this digest."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return (file for file in path.rglob("*") if file.is_file() and file.suffix not in {".pyc", ".so"})
