"""Consecutive events as they are sent: encoded once, for all followers. One line of JSON each."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.journal import Event, Place

CONTENT_TYPE = "application/x-ndjson"
MOST_CHARACTERS = 3 << 20
"""The longest batch. Edges take 16 MiB and 10,000 events, and a character has up to four bytes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A line with events.

    Attributes:
        after: The position before its first event.
        place: Of its last.
        line: The line, with its end.
    """

    after: int
    place: Place
    line: bytes

    @property
    def last(self) -> int:
        """The position of its last event."""
        return self.place.position


def encode_batch(head: Place, events: Sequence[Event]) -> Batch:
    """Encode at least one event, and as many as go into `MOST_CHARACTERS`.

    Args:
        head: Of the journal, for identity and epoch.
        events: Consecutive ones. Configurations are named, and fetched apart: who follows gets the one for it only.
    """
    encoded: list[str] = []
    n_characters = 0
    for event in events:
        text = _event(event)
        n_characters += len(text)
        if encoded and n_characters > MOST_CHARACTERS:
            break
        encoded.append(text)
    after, last = events[0].position - 1, events[len(encoded) - 1]
    line = (
        f'{{"kind":"batch","journal":"{head.journal}","epoch":"{head.epoch}","after":{after},'
        f'"events":[{",".join(encoded)}],"chain":"{last.chain.hex()}"}}\n'
    )
    return Batch(after, replace(head, position=last.position, chain=last.chain), line.encode())


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


def _event(event: Event) -> str:
    data = event.text
    if event.type in ("configuration.published", "token.created"):
        shown = shown_data(event)
        shown.pop("text", None)
        data = _dump(shown)
    # What it says is JSON already: it is put in as it is. The chain of each is for whoever has to stop in the midst.
    return (
        f'{{"position":{event.position},"time_ms":{event.time_ms},"type":"{event.type}","version":{event.version},'
        f'"unless_known":"{event.unless_known}","by":{_dump(event.by)},"data":{data},"chain":"{event.chain.hex()}"}}'
    )


def _dump(said: object) -> str:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _line(said: dict[str, object]) -> bytes:
    return _dump(said).encode() + b"\n"
