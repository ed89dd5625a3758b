"""5,000 selectors a second to 1,000 light followers: how late does the last one get them?"""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from benchmarks.figure import Figure
from benchmarks.invalidation import fleet
from benchmarks.progress import say
from benchmarks.setting import Setting

N_FOLLOWERS = 1000
SELECTORS_PER_SECOND = 5000
SELECTORS_IN_A_CALL = 100
_N_SENDERS = 8
_BAR_LATE_SECONDS = 1.0
_BAR_RATE = 1.02


def measure(setting: Setting) -> dict[str, Any]:
    """Send at that rate, whatever the answers do."""
    seconds = 60 if setting.is_long else 20
    say(f"starting {N_FOLLOWERS:,} light followers")
    with fleet.control(setting.folders.files / "sustained") as control:
        followers = fleet.LightFollowers(control.folder, control.token, [control.url], N_FOLLOWERS)
        try:
            fleet.wait_level(control, N_FOLLOWERS)
            followers.ask()
            began = control.cpu_seconds()
            time.sleep(5)
            idle = (control.cpu_seconds() - began) / 5
            followers.ask()
            say(f"sending {SELECTORS_PER_SECOND:,} selectors a second for {seconds} s")
            began = control.cpu_seconds()
            took, answered = _send(control, seconds)
            position = control.ask("GET", "/health")["position"]
            cpu = (control.cpu_seconds() - began) / took
            fleet.wait_level(control, N_FOLLOWERS, position)
            seen = followers.ask()
            known = control.ask("GET", "/v1/edges")
        finally:
            followers.end()
    n = len(answered) * SELECTORS_IN_A_CALL
    answered.sort()
    return {
        "n_followers": N_FOLLOWERS,
        "n_here": sum(each["is_here"] for each in known),
        "selectors": n,
        "seconds": round(took, 3),
        "selectors_per_second": round(n / took),
        "lateness_ms": {name: round(seen[f"{name}_ms"], 1) for name in ("p50", "p99", "max")},
        "events_received": seen["n_events"],
        "batches_received": seen["n_lines"],
        "heartbeats": seen["n_answers"],
        "call_ms": {
            "p50": round(answered[len(answered) // 2] * 1000, 1),
            "p99": round(answered[len(answered) * 99 // 100] * 1000, 1),
        },
        "control_cores": round(cpu, 3),
        "control_cores_idle": round(idle, 3),
        "followers_cores": round(seen["cpu_seconds"] / took, 3),
    }


def figures(measured: dict[str, Any]) -> list[Figure]:
    """Judge the rate, and the latest of all events at all followers."""
    rate = SELECTORS_PER_SECOND / measured["selectors_per_second"]
    late = measured["lateness_ms"]["max"] / 1000
    detail = f"(median {measured['lateness_ms']['p50']:.0f} ms, p99 {measured['lateness_ms']['p99']:.0f} ms; "
    detail += f"control {measured['control_cores']:.2f} of a core)"
    sent = f"({measured['selectors_per_second']:,} a second were sent)"
    return [
        Figure("5,000 selectors a second: latest at any of 1,000 followers", late, _BAR_LATE_SECONDS, "s", detail),
        Figure("5,000 selectors a second: time they took", rate, _BAR_RATE, "s", sent),
    ]


def _send(control: fleet.Control, seconds: float) -> tuple[float, list[float]]:
    """Send at the rate; return how long that took, and how long each call did."""
    calls: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    answered: list[float] = []
    problems: list[BaseException] = []

    def work() -> None:
        connection = control.connection()
        while (call := calls.get()) is not None:
            said = {"selectors": [f"tag:product-{call}-{index}" for index in range(SELECTORS_IN_A_CALL)]}
            began = time.monotonic()
            try:
                fleet.asked(connection, control.token, "POST", "/v1/invalidations", said)
            except Exception as error:  # noqa: BLE001 - Told below.
                problems.append(error)
                return
            answered.append(time.monotonic() - began)
        connection.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(_N_SENDERS)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    every = SELECTORS_IN_A_CALL / SELECTORS_PER_SECOND
    for call in range(round(seconds / every)):
        time.sleep(max(0.0, began + call * every - time.monotonic()))
        calls.put(call)
    for _ in threads:
        calls.put(None)
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return time.monotonic() - began, answered
