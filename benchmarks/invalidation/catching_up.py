"""A real edge that was away for 100,000 events: how soon is it level?"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.invalidation import fleet
from benchmarks.progress import say
from benchmarks.setting import Setting
from bodega.journal import SqliteJournal
from bodega.protocol.events import InvalidationRequested
from bodega.testing import Network, Relay

N_EVENTS = 100_000
_AT_ONCE = 1000
_BYTES_OF_BATCHES = 100_000
_BAR_SECONDS = 2.0


def measure(setting: Setting) -> dict[str, Any]:
    """Cut it off, append while the control process is down, and let it come back."""
    times = []
    with fleet.control(setting.folders.files / "catching-up") as control, Network() as network:
        relay = network.relay(control.address)
        with fleet.real_edges(control, [relay.url]):
            for turn in range(5 if setting.is_long else 3):
                fleet.wait_level(control, 1)
                relay.refuse()
                relay.cut()
                control.end()
                say(f"appending {N_EVENTS:,} events")
                with SqliteJournal(control.journal) as journal:
                    for first in range(0, N_EVENTS, _AT_ONCE):
                        events = [_event(turn, first + index) for index in range(_AT_ONCE)]
                        journal.append(events).result()
                control.start()
                relay.accept()
                began = _stream_began(relay)
                # Asked so that the control process answers when it is so: who asks all the time would be what it does.
                while not control.ask("GET", f"/v1/invalidations/{_id(turn, N_EVENTS - 1)}?wait=30")["applied"]:
                    time.sleep(0.05)
                times.append(time.monotonic() - began)
                say(f"level after {times[-1]:.2f} s")
    return {"n_events": N_EVENTS, "seconds": [round(each, 3) for each in times]}


def figures(measured: dict[str, Any]) -> list[Figure]:
    """Judge the median."""
    seconds = measured["seconds"]
    detail = f"({len(seconds)} times, {min(seconds):.2f} to {max(seconds):.2f} s)"
    return [Figure("level after 100,000 events away", statistics.median(seconds), _BAR_SECONDS, "s", detail)]


def _stream_began(relay: Relay) -> float:
    """Wait for batches to come, and return when the connection that they come on was taken.

    When the edge looks for the control process again is a matter of its waits, and its heartbeats may come before.
    """
    deadline = time.monotonic() + 60
    n_connections, taken = relay.n_connections, time.monotonic()
    before = relay.n_bytes("back")
    while relay.n_bytes("back") < before + _BYTES_OF_BATCHES:
        if relay.n_connections != n_connections:
            n_connections, taken = relay.n_connections, time.monotonic()
        if time.monotonic() > deadline:
            raise MeasurementFailed("the edge does not come back")
        time.sleep(0.002)
    return taken


def _event(turn: int, number: int) -> Any:
    said = InvalidationRequested(id=_id(turn, number), selectors=(f"tag:product-{number}",))
    return said.event(by="deploy")


def _id(turn: int, number: int) -> str:
    return f"{turn:04x}{number:012x}"
