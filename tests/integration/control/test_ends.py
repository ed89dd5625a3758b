"""Processes that end in the midst of it: the control process under load, and an edge between two events."""

from __future__ import annotations

import random
import signal
import threading
import time

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess
from tests.integration.control.edges import (
    HOST,
    Follow,
    command,
    follow,
    following,
    get,
    is_hit,
    level,
    origin,
    publish,
    purge,
    serves,
    start_again,
    stop,
    token,
)
from tests.integration.edge.conftest import EdgeCommand, Origin, wait_until

__all__ = ["command", "follow", "origin", "token"]


@pytest.fixture(autouse=True)
def kept_an_hour(origin: Origin) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"


class Load:
    """Clients who ask edges without a pause: for what is stored, and for what is not."""

    def __init__(self, edges: list[EdgeCommand], n: int = 2) -> None:
        self.statuses: list[int | str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(edge, i)) for edge in edges for i in range(n)]
        for thread in self._threads:
            thread.start()

    def end(self) -> list[int | str]:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        return self.statuses

    def _ask(self, edge: EdgeCommand, number: int) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            n = 0
            while not self._over.is_set():
                n += 1
                path = "/a" if n % 5 else f"/other/{number}/{n}"
                try:
                    self.statuses.append(client.get(f"{edge.url}{path}", headers=HOST).status_code)
                except httpx.HTTPError as error:
                    self.statuses.append(str(error))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_edges_serve_without_one_failed_request_while_the_control_process_is_restarted(
    control: ControlProcess, origin: Origin, follow: Follow, end: int
) -> None:
    with control.client() as client:
        publish(client, origin)
    both = [follow(name) for name in ("tokyo-1", "paris-1")]
    for edge in both:
        wait_until(serves(edge))
    load = Load(both)
    try:
        for _ in range(2):
            control.end(end)
            wait_until(lambda: all(following(edge)["is_cut"] for edge in both))
            n = len(load.statuses)
            wait_until(lambda n=n: len(load.statuses) > n + 50)  # type: ignore[misc]
            with start_again(control) as client:
                wait_until(level(client, "tokyo-1", "paris-1"))
                said = purge(client)
                done = client.get(f"/v1/invalidations/{said['id']}", params={"wait": 30}).json()
                assert sorted(done["applied"]) == ["paris-1", "tokyo-1"]
    finally:
        statuses = load.end()
    assert set(statuses) == {200}
    for edge in both:
        assert edge.has_said("following")


def test_an_edge_that_is_killed_between_two_events_loses_none(
    control: ControlProcess, client: httpx.Client, origin: Origin, follow: Follow
) -> None:
    publish(client, origin)
    chance = random.Random(7)
    edge = follow("tokyo-1")
    n_pages = 60
    with httpx.Client(base_url=edge.url, headers=HOST, trust_env=False) as visitor:
        for n in range(n_pages):
            assert visitor.get(f"/{n}").status_code == 200
            # What is asked for twice is kept on the disk.
            assert "; hit" in visitor.get(f"/{n}").headers["cache-status"]

    def purge_all() -> None:
        with control.client() as busy:
            for n in range(n_pages):
                noise = [f"tag:{n}-{i}" for i in range(200)]
                answer = busy.post("/v1/invalidations", json={"selectors": [*noise, f"https://shop.test/{n}"]})
                assert answer.status_code == 202

    purging = threading.Thread(target=purge_all)
    purging.start()
    try:
        for _ in range(3):
            time.sleep(chance.uniform(0.05, 0.4))
            stop(edge, signal.SIGKILL)
            edge = follow("tokyo-1")
    finally:
        purging.join(60)
    wait_until(level(client, "tokyo-1"))
    assert [n for n in range(n_pages) if is_hit(edge, f"/{n}")] == []
    assert following(edge)["behind"] == 0
    assert get(edge, "/0").startswith("200")
