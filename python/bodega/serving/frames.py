"""What an edge and a worker say to each other, on the worker's side.

The form is written down in `crates/bodega-inference/src/worker/frame.rs`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodega.serving.specs import ELEMENTS

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

HELLO, RUN, ANSWER, ERROR, CLOSE = b"HRAEQ"

_HEAD = struct.Struct("<IBQ")
_COUNTS = struct.Struct("<IH")
_PLACE = struct.Struct("<QQ")
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Column:
    """Where a tensor of all rows is; `axes` are those of a row."""

    element: str
    axes: tuple[int, ...]
    offset: int
    n_bytes: int


def receive(connection: socket.socket) -> tuple[int, int, bytes] | None:
    """Read a frame: its kind, its number and what it says. None at the end; an edge says one thing at a time."""
    data = connection.recv(_READ_BYTES)
    while data:
        if len(data) >= _HEAD.size:
            n_bytes, kind, number = _HEAD.unpack_from(data)
            if len(data) == n_bytes + 4:
                return kind, number, data[_HEAD.size :]
        more = connection.recv(_READ_BYTES)
        if not more:
            return None
        data += more
    return None


def send(connection: socket.socket, kind: int, number: int, payload: bytes) -> None:
    """Write a frame."""
    connection.sendall(_HEAD.pack(len(payload) + _HEAD.size - 4, kind, number) + payload)


def read_columns(payload: bytes) -> tuple[int, list[Column]]:
    """Read how many rows there are, and where their tensors are."""
    n_rows, n_columns = _COUNTS.unpack_from(payload)
    at, columns = _COUNTS.size, []
    for _ in range(n_columns):
        code, n_axes = payload[at], payload[at + 1]
        axes = struct.unpack_from(f"<{n_axes}I", payload, at + 2)
        at += 2 + 4 * n_axes
        columns.append(Column(ELEMENTS[code], axes, *_PLACE.unpack_from(payload, at)))
        at += _PLACE.size
    return n_rows, columns


def write_columns(n_rows: int, columns: Sequence[Column]) -> bytes:
    """Write the same."""
    parts = [_COUNTS.pack(n_rows, len(columns))]
    for column in columns:
        parts.append(bytes((ELEMENTS.index(column.element), len(column.axes))))
        parts.append(struct.pack(f"<{len(column.axes)}I", *column.axes))
        parts.append(_PLACE.pack(column.offset, column.n_bytes))
    return b"".join(parts)
