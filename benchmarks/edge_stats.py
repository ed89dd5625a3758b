"""What a running edge tells of itself: `/stats` of its admin listener."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.exchange import Connection
from benchmarks.failure import MeasurementFailed
from benchmarks.subjects import Place

_WAIT_SECONDS = 60.0


def read(place: Place) -> dict[str, Any]:
    """Return what the edge at a place says."""
    with Connection(place.admin_port) as connection:
        told: dict[str, Any] = json.loads(connection.ask("/stats").body)
    return told


def n_hits(place: Place, level: str) -> int:
    """Return how many requests were answered from memory (`l1`) or disk (`l2`): `cdn_request_latency_seconds_count`."""
    return int(read(place)["latency"][level]["count"])


def wait(place: Place, what: str, is_so: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the edge's disk is as it should be.

    Raises:
        MeasurementFailed: If it does not come to that.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    disk = None
    while time.monotonic() < deadline:
        # It listens for clients first.
        with contextlib.suppress(ConnectionRefusedError):
            if is_so(disk := read(place)["disk"]):
                return
        time.sleep(0.05)
    raise MeasurementFailed(f"bodega's disk has not {what} in {_WAIT_SECONDS:g} s: {disk}")
