"""What TLS and HTTP/2 cost: CPU time per hit and per handshake, and memory per idle connection.

See README.md here for method and competitors.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

from benchmarks import certificate
from benchmarks.figure import Figure
from benchmarks.fronts import handshake_cost, hit_cost, idle
from benchmarks.instances import Instance, instance
from benchmarks.origin.fast import HEAD_BYTES, fast_origin
from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.subjects import MEBIBYTE, Subject

_MEMORY_BYTES = 128 * MEBIBYTE


def measure(setting: Setting) -> Report:
    """Measure all figures of this question, on the servers that speak TLS."""
    figures: list[Figure] = []
    measured: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(fast_origin(setting.folders.files / "origin", setting.cores))
        shown = certificate.make(setting.folders.files / "certificate")

        def start(subject: Subject, label: str) -> AbstractContextManager[Instance]:
            return instance(
                subject,
                label,
                within=setting.folders,
                origin_port=origin.port,
                memory_bytes=_MEMORY_BYTES,
                cores=setting.cores,
                certificate=shown,
            )

        grown = idle.measure(setting, start)
        measured["idle_bytes_per_connection"] = grown
        figures.extend(idle.figures(grown))
        instances = [
            stack.enter_context(start(subject, subject.name)) for subject in setting.subjects if subject.speaks_tls
        ]
        for hit in hit_cost.CASES:
            series = hit_cost.measure(setting, instances, origin, hit)
            measured[hit.name] = series.record()
            figures.append(hit_cost.figure(hit, series))
        for handshake in handshake_cost.CASES:
            series = handshake_cost.measure(setting, instances, origin, handshake)
            measured[handshake.name] = series.record()
            figures.append(handshake_cost.figure(handshake, series))
    return Report(
        figures,
        measured,
        method={
            "memory_bytes": _MEMORY_BYTES,
            "origin_head_bytes_at_1_kib": HEAD_BYTES,
            "tls": "ECDSA P-256, X25519, AES-128-GCM; TLS 1.3 where nothing else is said",
            "connections": {case.name: case.n_connections for case in hit_cost.CASES},
            "streams_per_connection": {case.name: case.n_streams for case in hit_cost.CASES},
            "handshakes_at_once": handshake_cost.N_AT_ONCE,
            "idle_connections": idle.N_CONNECTIONS,
        },
    )
