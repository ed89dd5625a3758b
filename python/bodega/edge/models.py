"""The models of a running edge: what is loaded, and one version in place of another."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A model that is loaded on an edge, or was unloaded.

    Attributes:
        origin: The origin's name in the configuration.
        name: What it is called.
        version: Its version; empty where nothing is loaded.
        default: Whether it answers where no version is named.
        state: ``"ready"`` or ``"unloaded"``.
        set_over: Whether that was set while the edge runs, over its configuration.
        path: Its file.
        digest: The SHA-256 of the file.
        bytes: The length of the file.
        loaded_at: When it was loaded, in seconds since 1970.
        batched: Whether rows share runs.
        mixing: Whether rows could share runs by the graph, and do not: in a batch they did not come out
            as alone, or that could not be tried.
        runs: How often it has run.
        rows: For how many rows.
        restarts: How often its process was started again, if it has one.
        process_bytes: What that process has in memory; None if it has none, or none that runs.
        trial_bytes: The most memory of the process in which it was tried; None if it has a process of its own.
    """

    origin: str
    name: str
    version: str
    default: bool
    state: str
    set_over: bool
    path: str
    digest: str
    bytes: int
    loaded_at: int
    batched: bool
    mixing: bool
    runs: int
    rows: int
    restarts: int
    process_bytes: int | None
    trial_bytes: int | None

    @property
    def loaded(self) -> datetime | None:
        """When it was loaded."""
        return datetime.fromtimestamp(self.loaded_at, UTC) if self.loaded_at else None

    @classmethod
    def all_from_json(cls, text: str) -> list[Self]:
        """Read what an edge says."""
        known = {each.name for each in fields(cls)}
        return [cls(**{name: each[name] for name in known}) for each in json.loads(text)]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSwap:
    """What became of a model.

    Attributes:
        model: Its name.
        version: The version that answers from now on; None if none does.
        before: The version that answered until now; None if none did, or it is the same.
        drained: Whether that had answered all that it was asked before its time was over.
    """

    model: str
    version: str | None
    before: str | None
    drained: bool

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what an edge says."""
        said: dict[str, Any] = json.loads(text)
        return cls(model=said["model"], version=said["version"], before=said["before"], drained=said["drained"])

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)
