"""A history of requests, validations, purges, kills and restarts, at random and at the same time.

No request that began after a purge was acknowledged gets what was there before it. `tests/history.rs` of the crate
`bodega-edge` asks the same of the machine alone, many more times; here the edge is a process that is killed.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.integration.edge.conftest import wait_until
from tests.integration.edge.disk_edge import HOST, admin_of

from bodega.errors import BodegaError
from bodega.testing import Answer, Origin, Received

if TYPE_CHECKING:
    from tests.integration.edge.conftest import EdgeCommand

N_LIVES = int(os.environ.get("BODEGA_TEST_LIVES", "6"))
N_FOLDERS, N_FILES = 3, 4
OBJECTS = range(N_FOLDERS * N_FILES)
# Records in segments, and bodies in slots.
SIZES = (40, 20_000, 400_000, 1_200_000)
# What expires at once is validated all the time; what does not is what a lost purge would bring back.
LIFETIMES = (3600, 1, 1)


def path_of(which: int) -> str:
    """Return the path of an object."""
    return f"/f{which // N_FILES}/o{which % N_FILES}"


def body_of(which: int, version: int) -> bytes:
    """Return an object: nothing but its version."""
    size = SIZES[which % len(SIZES)]
    block = b"%019d\n" % version
    return (block * (size // len(block) + 1))[:size]


@dataclass
class World:
    """What the origin has, and what nobody may see any more."""

    versions: list[int] = field(default_factory=lambda: [0 for _ in OBJECTS])
    floors: list[int] = field(default_factory=lambda: [0 for _ in OBJECTS])
    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    edge: EdgeCommand | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def answer(self, request: Received) -> Answer:
        """Answer as the origin."""
        folder, file = (int(part[1:]) for part in request.target.split("/")[1:])
        which = folder * N_FILES + file
        version = self.versions[which]
        tag = f'"{version}"'
        headers = {
            "Cache-Control": f"max-age={LIFETIMES[folder]}, stale-while-revalidate=0, stale-if-error=0",
            "ETag": tag,
            "Cache-Tag": f"o{which}, f{folder}",
        }
        if request.header("if-none-match") == tag:
            self.count("validated")
            return Answer(status=304, headers=headers)
        return Answer(body_of(which, version), headers=headers)

    def ask(self, client: httpx.Client, which: int) -> None:
        """Ask for an object, and look that it is not older than what was purged before."""
        edge, floor = self.edge, self.floors[which]
        if edge is None:
            time.sleep(0.01)  # Between two lives.
            return
        try:
            answer = client.get(edge.url + path_of(which))
        except httpx.HTTPError:
            # It was killed; what is cut off does not look whole.
            self.count("cut")
            time.sleep(0.01)
            return
        self.count("answered")
        if answer.headers.get("cache-status", "").find("; hit") >= 0:
            self.count("hit")
        shown = answer.content[:19]
        version = int(shown) if shown.isdigit() else -1
        if answer.status_code != 200 or version < floor or answer.content != body_of(which, version):
            self.wrong.append(
                f"{path_of(which)}: {answer.status_code}, version {version}, but {floor} was there; {answer.headers}"
            )

    def purge(self, folder: Path, chance: random.Random) -> None:
        """Change some objects at the origin, mostly, and have the edge forget just these."""
        which = chance.choice(OBJECTS)
        own = which // N_FILES
        of_folder = range(own * N_FILES, (own + 1) * N_FILES)
        selector, reached = chance.choice(
            [
                (f"http://files.test{path_of(which)}", range(which, which + 1)),
                (f"tag:o{which}", range(which, which + 1)),
                (f"tag:f{own}", of_folder),
                (f"prefix:http://files.test/f{own}/", of_folder),
                (f"glob:files.test/f{own}/*", of_folder),
                ("all", OBJECTS),
            ]
        )
        edge = self.edge
        if edge is None:
            time.sleep(0.01)
            return
        new = {}
        # What has not changed is confirmed by the origin.
        has_changed, is_soft = chance.random() < 0.7, chance.random() < 0.25
        if has_changed:
            for each in reached:
                self.versions[each] += 1
                new[each] = self.versions[each]
        try:
            done = admin_of(folder, edge.pid).invalidate([selector], soft=is_soft or not has_changed)
        except (BodegaError, OSError):
            # Killed before it was acknowledged: nobody knows whether it holds.
            self.count("unacknowledged")
            return
        assert done.durable
        self.count("purged")
        for each, version in new.items():
            self.floors[each] = version

    def run_clients(self, seed: int) -> None:
        chance = random.Random(seed)
        with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:
            while not self.over.is_set():
                self.ask(client, chance.choice(OBJECTS))

    def run_purger(self, folder: Path) -> None:
        chance = random.Random(6)
        while not self.over.is_set():
            self.purge(folder, chance)
            time.sleep(chance.uniform(0, 0.05))  # So that something is hit between two.


@pytest.mark.timeout(180)
def test_no_request_after_a_purge_sees_what_was_there_before_through_kills_and_restarts(
    command: Callable[..., EdgeCommand], tmp_path: Path
) -> None:
    world = World()
    chance = random.Random(9)
    with Origin({"*": world.answer}) as origin:
        config = tmp_path / "bodega.toml"
        config.write_text(
            f"""
            [edge]
            listen = "127.0.0.1:0"
            memory = "4MB"
            disk = {{ path = "{tmp_path / "disk"}", size = "64MiB", reserve = "1MB", admission = "always" }}
            [origins]
            files = "{origin.url}"
            [distributions.files]
            hosts = ["*"]
            behaviors = [{{ origin = "files", policy = "web" }}]
            """
        )
        threads = [threading.Thread(target=world.run_clients, args=(seed,)) for seed in range(3)]
        threads.append(threading.Thread(target=world.run_purger, args=(tmp_path,)))
        for thread in threads:
            thread.start()
        try:
            n_from_disk = 0
            for life in range(N_LIVES):
                edge = command(str(config))
                before = Counter(world.counts)
                world.edge = edge
                wait_until(
                    lambda before=before: (
                        (  # type: ignore[misc]
                            world.counts["answered"] >= before["answered"] + 100
                            and world.counts["purged"] >= before["purged"] + 5
                        )
                        or bool(world.wrong)
                    ),
                    60,
                )
                n_from_disk += admin_of(tmp_path, edge.pid).stats().count("l2")
                time.sleep(chance.uniform(0, 0.3))  # The moment is the point.
                # A clean stop now and then: it writes what only memory has, and must not write what was forgotten.
                if life % 4 == 3:
                    edge.process.terminate()
                else:
                    edge.process.kill()
                edge.process.wait(30)
                world.edge = None
                assert not world.wrong, world.wrong[:3]
        finally:
            world.over.set()
            for thread in threads:
                thread.join()
    assert not world.wrong, world.wrong[:3]
    # A history in which little happens says little.
    assert world.counts["hit"] >= N_LIVES, world.counts
    assert world.counts["validated"] > 0, world.counts
    assert n_from_disk >= N_LIVES, world.counts
