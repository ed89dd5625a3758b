"""Events, and where in a journal somebody is."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bodega.errors import AppendRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

UnlessKnown: TypeAlias = Literal["ignore", "stop", "purge"]
"""What a follower does that does not know an event's type or version: nothing; apply nothing any more and report; count
everything it stored as invalidated."""

MAX_EVENT_BYTES = 1 << 20
"""The longest `data` of an event, as JSON."""

NO_CHAIN = bytes(16)
"""The chain before the first event."""

_MAX_KEY_LENGTH = 200
_QUOTED = json.encoder.encode_basestring_ascii
_TYPE = re.compile(r"[a-z]+(?:_[a-z]+)*(?:\.[a-z]+(?:_[a-z]+)*)+")


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has a position.

    Attributes:
        type: What it is, as ``"invalidation.requested"``.
        data: A JSON object.
        version: Which form `data` has, from 1.
        unless_known: What a follower does that knows no such event.
        by: Who made it: a name, never a secret.
        key: The same event with the same key is appended once.

    Raises:
        AppendRefused: If it is none that a journal takes.
    """

    type: str
    data: Mapping[str, Any]
    version: int = 1
    unless_known: UnlessKnown = "ignore"
    by: str = ""
    key: str | None = None
    text: str = field(init=False, repr=False, compare=False)
    """`data` as canonical JSON."""

    def __post_init__(self) -> None:
        """Refuse what could not be read again."""
        if not _TYPE.fullmatch(self.type):
            raise AppendRefused(f'"{self.type}" is no type of events', hint='write it as "invalidation.requested"')
        if self.version < 1:
            raise AppendRefused(f"{self.version} is no version of {self.type}", hint="versions begin with 1")
        if self.unless_known not in ("ignore", "stop", "purge"):
            raise AppendRefused(f'"{self.unless_known}" is nothing that a follower could do')
        if self.key is not None and not 0 < len(self.key) <= _MAX_KEY_LENGTH:
            raise AppendRefused(f"a key of {len(self.key)} characters", hint=f"use 1 to {_MAX_KEY_LENGTH}")
        try:
            text = json.dumps(
                dict(self.data), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
            )
            n_bytes = len(text.encode())
        except (TypeError, ValueError) as error:
            raise AppendRefused(f"the data of {self.type} are not JSON: {error}") from error
        if n_bytes > MAX_EVENT_BYTES:
            raise AppendRefused(
                f"the data of {self.type} have {n_bytes:,} bytes", hint=f"{MAX_EVENT_BYTES:,} is the most"
            )
        object.__setattr__(self, "text", text)

    def digest(self) -> bytes:
        """Return a hash by which the same event is known again; 16 bytes."""
        return _hash(b"", json.dumps([self.type, self.version, self.unless_known, self.by, self.text]))


@dataclass(frozen=True, slots=True)
class Event:
    """An event in a journal.

    Attributes:
        position: From 1, without a gap.
        time_ms: When it was appended, in milliseconds since 1970, by the clock of the journal's machine.
        type: What it is.
        version: Which form `data` has.
        unless_known: What a follower does that knows no such event.
        by: Who made it.
        text: `data` as canonical JSON.
        chain: A hash over all events up to this one; 16 bytes.
    """

    position: int
    time_ms: int
    type: str
    version: int
    unless_known: UnlessKnown
    by: str
    text: str
    chain: bytes

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        data: dict[str, Any] = json.loads(self.text)
        return data

    def chained(self, before: bytes) -> bytes:
        """Return what its chain has to be after `before`, the chain of the event before it."""
        # What `json.dumps` of these as a list returns, in a third of the time: every event that is read pays for it.
        texts = ", ".join(map(_QUOTED, (self.unless_known, self.by, self.text)))
        return _hash(before, f"[{self.position}, {self.time_ms}, {_QUOTED(self.type)}, {self.version}, {texts}]")

    def to_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "position": self.position,
            "time_ms": self.time_ms,
            "type": self.type,
            "version": self.version,
            "unless_known": self.unless_known,
            "by": self.by,
            "data": self.data,
            "chain": self.chain.hex(),
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a journal somebody is: what has been applied.

    Attributes:
        journal: Its identity; 32 hexadecimal digits.
        epoch: The epoch that was in force; 16 hexadecimal digits.
        position: The last event that was applied; 0 before the first.
        chain: The chain there.
    """

    journal: str
    epoch: str
    position: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Epoch:
    """A stretch of a journal's history between restores.

    Attributes:
        epoch: Its name; 16 hexadecimal digits.
        after: The position after which it began.
        time_ms: When it began.
        reason: Why: ``"begun"`` or ``"restored"``.
    """

    epoch: str
    after: int
    time_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state up to a position.

    Attributes:
        position: The last event in it.
        chain: The chain there.
        time_ms: When it was written.
        state: As its folder wrote it.
    """

    position: int
    chain: bytes
    time_ms: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of an event.

    Attributes:
        position: Where it is.
        is_new: False if it was there already, by its key.
    """

    position: int
    is_new: bool


def _canonical(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _hash(before: bytes, text: str) -> bytes:
    return hashlib.blake2b(before + text.encode(), digest_size=16).digest()
