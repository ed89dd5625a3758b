"""What a prediction costs beside other ways to serve a model.

See README.md here for method and competitors.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.inference import cached, cost, equal_rate, levels, models, served
from benchmarks.inference.loads import NewRows
from benchmarks.inference.peers import PEERS, Peer
from benchmarks.inference.questions import row
from benchmarks.inference.served import Reference
from benchmarks.origin.fast import fast_origin
from benchmarks.progress import say
from benchmarks.report import Report
from benchmarks.setting import Setting


def measure(setting: Setting, peers: Sequence[Peer] = PEERS) -> Report:
    """Measure all figures of this question."""
    for peer in peers:
        peer.set_up()
    figures: list[Figure] = []
    measured: dict[str, Any] = {}
    rows = NewRows()
    files = _models(setting.folders.files)
    with fast_origin(setting.folders.files / "origin", setting.cores) as origin:
        for name, file in files.items():
            say(f"starting the servers with {name}")
            reference = _reference(file)
            with served.all_of(setting, peers, file, origin_port=origin.port, label=name) as servers:
                for case in (case for case in cost.CASES if case.model == name):
                    series = cost.measure(setting, servers, case, rows, reference)
                    measured[case.name] = series.record()
                    figures.append(cost.figure(case, series))
                if name != "trees":
                    continue
                hits = cached.measure(setting, servers, origin, rows)
                measured["cached"] = hits.record()
                figures.append(cached.figure(hits))
                for rate in equal_rate.rates(measured[cost.CASES[0].name]["cpu_microseconds_median"]):
                    for n_connections in equal_rate.N_CONNECTIONS:
                        series = equal_rate.measure(setting, servers, rate, n_connections, rows)
                        measured[f"{rate.name} rate, {n_connections} connections"] = {
                            "per_second": rate.per_second,
                            **series.record(),
                        }
                        figures.append(equal_rate.figure(rate, n_connections, series))
        say("starting the servers with trees, batching off")
        with served.all_of(
            setting, peers, files["trees"], origin_port=origin.port, label="alone", is_batching=False
        ) as servers:
            series = cost.measure(setting, servers, cost.ALONE, rows, _reference(files["trees"]))
            measured[cost.ALONE.name] = series.record()
            figures.append(cost.figure(cost.ALONE, series))
        measured["latency_quantiles_microseconds_by_level"] = levels.measure(setting, files, origin.port, rows)
    return Report(
        figures,
        measured,
        method={
            "peers": {peer.name: peer.version() for peer in peers},
            "models": {name: file.stat().st_size for name, file in files.items()},
            "batching": "on at the peers (32 rows, 1 ms), but off at one connection",
            "rates": "requests due at random times, latency from when they were due",
        },
    )


def _models(folder: Path) -> dict[str, Path]:
    files = {name: folder / f"{name}.onnx" for name in ("trees", "network")}
    models.boosted_trees(files["trees"])
    models.layers(files["network"])
    return files


def _reference(model: Path) -> Reference:
    # So that it calls nobody.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options)
    name = session.get_inputs()[0].name

    def predict(key: int) -> float:
        return float(session.run(None, {name: np.asarray([row(key)], np.float32)})[0][0, 0])

    return predict
