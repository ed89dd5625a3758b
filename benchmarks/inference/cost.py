"""CPU time per prediction under saturation, and how long one takes when nothing else is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import comparison
from benchmarks.figure import Figure
from benchmarks.inference import turns
from benchmarks.inference.loads import NewRows
from benchmarks.inference.peers import MOSEC
from benchmarks.inference.served import Reference, Served
from benchmarks.inference.turns import Series
from benchmarks.load import Load
from benchmarks.progress import say
from benchmarks.setting import Setting


@dataclass(frozen=True, slots=True)
class Case:
    """One load.

    Attributes:
        name: What it is called.
        model: Which model is asked.
        is_mixed: Whether nine rows in ten come again.
        n_connections: How many requests are under way at once.
        bar: What bodega's CPU time may be at most, as a multiple of mosec's; none where latency is judged.
    """

    name: str
    model: str
    is_mixed: bool
    n_connections: int
    bar: float | None


CASES: Sequence[Case] = (
    Case("trees, distinct rows, 64 connections", "trees", False, 64, 0.47),
    Case("trees, 90 % repeated, 64 connections", "trees", True, 64, 0.42),
    Case("network, distinct rows, 64 connections", "network", False, 64, 0.50),
)

ALONE = Case("trees, distinct rows, 1 connection", "trees", False, 1, None)
"""Measured with the peers' batching off: there is nothing to wait for."""


def measure(setting: Setting, servers: Sequence[Served], case: Case, rows: NewRows, reference: Reference) -> Series:
    """Measure all servers in turns, and check answers before and after.

    Raises:
        MeasurementFailed: If one of them is wrong.
    """
    say(case.name)
    for each in servers:
        each.check(reference, rows.take())
        # Warm, and whatever comes again is there.
        turns.turn(setting, each, _load(each, case, rows), seconds=setting.seconds / 2)
        each.instance.process.pause()
    series = turns.measure(
        setting,
        servers,
        lambda each: _load(each, case, rows),
        n_rounds=setting.n_rounds,
        seconds=setting.seconds,
    )
    for each in servers:
        each.check(reference, rows.take())
        each.instance.process.pause()
    return series


def figure(case: Case, series: Series) -> Figure:
    """Compare bodega with mosec, or at one connection its median with the best one's."""
    if case.bar is not None:
        return comparison.ratio(f"{case.name}: CPU", case.bar, series.cpu(), "us", to=MOSEC)
    return comparison.ratio(f"{case.name}: p50", 1.0, series.quantiles(0.5), "us")


def _load(each: Served, case: Case, rows: NewRows) -> Load:
    if case.is_mixed:
        return rows.mixed(each, case.n_connections)
    return rows.distinct(each, case.n_connections, timed=case.bar is None)
