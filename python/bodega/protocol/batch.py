"""Consecutive events as they are sent: encoded once, for all followers. One line of JSON each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.journal import Event, Place

CONTENT_TYPE = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Batch:
    """A line with events.

    Attributes:
        after: The position before its first event.
        last: That of its last.
        line: The line, with its end.
    """

    after: int
    last: int
    line: bytes


def encode_batch(head: Place, events: Sequence[Event]) -> Batch:
    """Encode at least one event.

    Args:
        head: Of the journal, for identity and epoch.
        events: Consecutive ones. Configurations are named, and fetched apart: who follows gets the one for it only.
    """
    first, last = events[0], events[-1]
    line = _line(
        {
            "kind": "batch",
            "journal": head.journal,
            "epoch": head.epoch,
            "after": first.position - 1,
            "events": [_event(event) for event in events],
            "chain": last.chain.hex(),
        }
    )
    return Batch(first.position - 1, last.position, line)


def encode_place(kind: str, place: Place, **more: object) -> bytes:
    """Encode a line that says where the journal is: `hello`, `heartbeat`, or `parted` with `why`."""
    said = {"journal": place.journal, "epoch": place.epoch, "position": place.position, "chain": place.chain.hex()}
    return _line({"kind": kind, **said, **more})


def shown_data(event: Event) -> dict[str, Any]:
    """Return what an event says, without hashes of tokens: nobody beyond the control process has to check any."""
    data = event.data
    if event.type == "token.created":
        data.pop("hash", None)
    return data


def _event(event: Event) -> dict[str, object]:
    data = shown_data(event)
    if event.type == "configuration.published":
        data.pop("text", None)
    return {
        "position": event.position,
        "time_ms": event.time_ms,
        "type": event.type,
        "version": event.version,
        "unless_known": event.unless_known,
        "by": event.by,
        "data": data,
        # Whoever has to stop in the midst, for a configuration, says where it is by this.
        "chain": event.chain.hex(),
    }


def _line(said: dict[str, object]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
