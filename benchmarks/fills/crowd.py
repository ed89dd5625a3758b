"""A crowd before one cold object: 1,000 clients ask at once for 10 MiB that a slow origin is only beginning to send.

How many requests reach the origin, and how long after the origin's first byte the last client has its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import comparison, objects
from benchmarks.figure import Figure
from benchmarks.fills.clients import Crowd, ask_at_once
from benchmarks.instances import instance
from benchmarks.origin.slow import BYTES_PER_SECOND, FIRST_BYTE_SECONDS, SlowOrigin, slow_origin
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.subjects import BODEGA, MEBIBYTE, Subject

N_CLIENTS = 1_000
_BAR_SPREAD_MILLISECONDS = 50.0
_MEMORY_BYTES = 256 * MEBIBYTE
_FOLDER = "10m"

METHOD = {
    "crowd": {
        "clients": N_CLIENTS,
        "object_bytes": objects.SIZES[_FOLDER],
        "origin_first_byte_seconds": FIRST_BYTE_SECONDS,
        "origin_bytes_per_second": BYTES_PER_SECOND,
    }
}
"""What a file of results says of this."""


def measure(setting: Setting) -> dict[str, list[Crowd]]:
    """Send crowds to every server: bodega several, which are judged; others one."""
    with slow_origin(setting.folders.files / "slow-origin", setting.cores) as origin:
        return {subject.name: _crowds(setting, subject, origin) for subject in setting.subjects}


def figures(crowds: Mapping[str, Sequence[Crowd]]) -> list[Figure]:
    """Judge bodega's worst count of requests, and its median delay."""
    requests = {name: float(max(each.n_origin_requests for each in found)) for name, found in crowds.items()}
    spreads = {name: statistics.median(each.spread_milliseconds for each in found) for name, found in crowds.items()}
    what = f"{N_CLIENTS:,} clients, one cold 10 MiB object"
    return [
        Figure(f"{what}: origin requests", requests.get(BODEGA), 1.0, "", comparison.shown(requests, "requests")),
        Figure(
            f"{what}: first byte to all",
            spreads.get(BODEGA),
            _BAR_SPREAD_MILLISECONDS,
            "ms",
            comparison.shown(spreads, "ms after the origin's"),
        ),
    ]


def record(crowds: Mapping[str, Sequence[Crowd]]) -> dict[str, Any]:
    """Return all of it for a file of results."""
    return {name: [asdict(each) for each in found] for name, found in crowds.items()}


def _crowds(setting: Setting, subject: Subject, origin: SlowOrigin) -> list[Crowd]:
    say(f"{N_CLIENTS:,} clients, one cold 10 MiB object: {subject.name}")
    n_crowds = 1 if subject.name != BODEGA else 7 if setting.is_long else 3
    found = []
    for index in range(n_crowds):
        with instance(
            subject,
            f"crowd-{subject.name}-{index}",
            within=setting.folders,
            origin_port=origin.port,
            memory_bytes=_MEMORY_BYTES,
            cores=setting.cores,
            n_clients=N_CLIENTS,
        ) as each:
            # A key of its own for every instance, as the origin counts by key.
            key = f"{setting.subjects.index(subject):06d}{index:06d}"
            found.append(ask_at_once(each, origin, f"/{_FOLDER}/{key}", n_clients=N_CLIENTS))
    return found
