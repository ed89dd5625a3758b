"""What a prediction from memory costs beside an object of 1 KiB from the memory of the same edge."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.exchange import Connection
from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.inference import turns
from benchmarks.inference.loads import NewRows
from benchmarks.inference.served import Served
from benchmarks.inference.turns import Series
from benchmarks.load import Load
from benchmarks.objects import is_right, path
from benchmarks.origin.fast import FastOrigin
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.subjects import BODEGA

PREDICTION = "a prediction from memory"
OBJECT = "1 KiB from memory"

_BAR = 1.5
_N_CONNECTIONS = 64


def measure(setting: Setting, servers: Sequence[Served], origin: FastOrigin, rows: NewRows) -> Series:
    """Ask bodega for the one and the other in turns.

    Raises:
        MeasurementFailed: If the object is answered wrongly, or comes from the origin.
    """
    each = next((each for each in servers if each.name == BODEGA), None)
    if each is None:
        return Series({})
    say(f"{PREDICTION}, and {OBJECT}")
    loads = {
        PREDICTION: rows.same(each, _N_CONNECTIONS),
        OBJECT: Load("1k", "same:0", _N_CONNECTIONS, is_awake=True),
    }
    each.instance.process.resume()
    for _ in range(5):
        with Connection(each.instance.port) as connection:
            if not is_right(path("1k", 0), connection.ask(path("1k", 0))):
                raise MeasurementFailed(f"bodega answers {path('1k', 0)} wrongly")
    n_before = origin.n_requests()
    series = Series({name: [] for name in loads})
    for n_round in range(setting.n_rounds + 1):
        for name, what in loads.items():
            turn = turns.turn(setting, each, what, seconds=setting.seconds)
            # The first one warms.
            if n_round > 0:
                series.turns[name].append(turn)
    if (n_origin := origin.n_requests() - n_before) > 0:
        raise MeasurementFailed(f"{n_origin} requests for {path('1k', 0)} were no hits")
    each.instance.process.pause()
    return series


def figure(series: Series) -> Figure:
    """Judge."""
    if not series.turns:
        return Figure(f"{PREDICTION}: CPU", None, _BAR, f"x {OBJECT}", "")
    cost = series.cpu()
    # Turn by turn, since the two were measured one right after the other.
    pairs = zip(series.turns[PREDICTION], series.turns[OBJECT], strict=True)
    value = statistics.median(one.cpu_microseconds / other.cpu_microseconds for one, other in pairs)
    detail = f"({cost[PREDICTION]:.3g} and {cost[OBJECT]:.3g} us)"
    return Figure(f"{PREDICTION}: CPU", value, _BAR, f"x {OBJECT}", detail)
