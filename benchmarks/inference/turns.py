"""Turns: each server is asked for a while, the others being paused, round by round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import load, process_tree
from benchmarks.failure import MeasurementFailed
from benchmarks.inference.served import Served
from benchmarks.load import Load
from benchmarks.setting import Setting

_SETTLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did in one round.

    Attributes:
        cpu_microseconds: CPU time per request, user and system, of all its processes.
        n_requests: How many there were.
        server_busy: Share of the time that the server was running.
        load_busy: Share of the time that the load was running.
        latencies: 1,001 quantiles in microseconds, where they were asked for.
    """

    cpu_microseconds: float
    n_requests: int
    server_busy: float
    load_busy: float
    latencies: Sequence[float]

    def quantile(self, part: float) -> float:
        """Return a quantile, in microseconds."""
        return self.latencies[round(part * (len(self.latencies) - 1))]

    def record(self) -> dict[str, Any]:
        """Return it for a file of results."""
        said = {
            "cpu_microseconds": self.cpu_microseconds,
            "n_requests": self.n_requests,
            "server_busy": self.server_busy,
            "load_busy": self.load_busy,
        }
        if self.latencies:
            said |= {f"p{100 * part:g}_microseconds": self.quantile(part) for part in (0.5, 0.9, 0.99, 0.999)}
        return said


@dataclass(frozen=True, slots=True)
class Series:
    """The turns of all servers in one measurement."""

    turns: dict[str, list[Turn]]

    def medians(self, what: Callable[[Turn], float]) -> dict[str, float]:
        """Return the median over turns of something, for each server."""
        return {name: statistics.median(map(what, turns)) for name, turns in self.turns.items()}

    def cpu(self) -> dict[str, float]:
        """Return the median CPU time per request of each server, in microseconds."""
        return self.medians(lambda turn: turn.cpu_microseconds)

    def quantiles(self, part: float) -> dict[str, float]:
        """Return the median over turns of a quantile of latencies, in microseconds."""
        return self.medians(lambda turn: turn.quantile(part))

    def record(self) -> dict[str, Any]:
        """Return all of it for a file of results."""
        said: dict[str, Any] = {"cpu_microseconds_median": self.cpu()}
        if all(turn.latencies for turns in self.turns.values() for turn in turns):
            said["p50_microseconds_median"] = self.quantiles(0.5)
            said["p99_microseconds_median"] = self.quantiles(0.99)
        return said | {"turns": {name: [turn.record() for turn in turns] for name, turns in self.turns.items()}}


def measure(
    setting: Setting, servers: Sequence[Served], make_load: Callable[[Served], Load], *, n_rounds: int, seconds: float
) -> Series:
    """Let each server have its turn, round by round."""
    series = Series({each.name: [] for each in servers})
    for _ in range(n_rounds):
        for each in servers:
            each.instance.process.resume()
            # Its threads wake up once to find nothing to do.
            time.sleep(_SETTLE_SECONDS)
            series.turns[each.name].append(turn(setting, each, make_load(each), seconds=seconds))
            each.instance.process.pause()
    return series


def turn(setting: Setting, each: Served, what: Load, *, seconds: float) -> Turn:
    """Ask one server for a while.

    Raises:
        MeasurementFailed: If it answers wrongly, or not at all.
    """
    cpu_before = process_tree.cpu_seconds(each.instance.process.tree())
    try:
        count = load.run(each.instance.place, what, cores=setting.cores, seconds=seconds)
    except MeasurementFailed as failure:
        raise MeasurementFailed(f"{each.name}: {failure}") from failure
    cpu_seconds = process_tree.cpu_seconds_since(cpu_before, each.instance.process.tree())
    return Turn(
        cpu_microseconds=cpu_seconds / count.n_requests * 1e6,
        n_requests=count.n_requests,
        server_busy=cpu_seconds / count.seconds,
        load_busy=count.cpu_seconds / count.seconds,
        latencies=tuple(count.latencies),
    )
