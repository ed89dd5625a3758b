"""p99 at the same rate for all: below what the slowest carries, and at one that only the fast ones do.

Requests are due at random times (a Poisson process), the same for every server, whatever the answers do; the time of
each counts from when it was due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import comparison
from benchmarks.figure import Figure
from benchmarks.inference import turns
from benchmarks.inference.loads import NewRows
from benchmarks.inference.served import Served
from benchmarks.inference.turns import Series
from benchmarks.progress import say
from benchmarks.setting import Setting

N_CONNECTIONS = (16, 64)

_LOW_SHARE = 0.4
_HIGH_SHARE = 0.7
_HIGHEST_RATE = 10_000
_STEP = 50
_N_ROUNDS = 3
_SECONDS = 3.0
_N_FAST_PEERS = 2


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate, and who is asked at it.

    Attributes:
        name: `low` or `high`.
        per_second: Requests that are due in a second.
        servers: Who carries it.
    """

    name: str
    per_second: int
    servers: Sequence[str]


def rates(cpu_microseconds: Mapping[str, float]) -> list[Rate]:
    """Choose the rates from what a request costs each server when it is saturated.

    The low one takes 0.4 of the slowest one's core; the high one 0.7 of that of the second fastest peer, or less.
    """
    ordered = sorted(cpu_microseconds, key=lambda name: cpu_microseconds[name])
    fast = [name for name in ordered if name != "bodega"][:_N_FAST_PEERS]
    chosen = [Rate("low", _rate(_LOW_SHARE, cpu_microseconds[ordered[-1]]), ordered)]
    if fast:
        high = min(_rate(_HIGH_SHARE, cpu_microseconds[fast[-1]]), _HIGHEST_RATE)
        able = [name for name in ordered if cpu_microseconds[name] <= max(cpu_microseconds[each] for each in fast)]
        chosen.append(Rate("high", high, able))
    return chosen


def measure(setting: Setting, servers: Sequence[Served], rate: Rate, n_connections: int, rows: NewRows) -> Series:
    """Measure those who carry the rate, in turns."""
    say(f"{rate.per_second:,} a second, {n_connections} connections: {', '.join(rate.servers)}")
    able = [each for each in servers if each.name in rate.servers]
    return turns.measure(
        setting,
        able,
        lambda each: rows.distinct(each, n_connections, rate=rate.per_second, timed=True),
        n_rounds=max(_N_ROUNDS, setting.n_rounds // 2),
        seconds=_SECONDS * setting.seconds,
    )


def figure(rate: Rate, n_connections: int, series: Series) -> Figure:
    """Compare bodega with the best peer."""
    name = f"{rate.per_second:,} a second, {n_connections} connections: p99"
    return comparison.ratio(name, 1.0, series.quantiles(0.99), "us")


def _rate(share: float, microseconds: float) -> int:
    return max(_STEP, int(share * 1e6 / microseconds) // _STEP * _STEP)
