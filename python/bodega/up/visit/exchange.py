"""What a client saw of one request, and what it expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodega.up.places import Place


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer, as the client saw them.

    Attributes:
        place: The edge that was asked.
        path: What was asked for.
        status: Status of the answer.
        outcome: What became of it, read from `Cache-Status`.
        said: `Cache-Status` as it came.
        first_byte_seconds: From asking, a new connection included, to the head of the answer.
        seconds: From asking to the last byte.
        n_bytes: Bytes of the body.
        checksum: CRC-32 of the body.
        body: The body if it is at most 64 KiB, else empty.
        note: What the visitor wanted with it.
    """

    place: Place
    path: str
    status: int
    outcome: str
    said: str
    first_byte_seconds: float
    seconds: float
    n_bytes: int
    checksum: int
    body: bytes = b""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """An expectation.

    Attributes:
        what: What should be so.
        is_met: Whether it was.
        seen: What was seen, for the report.
    """

    what: str
    is_met: bool
    seen: str
