"""The control process killed and started again while clients ask edges: do requests fail, and who is back when?"""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figure import Figure
from benchmarks.invalidation import fleet
from benchmarks.progress import say
from benchmarks.setting import Setting
from bodega.testing import Answer, Origin

N_EDGES = 4
_AWAY_SECONDS = 4.0
_BAR_BACK_SECONDS = 10.0
_CONFIGURATION = """
[origins]
site = "{url}"

[distributions.shop]
hosts = ["shop.test"]
behaviors = [{{ origin = "site", policy = "web" }}]
"""


def measure(setting: Setting) -> dict[str, Any]:
    """Kill it three times."""
    n_restarts = 5 if setting.is_long else 3
    failed: list[str] = []
    n_answers = 0
    ending = threading.Event()
    back = []
    with contextlib.ExitStack() as stack:
        answer = Answer(b"hello", headers={"Cache-Control": "max-age=1"})
        origin = stack.enter_context(Origin({"*": answer}))
        control = stack.enter_context(fleet.control(setting.folders.files / "restart"))
        control.ask("POST", "/v1/configurations", {"text": _CONFIGURATION.format(url=origin.url)})
        edges = stack.enter_context(fleet.real_edges(control, [control.url] * N_EDGES))
        fleet.wait_level(control, N_EDGES)

        def ask(url: str) -> None:
            nonlocal n_answers
            address = urlsplit(url)
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
            while not ending.is_set():
                try:
                    connection.request("GET", "/a", headers={"Host": "shop.test"})
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != 200:
                        failed.append(f"{answer.status}")
                except (OSError, http.client.HTTPException) as error:
                    failed.append(repr(error))
                    connection.close()
                n_answers += 1
                time.sleep(0.002)
            connection.close()

        threads = [threading.Thread(target=ask, args=(edge.url,), daemon=True) for edge in edges]
        for thread in threads:
            thread.start()
        for _ in range(n_restarts):
            control.end(signal.SIGKILL)
            time.sleep(_AWAY_SECONDS)
            control.start()
            began = time.monotonic()
            fleet.wait_level(control, N_EDGES)
            back.append(time.monotonic() - began)
            say(f"all {N_EDGES} edges were back after {back[-1]:.2f} s")
        ending.set()
        for thread in threads:
            thread.join()
    return {
        "n_edges": N_EDGES,
        "n_restarts": n_restarts,
        "away_seconds": _AWAY_SECONDS,
        "n_answers": n_answers,
        "failed": failed[:20],
        "n_failed": len(failed),
        "back_seconds": [round(each, 2) for each in back],
    }


def figures(measured: dict[str, Any]) -> list[Figure]:
    """Judge the requests that failed, and when the last edge was back."""
    asked = f"({measured['n_answers']:,} requests, {measured['n_restarts']} restarts of {_AWAY_SECONDS:g} s)"
    slowest = max(measured["back_seconds"])
    return [
        Figure("control killed under load: requests that failed", measured["n_failed"], 0, "requests", asked),
        Figure("control killed under load: last edge back", slowest, _BAR_BACK_SECONDS, "s", "after it listened"),
    ]
