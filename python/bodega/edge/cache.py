"""What an edge keeps: listings, one URL, a check of everything on disk. The same here and by the admin listener."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from bodega.units import Duration, Size, parse_duration, parse_size


class CacheSource(Protocol):
    """Where the answers come from, as JSON."""

    def cache_entries(self, query: str) -> str:
        """Return a page: ``{"entries": [...], "next": cursor}``."""
        ...

    def cache_show(self, url: str) -> str:
        """Return what is kept of a URL."""
        ...

    def begin_cache_check(self) -> None:
        """Begin to check everything on disk."""
        ...

    def cache_check(self) -> str:
        """Return how far that is."""
        ...


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """Something that is kept.

    Attributes:
        url: ``host/path?query`` as the key has it; without the host where it is not in the key.
        distribution: Its distribution.
        key: The key's 32 hexadecimal digits, of this edge alone.
        kind: ``"answer"``, or ``"part"`` of one.
        status: The status code.
        size_bytes: The length of its body.
        tiers: ``"memory"`` and ``"disk"``, where it is there.
        hits: How often it was asked for lately; both tiers count, and forget after a while.
        age_seconds: Since it was generated.
        ttl_seconds: How long it is fresh; negative: since when it is stale.
        invalidated: Whether it has been purged, and only its space is still to be freed.
        tags: Its tags.
        stamp: The number in the edge's sequence of invalidations when the origin was asked for it.
        slices_there: Of a large body on disk, how many slices are there.
        slices_all: And how many there would be; 0 for others.
        fields: Its header fields, where one URL was asked for.
        disk: Where on disk it is, likewise.
    """

    url: str
    distribution: str
    key: str
    kind: str
    status: int
    size_bytes: int
    tiers: tuple[str, ...]
    hits: int
    age_seconds: float
    ttl_seconds: float
    invalidated: bool
    tags: tuple[str, ...]
    stamp: int
    slices_there: int
    slices_all: int
    fields: tuple[tuple[str, str], ...] = ()
    disk: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> CacheEntry:
        """Read what the native core says."""
        slices = said.get("slices") or {}
        return cls(
            url=said["url"],
            distribution=said["distribution"],
            key=said["key"],
            kind=said["kind"],
            status=said["status"],
            size_bytes=said["size_bytes"],
            tiers=tuple(said["tiers"]),
            hits=said["hits"],
            age_seconds=said["age_seconds"],
            ttl_seconds=said["ttl_seconds"],
            invalidated=said["invalidated"],
            tags=tuple(said["tags"]),
            stamp=said["stamp"],
            slices_there=slices.get("there", 0),
            slices_all=slices.get("all", 0),
            fields=tuple((name, value) for name, value in said.get("fields", ())),
            disk=said.get("disk"),
        )

    @property
    def is_fresh(self) -> bool:
        """Whether it may answer without asking the origin."""
        return self.ttl_seconds > 0 and not self.invalidated

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON or a data frame."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CacheCheck:
    """How far a check of everything on disk is, or what it found.

    Attributes:
        is_running: Whether it is under way.
        checked_bytes: What was read so far.
        total_bytes: Of how much.
        n_bad: What had a wrong checksum. It is forgotten, and fetched anew when it is asked for.
        n_records: Answers that were checked, once it is over.
        n_slices: Slices of large bodies that were checked, once it is over.
        is_complete: Whether it came to the end.
    """

    is_running: bool
    checked_bytes: int
    total_bytes: int
    n_bad: int
    n_records: int
    n_slices: int
    is_complete: bool

    @classmethod
    def from_json(cls, text: str) -> CacheCheck:
        """Read what the native core says."""
        said: dict[str, Any] = json.loads(text)
        report = said.get("report") or {}
        return cls(
            is_running=said["running"],
            checked_bytes=report.get("checked_bytes", said["checked_bytes"]),
            total_bytes=said["total_bytes"],
            n_bad=said["bad"],
            n_records=report.get("records", 0),
            n_slices=report.get("slices", 0),
            is_complete=report.get("complete", False),
        )


@dataclass(frozen=True, slots=True)
class EdgeCache:
    """What one edge keeps.

    Attributes:
        source: The edge.
    """

    source: CacheSource

    def ls(self, *, prefix: str | None = None, tag: str | None = None, min_size: Size = "0B") -> Iterator[CacheEntry]:
        """Go through what is kept, page by page, memory first; in no order of interest.

        What comes or goes meanwhile may be missed, or be there twice.

        Args:
            prefix: Only what begins so: ``"https://shop.example.com/images/"``; the scheme does not matter.
            tag: Only what carries this tag.
            min_size: Only bodies of this size or larger.
        """
        wanted = {"prefix": prefix, "tag": tag, "min_bytes": parse_size(min_size) or None}
        query = {name: str(value) for name, value in wanted.items() if value is not None} | {"limit": "1000"}
        cursor: str | None = None
        while True:
            page = json.loads(self.source.cache_entries(urlencode(query | ({"cursor": cursor} if cursor else {}))))
            yield from (CacheEntry.of(each) for each in page["entries"])
            cursor = page["next"]
            if cursor is None:
                return

    def show(self, url: str) -> list[CacheEntry]:
        """Say what is kept of a URL: the answer or each of its variants, and parts.

        Raises:
            ValueError: If it is not a URL, or none that is served here.
        """
        return [CacheEntry.of(each) for each in json.loads(self.source.cache_show(url))["entries"]]

    def verify(
        self, *, timeout: Duration = "24h", progress: Callable[[CacheCheck], None] = lambda _: None
    ) -> CacheCheck:
        """Read everything on disk and compare it with its checksums, at a bounded rate; what is bad is forgotten.

        Args:
            timeout: How long to wait; the check goes on afterwards.
            progress: Called several times a second.

        Raises:
            ValueError: If the edge has no disk.
            TimeoutError: If it takes longer.
        """
        deadline = time.monotonic() + parse_duration(timeout)
        self.source.begin_cache_check()
        while True:
            check = CacheCheck.from_json(self.source.cache_check())
            progress(check)
            if not check.is_running:
                return check
            if time.monotonic() > deadline:
                raise TimeoutError(f"the check takes longer than {timeout}")
            time.sleep(_POLL_SECONDS)


_POLL_SECONDS = 0.2
