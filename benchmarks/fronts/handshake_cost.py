"""CPU time per connection by TLS that is made, asked once for 1 KiB, and closed: full handshakes and resumed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import comparison, rounds
from benchmarks.figure import Figure
from benchmarks.fronts.hit_cost import warm
from benchmarks.instances import Instance
from benchmarks.load import Front, Load
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.rounds import Series
from benchmarks.setting import Setting

N_AT_ONCE = 16
_BAR = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """One figure.

    Attributes:
        name: Which handshakes.
        handshakes: What the load calls them.
    """

    name: str
    handshakes: str


CASES: Sequence[Case] = (
    Case("full handshake, TLS 1.3", "full"),
    Case("resumed handshake, TLS 1.3", "resumed"),
    Case("full handshake, TLS 1.2", "full-1.2"),
    Case("resumed handshake, TLS 1.2", "resumed-1.2"),
)


def measure(setting: Setting, instances: Sequence[Instance], origin: FastOrigin, case: Case) -> Series:
    """Measure all servers in turns."""
    say(case.name)
    what = Load(
        "1k",
        "same:0",
        n_connections=N_AT_ONCE,
        is_awake=True,
        front=Front.HTTP1_TLS,
        handshakes=case.handshakes,
    )
    warm(setting, instances, what)
    return rounds.measure_hits(setting, instances, origin, what)


def figure(case: Case, series: Series) -> Figure:
    """Compare bodega with the best other server."""
    return comparison.ratio(case.name, _BAR, series.medians(), "us")
