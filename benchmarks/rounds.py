"""CPU time per request of several servers, in rounds: each server has its turn while the others are paused.

What a turn claims is checked: a hit reaches no origin, a miss reaches it once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import load, process_tree
from benchmarks.exchange import Connection
from benchmarks.failure import MeasurementFailed
from benchmarks.instances import Instance
from benchmarks.load import Front, Load
from benchmarks.objects import is_right, path
from benchmarks.origin.fast import FastOrigin
from benchmarks.setting import Setting

_SETTLE_SECONDS = 0.05

TOLERATED_SHARE = 0.001
"""So many requests may be other than they should.

HAProxy's keys have 32 bits, so that a few of 100,000 objects displace each other; and a request on a connection that
the origin is closing is sent again on another one.
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did in one round.

    Attributes:
        cpu_microseconds: CPU time per request, user and system.
        n_requests: How many there were.
        n_origin_requests: How many of them the origin saw.
        server_busy: Share of the time that the server was running.
        load_busy: Share of the time that the load was running.
        ksoftirqd_microseconds: What the kernel's thread for soft interrupts did on the server's core, per request.
        softirq_microseconds: All soft interrupts on that core, per request; comes on top on kernels with
            IRQ_TIME_ACCOUNTING, and is in `cpu_microseconds` on others.
    """

    cpu_microseconds: float
    n_requests: int
    n_origin_requests: int
    server_busy: float
    load_busy: float
    ksoftirqd_microseconds: float
    softirq_microseconds: float


@dataclass(frozen=True, slots=True)
class Series:
    """The turns of all servers in one measurement."""

    turns: dict[str, list[Turn]]

    def medians(self) -> dict[str, float]:
        """Return the median CPU time per request, in microseconds, of each server."""
        return {name: statistics.median(turn.cpu_microseconds for turn in turns) for name, turns in self.turns.items()}

    def record(self) -> dict[str, Any]:
        """Return all of it for a file of results."""
        return {
            "cpu_microseconds_median": self.medians(),
            "turns": {name: [asdict(turn) for turn in turns] for name, turns in self.turns.items()},
        }


def measure_hits(setting: Setting, instances: Sequence[Instance], origin: FastOrigin, what: Load) -> Series:
    """Measure requests that are answered from the cache.

    Raises:
        MeasurementFailed: If one of them reaches the origin, or is answered wrongly.
    """
    for each in instances:
        check_hit(setting, each, origin, what)

    def turn_ended(name: str, turn: Turn) -> None:
        if turn.n_origin_requests > turn.n_requests * TOLERATED_SHARE:
            raise MeasurementFailed(f"{name}: {turn.n_origin_requests} of {turn.n_requests} were no hits ({what})")

    series = _measure(setting, instances, origin, lambda _: what, turn_ended)
    for each in instances:
        check_hit(setting, each, origin, what)
    return series


def measure_misses(
    setting: Setting, instances: Sequence[Instance], origin: FastOrigin, folder: str, keys: NewKeys
) -> Series:
    """Measure requests for objects that were never asked for before.

    Raises:
        MeasurementFailed: If one of them does not reach the origin, or is answered wrongly.
    """

    def turn_ended(name: str, turn: Turn) -> None:
        if abs(turn.n_origin_requests - turn.n_requests) > turn.n_requests * TOLERATED_SHARE:
            raise MeasurementFailed(f"{name}: {turn.n_requests} misses made {turn.n_origin_requests} origin requests")

    for each in instances:
        _check(each, path(folder, keys.take()))
    return _measure(setting, instances, origin, lambda _: Load(folder, f"from:{keys.take()}"), turn_ended)


class NewKeys:
    """Ranges of keys, none of which was asked for before."""

    _RANGE = 10_000_000

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        """Return the first key of a new range."""
        self._next += self._RANGE
        return self._next


def check_hit(setting: Setting, each: Instance, origin: FastOrigin, what: Load) -> None:
    """Look at every byte of an object that is cached, asked for as the load asks.

    Raises:
        MeasurementFailed: If it is wrong, or comes from the origin.
    """
    each.process.resume()
    before = origin.n_requests()
    if what.front is Front.HTTP1:
        _check(each, path(what.folder, 0))
    else:
        # By TLS it is the load that compares.
        load.run_all(each.place, what, cores=setting.cores, n_requests=what.n_connections)
    if origin.n_requests() != before:
        raise MeasurementFailed(f"{each.name} asked the origin for {path(what.folder, 0)}, which it should have")


def _check(each: Instance, asked: str) -> None:
    each.process.resume()
    with Connection(each.port) as connection:
        answer = connection.ask(asked)
    if not is_right(asked, answer):
        raise MeasurementFailed(f"{each.name} answers {asked} wrongly: {answer.head!r}")


def _measure(
    setting: Setting,
    instances: Sequence[Instance],
    origin: FastOrigin,
    next_load: Callable[[Instance], Load],
    turn_ended: Callable[[str, Turn], None],
) -> Series:
    series = Series({each.name: [] for each in instances})
    pause_all(instances)
    try:
        for _ in range(setting.n_rounds):
            for each in instances:
                each.process.resume()
                # Its threads wake up once to find nothing to do.
                time.sleep(_SETTLE_SECONDS)
                turn = _turn(setting, each, origin, next_load(each))
                each.process.pause()
                turn_ended(each.name, turn)
                series.turns[each.name].append(turn)
    finally:
        for each in instances:
            each.process.resume()
    return series


def pause_all(instances: Sequence[Instance]) -> None:
    """Pause every server."""
    for each in instances:
        each.process.pause()


def _turn(setting: Setting, each: Instance, origin: FastOrigin, what: Load) -> Turn:
    n_origin_before = origin.n_requests()
    ksoftirqd_before = process_tree.ksoftirqd_seconds(setting.cores.server)
    softirq_before = process_tree.core_softirq_seconds(setting.cores.server)
    cpu_before = process_tree.cpu_seconds(each.process.tree())
    count = load.run(each.place, what, cores=setting.cores, seconds=setting.seconds)
    cpu_seconds = process_tree.cpu_seconds_since(cpu_before, each.process.tree())
    ksoftirqd_seconds = process_tree.ksoftirqd_seconds(setting.cores.server) - ksoftirqd_before
    softirq_seconds = process_tree.core_softirq_seconds(setting.cores.server) - softirq_before
    return Turn(
        cpu_microseconds=cpu_seconds / count.n_requests * 1e6,
        n_requests=count.n_requests,
        n_origin_requests=origin.n_requests() - n_origin_before,
        server_busy=cpu_seconds / count.seconds,
        load_busy=count.cpu_seconds / count.seconds,
        ksoftirqd_microseconds=ksoftirqd_seconds / count.n_requests * 1e6,
        softirq_microseconds=softirq_seconds / count.n_requests * 1e6,
    )
