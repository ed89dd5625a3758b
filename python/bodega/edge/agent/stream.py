"""Reads what a control process answers: whole, or line by line, never more than there is room for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import http.client

LONGEST_LINE = 32 << 20
LONGEST_ANSWER = 16 << 20
_PIECE = 64 << 10
_WHOLE_SECONDS = 60.0
"""One that comes byte by byte is never silent, and never whole: for a line, or an answer, that is long enough."""


def read_lines(answer: http.client.HTTPResponse, *, longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """Yield lines, each with its end.

    Raises:
        ValueError: If one is too long.
        TimeoutError: If one does not come to its end.
        ConnectionError: If there are no more.
        OSError: If they break off.
        http.client.HTTPException: If they break off.
    """
    held = bytearray()
    searched = 0
    began = time.monotonic()
    while piece := answer.read1(_PIECE):
        if not held:
            began = time.monotonic()
        held += piece
        while (end := held.find(b"\n", searched)) >= 0:
            line = bytes(held[: end + 1])
            del held[: end + 1]
            searched = 0
            yield line
            began = time.monotonic()
        searched = len(held)
        if searched > longest:
            raise ValueError(f"a line of more than {longest >> 20} MiB")
        if time.monotonic() - began > _WHOLE_SECONDS:
            raise TimeoutError("a line does not come to its end")
    raise ConnectionError("the stream has ended")


def read_all(answer: http.client.HTTPResponse, *, longest: int = LONGEST_ANSWER) -> bytes:
    """Return a whole answer.

    Raises:
        ValueError: If it is too long.
        TimeoutError: If it does not come to its end.
        OSError: If it breaks off.
        http.client.HTTPException: If it breaks off.
    """
    held = bytearray()
    ends = time.monotonic() + _WHOLE_SECONDS
    while piece := answer.read(_PIECE):
        held += piece
        if len(held) > longest:
            raise ValueError(f"an answer of more than {longest >> 20} MiB")
        if time.monotonic() > ends:
            raise TimeoutError("an answer does not come to its end")
    return bytes(held)
