"""Figures that compare bodega with other servers measured in the same run."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.figure import Figure
from benchmarks.subjects import BODEGA


def ratio(name: str, bar: float, measured: Mapping[str, float], unit: str, *, to: str | None = None) -> Figure:
    """Divide bodega's value by that of the best other server, or of one that is named.

    Args:
        name: Name of the figure.
        bar: What the ratio may be at most.
        measured: Value of each server; less is better.
        unit: Unit of the values.
        to: The server to compare with; the best if none.
    """
    peers = {peer: value for peer, value in measured.items() if peer != BODEGA and (to is None or peer == to)}
    best = min(peers, key=lambda peer: peers[peer], default=None)
    value = measured[BODEGA] / peers[best] if best is not None and BODEGA in measured else None
    return Figure(name, value, bar, f"x {best or to or 'best'}", shown(measured, unit))


def shown(measured: Mapping[str, float], unit: str) -> str:
    """Return all values on one line, the best first."""
    ordered = sorted(measured, key=lambda name: measured[name])
    return "(" + ", ".join(f"{name} {measured[name]:.4g}" for name in ordered) + f" {unit})"
