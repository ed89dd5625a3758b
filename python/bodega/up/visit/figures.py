"""Compares a visit with the mission: four figures, each `reached` or `short` on this visit."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodega.up.visit.exchange import Exchange

FROM_CACHE = frozenset({"hit", "stale", "collapsed"})
"""Outcomes that asked nothing of the origin for themselves. A revalidation asks, even if little comes back."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its bar.

    Attributes:
        name: What was measured.
        value: The value in `unit`; None where this visit could not measure it.
        unit: ``%`` or ``ms``.
        bar: What is to be reached, in words.
        is_reached: Whether it is; None where it was not measured.
        how: How it was measured.
    """

    name: str
    value: float | None
    unit: str
    bar: str
    is_reached: bool | None
    how: str

    @property
    def verdict(self) -> str:
        """``reached``, ``short`` or ``not measured``."""
        return "not measured" if self.is_reached is None else "reached" if self.is_reached else "short"

    @property
    def text(self) -> str:
        """The value with its unit."""
        return "-" if self.value is None else f"{self.value:.1f} {self.unit}"


def figures(by_step: Mapping[str, Sequence[Exchange]], *, origin_bytes: int, distance: bool) -> list[Figure]:
    """Compute the mission's table.

    Args:
        by_step: What the visit saw.
        origin_bytes: Bytes of bodies that the origins sent during the visit.
        distance: Whether far places were far.
    """
    everything = [exchange for exchanges in by_step.values() for exchange in exchanges]
    return [
        _hit_rate(everything),
        _p99_of_hits(by_step.get("crowd", [])),
        _round_trip(by_step.get("cold", []), distance=distance),
        _bytes_saved(everything, origin_bytes),
    ]


def _hit_rate(exchanges: Sequence[Exchange]) -> Figure:
    counted = [exchange for exchange in exchanges if exchange.outcome != "none"]
    n_hits = sum(exchange.outcome in FROM_CACHE for exchange in counted)
    value = 100 * n_hits / len(counted) if counted else None
    how = f"{n_hits} of {len(counted)} requests of the whole visit, pages that are never kept included"
    return Figure("hit rate", value, "%", "> 80 %", None if value is None else value > 80, how)


def _p99_of_hits(exchanges: Sequence[Exchange]) -> Figure:
    times = [1000 * exchange.seconds for exchange in exchanges if exchange.outcome in ("hit", "stale")]
    value = quantiles(times, n=100)[98] if len(times) > 1 else None
    how = f"from asking to the last byte, as {len(times)} clients saw it in the crowd"
    return Figure("p99 of edge hits", value, "ms", "< 50 ms", None if value is None else value < 50, how)


def _round_trip(exchanges: Sequence[Exchange], *, distance: bool) -> Figure:
    times = [1000 * each.first_byte_seconds for each in exchanges if each.place.is_far and each.outcome == "miss"]
    value = median(times) if times and distance else None
    how = f"median to the first byte of {len(times)} first requests in the places that are far away"
    return Figure("origin round trip", value, "ms", "200-500 ms", None if value is None else 200 <= value <= 500, how)


def _bytes_saved(exchanges: Sequence[Exchange], origin_bytes: int) -> Figure:
    n_bytes = sum(exchange.n_bytes for exchange in exchanges)
    value = 100 * (1 - origin_bytes / n_bytes) if n_bytes else None
    how = f"clients got {n_bytes / 1e6:.0f} MB, the origins sent {origin_bytes / 1e6:.0f} MB, the model included"
    return Figure("origin bytes saved", value, "%", "70-90 %", None if value is None else value >= 70, how)
