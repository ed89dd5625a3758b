"""What an edge has done so far, as values and as a table."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bodega.edge.model_stats import ModelStats
from bodega.units import format_duration, format_size, round_size


@dataclass(frozen=True, slots=True)
class LatencyStats:
    """How long requests of one level took, from head received to head sent.

    Attributes:
        count: Requests.
        sum_seconds: All of them together.
        p50_seconds: Half of them took less.
        p99_seconds: 99 of 100 took less.
    """

    count: int
    sum_seconds: float
    p50_seconds: float
    p99_seconds: float

    @property
    def mean_seconds(self) -> float:
        """The mean; 0 where there was none."""
        return self.sum_seconds / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class DiskStats:
    """How the disk tier is.

    Attributes:
        up: Whether it is in use; else memory does alone.
        reason: Why not.
        recovered: Whether everything on disk has been found since the start.
        n_entries: Entries on disk, large ones included.
        n_slices: Slices of large bodies.
        used_bytes: Of the directory.
        capacity_bytes: Its bound.
        queue_bytes: What waits to be written.
        read_bytes: Read since the start.
        written_bytes: Written since the start.
        n_waits: Reads that had to wait for the disk.
        n_dropped: What was not written because too much waited, or the disk failed.
        n_evictions: Entries and slices given up to stay below the bound.
        n_checksum_failures: What was forgotten because its checksum was wrong.
        n_errors: Errors of the system.
    """

    up: bool
    reason: str | None
    recovered: bool
    n_entries: int
    n_slices: int
    used_bytes: int
    capacity_bytes: int
    queue_bytes: int
    read_bytes: int
    written_bytes: int
    n_waits: int
    n_dropped: int
    n_evictions: int
    n_checksum_failures: int
    n_errors: int

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> DiskStats:
        """Read what the native core says."""
        numbers = {
            name: int(said.get(name.removeprefix("n_"), 0))
            for name in cls.__dataclass_fields__
            if name not in ("up", "reason", "recovered")
        }
        return cls(said.get("up", False), said.get("reason"), said.get("recovered", False), **numbers)

    def rows(self) -> list[tuple[str, str]]:
        """Return label and value of each line of the table."""
        entries = "1 entry" if self.n_entries == 1 else f"{self.n_entries:,} entries"
        state = "" if self.recovered else ", still being read after the start"
        line = f"{entries}, {round_size(self.used_bytes)} of {format_size(self.capacity_bytes)}{state}"
        rows = [("disk", line if self.up else f"not in use: {self.reason or 'unknown'}")]
        counts = ((self.n_dropped, "not written"), (self.n_checksum_failures, "damaged"), (self.n_errors, "errors"))
        if troubles := [f"{count:,} {what}" for count, what in counts if count]:
            rows.append(("disk troubles", ", ".join(troubles)))
        return rows


@dataclass(frozen=True, slots=True)
class FollowingStats:
    """How it is between an edge and the control process that it follows.

    Attributes:
        control: Its URL.
        journal: The journal's identity; None before one was joined.
        epoch: The epoch that was in force at the edge's place.
        position: The last event that was applied.
        is_cut: Whether nothing is heard of the control process.
        level_age_seconds: How long ago the edge had applied all that was acknowledged; None if it never had.
        behind: Events that are known to be there and not applied yet; None if that is not known.
        revision: The journal's configuration that is in force.
        problem: What is wrong, in words, or an empty text.
    """

    control: str
    journal: str | None = None
    epoch: str | None = None
    position: int | None = None
    is_cut: bool = False
    level_age_seconds: float | None = None
    behind: int | None = None
    revision: int | None = None
    problem: str = ""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> FollowingStats:
        """Read what the native core says."""
        return cls(**{name: said[name] for name in cls.__dataclass_fields__ if name in said})

    def rows(self) -> list[tuple[str, str]]:
        """Return label and value of each line of the table."""
        return [
            ("follows", f"{self.control}, {self._state()}"),
            (
                "configuration",
                "nothing published yet" if self.revision is None else f"revision {self.revision} from there",
            ),
            *([("problem", self.problem)] if self.problem else []),
        ]

    def _state(self) -> str:
        age = None if self.level_age_seconds is None else format_duration(max(1, round(self.level_age_seconds)))
        if self.is_cut:
            return "cut off, and never level so far" if age is None else f"cut off, level {age} ago"
        if self.position is None:
            return "has joined no journal yet"
        at = f"at position {self.position:,}"
        if self.behind:
            return f"{at}, {self.behind:,} behind" if self.behind > 1 else f"{at}, 1 event behind"
        return f"{at}, not level yet" if age is None else f"{at}, level {age} ago"


@dataclass(frozen=True, slots=True)
class EdgeStats:
    """What an edge has done since it was started.

    Attributes:
        region: Its region.
        name: Its name.
        revision: The configuration in force.
        uptime_seconds: How long it has been running.
        draining: Whether it is about to end.
        connections: Client connections now.
        n_requests: Requests in all.
        by_outcome: Requests by outcome.
        latency: By level: ``l1``, ``l2``, ``miss``, ``none``.
        sent_bytes: To clients.
        received_bytes: From clients.
        from_origin_bytes: From origins.
        n_origin_requests: Requests to origins.
        n_origin_errors: Those that failed.
        by_origin: Requests by origin.
        failing: Origins that are not answering, with the seconds until each is tried again.
        failovers: By group of origins, requests for which another member than the first was asked.
        n_entries: Entries kept.
        used_bytes: Memory in use.
        capacity_bytes: Its bound.
        n_evictions: Entries given up to stay below the bound.
        sequence: The number of the last invalidation.
        disk: The disk tier; None where there is none.
        following: The control process that is followed; None where there is none.
        models: The models that are loaded.
    """

    region: str
    name: str
    revision: int
    uptime_seconds: float
    draining: bool
    connections: int
    n_requests: int
    by_outcome: Mapping[str, int]
    latency: Mapping[str, LatencyStats]
    sent_bytes: int
    received_bytes: int
    from_origin_bytes: int
    n_origin_requests: int
    n_origin_errors: int
    by_origin: Mapping[str, int]
    failing: Mapping[str, float]
    failovers: Mapping[str, int]
    n_entries: int
    used_bytes: int
    capacity_bytes: int
    n_evictions: int
    sequence: int
    disk: DiskStats | None = None
    following: FollowingStats | None = None
    models: Sequence[ModelStats] = ()

    @classmethod
    def from_json(cls, text: str) -> EdgeStats:
        """Read what the native core and the admin listener say.

        The edge may be of another minor version: what this one does not know is left out, and what that one does not
        count is 0 or empty.
        """
        said: dict[str, Any] = json.loads(text)
        levels = {
            level: LatencyStats(
                int(each.get("count", 0)),
                float(each.get("sum_seconds", 0.0)),
                float(each.get("p50_seconds") or 0.0),
                float(each.get("p99_seconds") or 0.0),
            )
            for level, each in said.get("latency", {}).items()
        }
        requests, sizes, origin, store = (said.get(part, {}) for part in ("requests", "bytes", "origin", "store"))
        return cls(
            region=said.get("region", ""),
            name=said.get("name", ""),
            revision=said.get("revision", 0),
            uptime_seconds=said.get("uptime_seconds", 0.0),
            draining=said.get("draining", False),
            connections=said.get("connections", 0),
            n_requests=requests.get("total", 0),
            by_outcome=requests.get("by_outcome", {}),
            latency=levels,
            sent_bytes=sizes.get("sent", 0),
            received_bytes=sizes.get("received", 0),
            from_origin_bytes=sizes.get("from_origin", 0),
            n_origin_requests=origin.get("requests", 0),
            n_origin_errors=origin.get("errors", 0),
            by_origin=origin.get("by_origin", {}),
            failing=origin.get("failing", {}),
            failovers=origin.get("failovers", {}),
            n_entries=store.get("entries", 0),
            used_bytes=store.get("used_bytes", 0),
            capacity_bytes=store.get("capacity_bytes", 0),
            n_evictions=store.get("evictions", 0),
            sequence=said.get("sequence", 0),
            disk=DiskStats.of(said["disk"]) if said.get("disk") else None,
            following=FollowingStats.of(said["following"]) if said.get("following") else None,
            models=tuple(map(ModelStats.of, said.get("models", ()))),
        )

    def count(self, level: str) -> int:
        """Return the requests that were answered at a level: ``l1``, ``l2`` or ``miss``."""
        return self.latency[level].count if level in self.latency else 0

    def share(self, level: str) -> float:
        """Return the share of a level among the requests that asked the cache, 0 to 1; 0 where none did."""
        asked = sum(self.count(each) for each in ("l1", "l2", "miss"))
        return self.count(level) / asked if asked else 0.0

    @property
    def hit_rate(self) -> float:
        """The share of requests answered from the cache, 0 to 1."""
        return self.share("l1") + self.share("l2")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON or a data frame."""
        return {**asdict(self), "hit_rate": self.hit_rate}

    def rows(self) -> list[tuple[str, str]]:
        """Return label and value of each line of the table."""
        rows = [
            ("edge", f"{self.name} in {self.region}" + (", draining" if self.draining else "")),
            ("running for", format_duration(round(self.uptime_seconds))),
            ("requests", f"{self.n_requests:,}"),
            ("hit rate", f"{self.hit_rate:.1%}" if any(map(self.count, ("l1", "l2", "miss"))) else "-"),
        ]
        for level, label in (("l1", "from memory"), ("l2", "from disk"), ("miss", "through the origin")):
            if level in self.latency and self.latency[level].count:
                each = self.latency[level]
                rows.append(
                    (
                        label,
                        f"{each.count:,}   p50 {each.p50_seconds * 1000:.1f} ms   p99 {each.p99_seconds * 1000:.1f} ms",
                    )
                )
        errors = f", {self.n_origin_errors:,} failed" if self.n_origin_errors else ""
        n_failovers = sum(self.failovers.values())
        failovers = f", {n_failovers:,} to another of a group" if n_failovers else ""
        entries = "1 entry" if self.n_entries == 1 else f"{self.n_entries:,} entries"
        rows += [
            ("origin requests", f"{self.n_origin_requests:,}{errors}{failovers}"),
            *([("failing origins", ", ".join(sorted(self.failing)))] if self.failing else []),
            ("bytes", f"{round_size(self.sent_bytes)} sent, {round_size(self.from_origin_bytes)} from origins"),
            ("store", f"{entries}, {round_size(self.used_bytes)} of {format_size(self.capacity_bytes)}"),
            *(self.disk.rows() if self.disk is not None else []),
            *(model.row() for model in self.models),
            ("connections", f"{self.connections:,}"),
            *([("configuration", f"revision {self.revision}")] if self.following is None else []),
            *(self.following.rows() if self.following is not None else []),
        ]
        return rows

    def __str__(self) -> str:
        """Show a table."""
        rows = self.rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th><td>{html.escape(value)}</td></tr>"
            for label, value in self.rows()
        )
        return f"<table>{rows}</table>"
