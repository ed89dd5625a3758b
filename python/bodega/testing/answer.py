"""What a scripted origin is asked, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, TypeAlias

Piece: TypeAlias = bytes | threading.Event
"""Bytes to send, or an event to wait for before going on."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came.

    Attributes:
        method: As sent.
        target: As sent, with the query.
        version: ``"HTTP/1.1"`` or ``"HTTP/1.0"``.
        headers: Field lines in order, names as sent.
        body: The whole body, decoded from chunks.
        connection: The connection it came on, counted from 1.
    """

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def values(self, name: str) -> list[str]:
        """Return the values of a field, one for each line; names compare without case."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """Return the value of a field, several lines joined with commas; None if it is not there."""
        values = self.values(name)
        return ", ".join(values) if values else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the origin does with a request.

    Example:
        >>> Answer(b"hello", headers={"Cache-Control": "max-age=60"}).status
        200

    Attributes:
        body: Bytes, or pieces of them with events between them that are waited for.
        status: 200 to 599.
        headers: Header fields, a mapping or pairs. A `Content-Length` here is sent as it is.
        framing: ``"length"``, ``"chunked"``, or ``"close"`` for a body that ends with the connection.
        interim: Heads that come before all else: a status, 103 for instance, or one with header fields.
        before: Waited for before the head is sent.
        break_after: Cut the connection after so many bytes of the body.
        close: Say `Connection: close`, and do so.
        raw: Sent in place of everything else, byte for byte; then the connection is closed.
        drop: Close the connection without a byte of an answer.
        reset: Reset the connection without a byte of an answer.
    """

    body: bytes | Sequence[Piece] = b""
    _: KW_ONLY
    status: int = 200
    headers: dict[str, str] | Sequence[tuple[str, str]] = field(default_factory=dict)
    framing: Literal["length", "chunked", "close"] = "length"
    interim: Sequence[int | tuple[int, dict[str, str]]] = ()
    before: threading.Event | None = None
    break_after: int | None = None
    close: bool = False
    raw: bytes | None = None
    drop: bool = False
    reset: bool = False

    @property
    def pieces(self) -> Sequence[Piece]:
        """The body in pieces."""
        return (self.body,) if isinstance(self.body, bytes) else self.body

    @property
    def size_bytes(self) -> int:
        """How long the whole body is."""
        return sum(len(piece) for piece in self.pieces if isinstance(piece, bytes))

    @property
    def interim_heads(self) -> Iterable[tuple[int, dict[str, str]]]:
        """The heads before all else, each with its fields."""
        return ((head, {}) if isinstance(head, int) else head for head in self.interim)

    @property
    def header_pairs(self) -> Iterable[tuple[str, str]]:
        """The header fields as pairs."""
        return self.headers.items() if isinstance(self.headers, dict) else self.headers
