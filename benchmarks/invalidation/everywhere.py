"""A purge to 50 followers, each behind a line with a delay of its own: when has it been applied everywhere?"""

from __future__ import annotations

import contextlib
import statistics
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.figure import Figure
from benchmarks.invalidation import fleet
from benchmarks.progress import say
from benchmarks.setting import Setting
from bodega.testing import Network

N_REAL = 16
N_LIGHT = 34
LEAST_DELAY_SECONDS = 0.005
MOST_DELAY_SECONDS = 0.150
_EVERY_SECONDS = 0.5
_BAR_MEDIAN_MS = 20.0
_BAR_P99_MS = 100.0


@dataclass(frozen=True, slots=True)
class Purge:
    """One purge.

    Attributes:
        beyond_ms: Of each follower, the time from the call until it had applied it, less its one-way delay.
    """

    beyond_ms: dict[str, float]

    @property
    def everywhere_ms(self) -> float:
        """That of the last one."""
        return max(self.beyond_ms.values())


def measure(setting: Setting) -> dict[str, Any]:
    """Purge again and again."""
    n_purges = 400 if setting.is_long else 100
    delays = [
        LEAST_DELAY_SECONDS + (MOST_DELAY_SECONDS - LEAST_DELAY_SECONDS) * index / (N_REAL + N_LIGHT - 1)
        for index in range(N_REAL + N_LIGHT)
    ]
    # Real ones with all kinds of delays.
    is_real = [index * N_REAL // len(delays) != (index - 1) * N_REAL // len(delays) for index in range(len(delays))]
    real = [delay for delay, taken in zip(delays, is_real, strict=True) if taken]
    light = [delay for delay, taken in zip(delays, is_real, strict=True) if not taken]
    say(f"starting {len(real)} real edges and {len(light)} light followers behind relays")
    with contextlib.ExitStack() as stack:
        control = stack.enter_context(fleet.control(setting.folders.files / "everywhere"))
        network = stack.enter_context(Network())
        urls = [network.relay(control.address, delay_seconds=delay).url for delay in (*real, *light)]
        stack.enter_context(fleet.real_edges(control, urls[: len(real)]))
        followers = fleet.LightFollowers(control.folder, control.token, urls[len(real) :], len(light))
        stack.callback(followers.end)
        fleet.wait_level(control, len(delays))
        followers.ask()
        say(f"purging {n_purges} times")
        names = {f"real-{index}": delay for index, delay in enumerate(real)}
        purges = []
        for index in range(n_purges):
            began, began_ms = time.monotonic(), time.time() * 1000
            said = control.ask("POST", "/v1/invalidations", {"selectors": [f"tag:product-{index}"]})
            time.sleep(max(0.0, began + _EVERY_SECONDS - time.monotonic()))
            report = control.ask("GET", f"/v1/invalidations/{said['id']}?wait=30")
            # What the control process knows is a way back later. It counts from when it began to write the purge,
            # before its sync, by the clock of this same machine.
            until_written_ms = max(0.0, said["time_ms"] - began_ms)
            beyond = {name: until_written_ms + report["applied"][name] - 2000 * delay for name, delay in names.items()}
            got = followers.ask()["got"]
            for number, delay in enumerate(light):
                at = min(at for who, position, at in got if who == number and position >= said["position"])
                beyond[f"light-{number}"] = (at - began - delay) * 1000
            purges.append(Purge(beyond))
    return {
        "n_real": len(real),
        "n_light": len(light),
        "one_way_delays_ms": {
            **{f"real-{index}": 1000 * delay for index, delay in enumerate(real)},
            **{f"light-{index}": 1000 * delay for index, delay in enumerate(light)},
        },
        "everywhere_beyond_delay_ms": [round(purge.everywhere_ms, 2) for purge in purges],
        "beyond_delay_ms": {
            name: [round(purge.beyond_ms[name], 2) for purge in purges] for name in purges[0].beyond_ms
        },
    }


def figures(measured: dict[str, Any]) -> list[Figure]:
    """Judge the median and the 99th of a hundred."""
    each = measured["everywhere_beyond_delay_ms"]
    detail = f"({len(each)} purges, {measured['n_real']} real edges, {measured['n_light']} light followers)"
    p99 = statistics.quantiles(each, n=100)[98]
    return [
        Figure("applied everywhere, beyond one way: median", statistics.median(each), _BAR_MEDIAN_MS, "ms", detail),
        Figure("applied everywhere, beyond one way: p99", p99, _BAR_P99_MS, "ms", detail),
    ]
