"""Cuts at random places, by a seed."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.system.cuts.world import Edge, World

from bodega.testing import End
from bodega.testing.passage import Way

KINDS = {
    "line closed": 16,
    "line reset": 16,
    "line cut in the midst": 16,
    "line half-open": 20,
    "line refused": 8,
    "edge killed": 14,
    "control killed": 7,
    "journal restored": 3,
}
"""What is cut, and how often among a hundred."""


class Cutter:
    """Cuts one thing after another, while others are still recovering.

    Args:
        world: What is cut.
        seed: Of what is cut when.
        pause_seconds: Between two cuts, on average.
    """

    def __init__(self, world: World, seed: int, *, pause_seconds: float) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._pause_seconds = pause_seconds
        self._busy = {edge.name: threading.Lock() for edge in world.edges}
        self._control = threading.Lock()
        self._under_way: list[threading.Thread] = []
        self.problems: list[str] = []
        self.done: Counter[str] = Counter()

    def run(self, n: int, until_seconds: float = float("inf")) -> None:
        """Make so many cuts, or as many as the time allows, and wait until what was begun has ended."""
        ends = time.monotonic() + until_seconds
        self._world.back_up()
        # Each kind once at least, then as it comes.
        kinds = [*KINDS, *self._chance.choices(list(KINDS), list(KINDS.values()), k=max(0, n - len(KINDS)))][:n]
        self._chance.shuffle(kinds)
        for kind in kinds:
            if time.monotonic() > ends or self.problems:
                break
            if self._chance.random() < 0.1 and self._control.acquire(blocking=False):
                try:
                    self._world.back_up()
                finally:
                    self._control.release()
            self._cut(kind)
            time.sleep(self._chance.uniform(0, 2 * self._pause_seconds))
        for thread in self._under_way:
            thread.join()

    def _cut(self, kind: str) -> None:
        self.done[kind] += 1
        edge = self._chance.choice(self._world.edges)
        relay = edge.relay
        way: Way = self._chance.choice(("there", "back"))
        seconds = self._chance.choice((self._chance.uniform(0, 1), self._chance.uniform(0, 6)))
        match kind:
            case "line closed":
                relay.cut(End.FIN)
            case "line reset":
                relay.cut(End.RESET)
            case "line cut in the midst":
                relay.cut(End.RESET, after_bytes=self._chance.randint(1, 3000), way=way)
            case "line half-open":
                both = self._chance.random() < 0.5
                relay.stall("both" if both else way)
                self._later(lambda: self._over(seconds, relay.resume))
            case "line refused":
                relay.refuse()
                relay.cut(End.RESET)
                self._later(lambda: self._over(min(seconds, 2.0), relay.accept))
            case "edge killed":
                self._later(lambda: self._kill(edge, self._chance.uniform(0, 0.5)))
            case "control killed":
                self._later(lambda: self._with_control(lambda: self._world.kill_control(seconds / 6)))
            case "journal restored":
                self._later(lambda: self._with_control(self._world.restore))

    def _kill(self, edge: Edge, away_seconds: float) -> None:
        with self._busy[edge.name]:
            edge.kill(away_seconds)

    def _with_control(self, work: Callable[[], None]) -> None:
        with self._control:
            work()

    @staticmethod
    def _over(seconds: float, work: Callable[[], None]) -> None:
        time.sleep(seconds)
        work()

    def _later(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - It would be heard of nowhere.
                self.problems.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded, daemon=True)
        self._under_way.append(thread)
        thread.start()
