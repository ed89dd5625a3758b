"""What a model of an edge has done since it was loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bodega.units import round_size

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ModelStats:
    """A model that is loaded, and how it does.

    Attributes:
        model: Its name.
        version: Its version.
        digest: The SHA-256 of its file.
        file_bytes: The length of its file.
        load_seconds: How long it took to load.
        n_waiting: Rows that wait for a run.
        n_rows: Rows that it has computed; those that were kept are not among them.
        n_runs: Runs, of one row or of several.
        run_seconds: How long they took together.
        rejected: Rows that were not answered, by why: ``queue_full``, ``deadline``.
        failures: Rows that failed, by why: ``model``, ``gone``.
        n_worker_restarts: How often its process was started again; None: it has none.
        worker_memory_bytes: What that process has in memory, while it is there.
        trial_bytes: Where it has none, the most memory of the process in which it was tried.
    """

    model: str
    version: str
    digest: str
    file_bytes: int
    load_seconds: float
    n_waiting: int
    n_rows: int
    n_runs: int
    run_seconds: float
    rejected: Mapping[str, int]
    failures: Mapping[str, int]
    n_worker_restarts: int | None
    worker_memory_bytes: int | None
    trial_bytes: int | None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> ModelStats:
        """Read what the native core says; what it does not count is 0 or empty."""
        return cls(
            model=said.get("model", ""),
            version=said.get("version", ""),
            digest=said.get("digest", ""),
            file_bytes=said.get("file_bytes", 0),
            load_seconds=said.get("load_seconds", 0.0),
            n_waiting=said.get("waiting", 0),
            n_rows=said.get("rows", 0),
            n_runs=said.get("runs", 0),
            run_seconds=said.get("run_seconds", 0.0),
            rejected=said.get("rejected", {}),
            failures=said.get("failures", {}),
            n_worker_restarts=said.get("worker_restarts"),
            worker_memory_bytes=said.get("worker_memory_bytes"),
            trial_bytes=said.get("trial_bytes"),
        )

    def row(self) -> tuple[str, str]:
        """Return label and value of its line of the table."""
        parts = [f"{self.model}@{self.version}, {round_size(self.file_bytes)}"]
        if self.n_runs:
            each = 1000 * self.run_seconds / self.n_runs
            parts.append(f"{self.n_rows:,} computed in {self.n_runs:,} runs of {each:.3g} ms")
        else:
            parts.append("not asked yet")
        counts = (
            (self.n_waiting, "waiting"),
            (sum(self.rejected.values()), "rejected"),
            (sum(self.failures.values()), "failed"),
            (self.n_worker_restarts or 0, "restarts"),
        )
        if self.worker_memory_bytes is not None:
            parts.append(f"{round_size(self.worker_memory_bytes)} in its process")
        parts += [f"{count:,} {what}" for count, what in counts if count]
        return "model", "; ".join(parts)
