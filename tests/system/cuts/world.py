"""A control process, edges, lines between them, clients and somebody who purges: all real, and all of it can be cut."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from tests.integration.control.conftest import ControlProcess
from tests.system.cuts.history import Answered, Down, Failed, History, Purged, Reached, Restored
from tests.system.cuts.origin import HOST, PATHS, ChangingOrigin, selectors

from bodega.journal import SqliteReader, backup, restore
from bodega.protocol.events import InvalidationRequested
from bodega.testing import Network, Relay, wait_until

if TYPE_CHECKING:
    from bodega.journal import Place

CONFIGURATION = """
[origins]
site = "{origin}"

[distributions.shop]
hosts = ["{host}"]
behaviors = [{{ origin = "site", policy = "web" }}]
"""
SECONDS = 60.0


class Edge:
    """A process with a disk and a line to the control process.

    Attributes:
        name: Its name.
        relay: Its line.
        url: Where it listens now; another one after each start.
    """

    def __init__(self, name: str, relay: Relay, folder: Path, token: Path, history: History, mutation: str) -> None:
        self.name = name
        self.relay = relay
        self.url = ""
        self._folder = folder
        self._history = history
        self._process: subprocess.Popen[str] | None = None
        begin = ["-m", "bodega"] if not mutation else ["-m", "tests.system.cuts.mutations", mutation]
        self._command = [
            *(sys.executable, *begin, "edge", "--json", "--listen", "127.0.0.1:0", "--admin", "off"),
            *("--disk", f"{folder / name}:64MiB", "--memory", "16MB", "--threads", "1"),
            *("--control", relay.url, "--control-token-file", str(token), "--name", name, "--region", "test"),
        ]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("BODEGA_", "AWS_"))}
        with (self._folder / f"{self.name}.err").open("a") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**environment, "BODEGA_RUNTIME_DIR": str(self._folder / "run")},
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.errors()
        self.url = json.loads(line)["listening"][0]

    def kill(self, away_seconds: float) -> None:
        """Kill it, and start it again after a while, with its disk."""
        began = time.monotonic()
        self.end()
        time.sleep(away_seconds)
        self.start()
        self._history.down.append(Down(self.name, began, time.monotonic()))

    def end(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            with self._process:
                self._process.wait(SECONDS)
            self._process = None

    def errors(self) -> str:
        """Return what it has written to standard error."""
        return (self._folder / f"{self.name}.err").read_text()


class World:
    """All of it. Made by `world`."""

    def __init__(self, folder: Path, network: Network, *, n_edges: int, seed: int, mutation: str) -> None:
        self.folder = folder
        self.history = History()
        self.origin = ChangingOrigin()
        self.generation = 0
        self.n_purges = 0
        self._chance = random.Random(seed)
        self._backups: list[tuple[Path, int, Place]] = []
        self._ending = threading.Event()
        self._quiet = threading.Event()
        self._talking = threading.Lock()
        self._problems: list[str] = []
        self._clients: list[httpx.Client] = []
        self.control = ControlProcess(folder)
        self.control.start()
        self._client = self._connected()
        text = CONFIGURATION.format(origin=self.origin.url, host=HOST)
        answer = self._client.post("/v1/configurations", json={"text": text})
        assert answer.status_code == 201, answer.text
        target = self.control.url.removeprefix("http://")
        self.edges = [
            Edge(
                f"edge-{number}",
                network.relay(target, delay_seconds=self._chance.uniform(0, 0.02), seed=seed + number),
                folder,
                self._edges_token(),
                self.history,
                mutation,
            )
            for number in range(n_edges)
        ]
        works: list[Callable[[], None]] = [self._purge, self._poll]
        works += [lambda edge=edge: self._ask(edge) for edge in self.edges]  # type: ignore[misc]
        self._threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in works]

    def start(self) -> None:
        """Begin to purge and to ask."""
        wait_until(lambda: len(self._positions()) == len(self.edges), timeout_seconds=SECONDS)
        for thread in self._threads:
            thread.start()

    def kill_control(self, away_seconds: float) -> None:
        """Kill the control process, and start it again after a while."""
        self.control.end(signal.SIGKILL)
        time.sleep(away_seconds)
        self._start_control()

    def back_up(self) -> None:
        """Keep a copy of the journal as it is."""
        path = self.folder / f"backup-{len(self._backups)}.db"
        self._backups.append((path, self.generation, backup(self.control.journal, path)))

    def restore(self) -> None:
        """Kill the control process, and go on with an older journal."""
        # Mostly one of late, as people do, and sometimes any.
        path, generation, place = self._chance.choice(
            self._backups[-3:] if self._chance.random() < 0.8 else self._backups
        )
        self.control.end(signal.SIGKILL)
        restore(path, self.control.journal)
        self.generation += 1
        self.history.restored.append(Restored(self.generation, generation, place.position))
        self._start_control()

    def settle(self) -> None:
        """Heal every line, purge no more, and wait until all edges have applied everything; then ask for everything."""
        for edge in self.edges:
            edge.relay.resume()
            edge.relay.accept()
        self._quiet.set()
        wait_until(lambda: not self._talking.locked(), timeout_seconds=SECONDS)
        head = self._health()
        wait_until(
            lambda: (
                all(position >= head for position in self._positions().values())
                and len(self._positions()) == len(self.edges)
            ),
            timeout_seconds=SECONDS,
            what="all edges to be level",
        )
        # The poller sees it too, and every path is asked for after that.
        seen = len(self.history.reached)
        wait_until(lambda: len(self.history.reached) >= seen + 2 * len(self.edges), timeout_seconds=SECONDS)
        for edge in self.edges:
            for path in PATHS:
                self._ask_once(edge, path)

    def end(self) -> None:
        """End all of it, and read what is in the journal."""
        self._ending.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(SECONDS)
        for client in self._clients:
            client.close()
        for edge in self.edges:
            edge.end()
        self.control.end(signal.SIGTERM)
        self.origin.close()
        with SqliteReader(self.control.journal) as reader:
            at = 0
            found: dict[int, str] = {}
            while events := reader.read(at):
                found.update(
                    (event.position, str(event.data["id"]))
                    for event in events
                    if event.type == InvalidationRequested.type
                )
                at = events[-1].position
        self.history.journal = found
        if self._problems:
            raise AssertionError(self._problems[0])

    def _start_control(self) -> None:
        # On another port each time: whoever has talked with the one before talks with none by mistake.
        self.control.start()
        self._client = self._connected()
        for edge in self.edges:
            edge.relay.retarget(self.control.url.removeprefix("http://"))

    def _connected(self) -> httpx.Client:
        client = self.control.client()
        client.timeout = httpx.Timeout(10.0)
        # Somebody may still be waiting for an answer by the one before: they are closed at the end.
        self._clients.append(client)
        return client

    def _edges_token(self) -> Path:
        path = self.folder / "edges.token"
        if not path.exists():
            made = self._client.post("/v1/tokens", json={"name": "edges", "scopes": ["edges"]}).json()
            path.write_text(made["token"])
        return path

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - A thread that ends unheard would have checked nothing.
            self._problems.append(f"{type(error).__name__}: {error}")

    def _purge(self) -> None:
        chance = random.Random(self._chance.random())
        while not self._ending.is_set():
            if self._quiet.is_set():
                time.sleep(0.05)
                continue
            with self._talking:
                n_paths = chance.choice((1, 1, 1, 2, 3, len(PATHS)))
                paths = tuple(chance.sample(PATHS, n_paths))
                versions = self.origin.content.change(*paths)
                key = f"purge-{chance.getrandbits(64):016x}"
                asked = {"selectors": selectors(paths, chance), "key": key}
                while not self._ending.is_set():
                    # With the same key until it is acknowledged, as whoever needs it would.
                    client, generation = self._client, self.generation
                    try:
                        answer = client.post("/v1/invalidations", json=asked)
                    except (httpx.HTTPError, RuntimeError):
                        time.sleep(0.05)
                        continue
                    assert answer.status_code == 202, answer.text
                    said = answer.json()
                    self.history.purged.append(Purged(said["id"], generation, said["position"], versions))
                    self.n_purges += 1
                    break
            time.sleep(chance.uniform(0, 0.2))

    def _poll(self) -> None:
        while not self._ending.is_set():
            client, generation = self._client, self.generation
            with contextlib.suppress(httpx.HTTPError):
                for edge, position in self._positions(client).items():
                    self.history.reached.append(Reached(edge, generation, position, time.monotonic()))
            time.sleep(0.03)

    def _positions(self, client: httpx.Client | None = None) -> dict[str, int]:
        answer = (client or self._client).get("/v1/edges")
        assert answer.status_code == 200, answer.text
        return {each["name"]: each["position"] for each in answer.json() if each["position"] is not None}

    def _health(self) -> int:
        return int(self._client.get("/health").json()["position"])

    def _ask(self, edge: Edge) -> None:
        chance = random.Random(self._chance.random())
        connection: http.client.HTTPConnection | None = None
        url = ""
        while not self._ending.is_set():
            if connection is None or url != edge.url:
                if connection is not None:
                    connection.close()
                url = edge.url
                connection = _connection(url)
            if not self._ask_once(edge, chance.choice(PATHS), connection):
                connection.close()
                connection = None
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.01))
        if connection is not None:
            connection.close()

    def _ask_once(self, edge: Edge, path: str, connection: http.client.HTTPConnection | None = None) -> bool:
        began = time.monotonic()
        try:
            line = connection or _connection(edge.url)
            line.request("GET", path, headers={"Host": HOST})
            answer = line.getresponse()
            body = answer.read()
            if connection is None:
                line.close()
        except (OSError, http.client.HTTPException) as error:
            self.history.failed.append(Failed(edge.name, path, began, time.monotonic(), repr(error)))
            return False
        if answer.status != 200:
            what = f"{answer.status} {body[:100]!r}"
            self.history.failed.append(Failed(edge.name, path, began, time.monotonic(), what))
            return True
        how = answer.headers.get("Cache-Status", "")
        self.history.answered.append(Answered(edge.name, path, int(body), began, how))
        return True


@contextmanager
def world(folder: Path, *, n_edges: int, seed: int, mutation: str = "") -> Iterator[World]:
    """Start everything, and end it afterwards, whatever happens."""
    with Network() as network:
        made = World(folder, network, n_edges=n_edges, seed=seed, mutation=mutation)
        try:
            made.start()
            yield made
        finally:
            made.end()


def _connection(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
