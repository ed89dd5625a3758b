"""Writes the model file that the demonstration serves: 109 MB in the safetensors format.

It is written once, into the user's cache directory, and checked by size afterwards. The weights are pseudo-random and
the same everywhere, so a copy can be compared with what was served.

    +----------------+------------------------+---------------------------------------+
    | header length  | header: JSON, padded   | tensors, in the order of the header   |
    | 8 bytes, LE    | with spaces to 8 bytes | at the `data_offsets` it names        |
    +----------------+------------------------+---------------------------------------+
"""

from __future__ import annotations

import json
import os
import random
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int], None]

_PIECE_BYTES = 1 << 20
_WIDTH = 1024
_N_LAYERS = 8
_VOCABULARY = 4096

DTYPE_BYTES = {"I8": 1, "F16": 2}
"""The two kinds of numbers in the file: quantized weights, and the scale of each row."""


def cached_model_path() -> Path:
    """Return where the file is kept: under ``XDG_CACHE_HOME``, else ``~/.cache``."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "bodega" / "up" / "corner-store-1.safetensors"


def write_model(path: Path, progress: Progress | None = None) -> bool:
    """Write the model file unless it is there already.

    Args:
        path: Where it shall lie; it appears there complete or not at all.
        progress: Called with the bytes written so far and in all.

    Returns:
        Whether it had to be written.
    """
    header = _header()
    size_bytes = model_size_bytes()
    if path.is_file() and path.stat().st_size == size_bytes:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two that start at once write two files, and the later one takes the place of the earlier.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(header)
            n_written = len(header)
            for piece in _weights(size_bytes - len(header)):
                file.write(piece)
                n_written += len(piece)
                if progress is not None:
                    progress(n_written, size_bytes)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def model_size_bytes() -> int:
    """Return the size of the whole file."""
    return len(_header()) + sum(prod(shape) * DTYPE_BYTES[dtype] for _, dtype, shape in _tensors())


def _tensors() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    def quantized(name: str, rows: int, columns: int) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        yield f"{name}.weight", "I8", (rows, columns)
        yield f"{name}.scale", "F16", (rows,)

    yield from quantized("embedding", _VOCABULARY, _WIDTH)
    for layer in range(_N_LAYERS):
        for name in ("query", "key", "value", "output"):
            yield from quantized(f"layers.{layer}.attention.{name}", _WIDTH, _WIDTH)
        yield from quantized(f"layers.{layer}.up", 4 * _WIDTH, _WIDTH)
        yield from quantized(f"layers.{layer}.down", _WIDTH, 4 * _WIDTH)
    yield from quantized("head", _VOCABULARY, _WIDTH)


def _header() -> bytes:
    about = {"format": "pt", "title": "What sells when", "note": "Weights of the demonstration: pseudo-random."}
    entries: dict[str, object] = {"__metadata__": about}
    offset = 0
    for name, dtype, shape in _tensors():
        end = offset + prod(shape) * DTYPE_BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _weights(n_bytes: int) -> Iterator[bytes]:
    rng = random.Random(1)  # noqa: S311 - the same weights everywhere is what is wanted
    # 16 different pieces in changing order: no longer to write than the disk takes, and still nothing to compress away.
    pieces = [rng.randbytes(_PIECE_BYTES) for _ in range(16)]
    while n_bytes > 0:
        piece = rng.choice(pieces)[:n_bytes]
        n_bytes -= len(piece)
        yield piece
