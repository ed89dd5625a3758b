"""How long an answer takes by where it comes from, at one connection: for the plot, not judged.

From memory: an object, a prediction. From disk: a prediction that was computed before the edge was started anew. And
computed, by the small model and by the larger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import edge_stats, load
from benchmarks.failure import MeasurementFailed
from benchmarks.inference.loads import NewRows
from benchmarks.inference.served import Served, bodega_place, serve
from benchmarks.load import Load
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.subjects import BODEGA, MEBIBYTE, Place, Subject

_DISK_BYTES = 1024 * MEBIBYTE
_N_ON_DISK = 5_000
_N_ASKED = 5_000


def measure(setting: Setting, models: Mapping[str, Path], origin_port: int, rows: NewRows) -> dict[str, Any]:
    """Return the quantiles of latency by level, in microseconds."""
    subject = next((each for each in setting.subjects if each.name == BODEGA), None)
    if subject is None:
        return {}
    say("latency by level")
    found = {}
    for name, model in models.items():
        with (
            bodega_place(setting, model, origin_port=origin_port, label=f"levels-{name}") as place,
            serve(setting, subject, place) as each,
        ):
            found[f"computed ({name})"] = _asked(setting, each, rows.distinct(each, 1, timed=True))
            if name == "trees":
                found["a prediction from memory"] = _asked(
                    setting, each, replace(rows.same(each, 1), tells_latencies=True)
                )
                found["1 KiB from memory"] = _asked(
                    setting, each, Load("1k", "same:0", 1, is_awake=True, tells_latencies=True)
                )
    found["a prediction from disk"] = _from_disk(setting, subject, models["trees"], rows)
    return found


def _from_disk(setting: Setting, subject: Subject, model: Path, rows: NewRows) -> list[float]:
    with bodega_place(setting, model, origin_port=0, label="levels-disk", disk_bytes=_DISK_BYTES) as place:
        with serve(setting, subject, place) as each:
            what = rows.distinct(each, 16)
            load.run_all(place, what, cores=setting.cores, n_requests=_N_ON_DISK)
            edge_stats.wait(place, "written what it has", lambda disk: disk["queue_bytes"] == 0)
        with serve(setting, subject, place) as each:
            edge_stats.wait(place, "found what it has", lambda disk: bool(disk["recovered"]))
            before = _hits(place)
            counted = load.run_all(
                place,
                replace(what, n_connections=1, tells_latencies=True),
                cores=setting.cores,
                n_requests=_N_ON_DISK,
            )
            if (n_hits := _hits(place) - before) < 0.98 * _N_ON_DISK:
                raise MeasurementFailed(f"of {_N_ON_DISK} predictions {n_hits} came from disk")
            return list(counted.latencies)


def _asked(setting: Setting, each: Served, what: Load) -> list[float]:
    load.run_all(each.instance.place, what, cores=setting.cores, n_requests=_N_ASKED // 5)
    later = replace(what, keys=f"from:{int(what.keys.partition(':')[2]) + _N_ASKED}") if "from" in what.keys else what
    return list(load.run_all(each.instance.place, later, cores=setting.cores, n_requests=_N_ASKED).latencies)


def _hits(place: Place) -> int:
    return edge_stats.n_hits(place, "l2")
