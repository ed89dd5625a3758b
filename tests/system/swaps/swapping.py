"""Models that change places while clients ask: what they are answered, and what the edge keeps of memory.

The edge is a process of its own, so that its memory is nobody else's. Two files take turns under versions that count
up, so that an answer says when it was made: the odd versions double, the even ones treble.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bodega.edge import AdminClient
from bodega.errors import BodegaError

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAT = 1.10
"""How much the memory of the end may be over that of the beginning."""

_FACTORS = (3.0, 2.0)
_WIDTH = 256
_N_KEYS = 500
_START_SECONDS = 60.0
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is swapped, and how often."""

    name: str
    model_bytes: int
    n_swaps: int


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    plan: Plan
    n_answers: int = 0
    wrong: list[str] = field(default_factory=list)
    resident_bytes: list[int] = field(default_factory=list)
    swap_seconds: list[float] = field(default_factory=list)
    n_undrained: int = 0

    @property
    def at_first(self) -> float:
        """The memory after the first tenth of the swaps, in which the edge comes to its size: the median of a tenth.

        Of three swaps at least: a run may be under way while it is looked.
        """
        begins, size = max(1, len(self.resident_bytes) // 10), self._size
        return statistics.median(self.resident_bytes[begins : begins + size] or self.resident_bytes[-1:])

    @property
    def at_last(self) -> float:
        """The memory after the last tenth of them: the median."""
        return statistics.median(self.resident_bytes[-self._size :])

    @property
    def _size(self) -> int:
        return max(3, len(self.resident_bytes) // 10)

    @property
    def growth(self) -> float:
        """The one relative to the other."""
        return self.at_last / self.at_first

    def problems(self) -> list[str]:
        """What is not as it has to be."""
        found = [f"{len(self.wrong)} answers are wrong, for instance {self.wrong[0]}"] if self.wrong else []
        if not self.n_answers:
            found.append("nothing was answered")
        if self.n_undrained:
            found.append(f"{self.n_undrained} versions had not answered all in their time")
        if self.growth > FLAT:
            found.append(f"resident memory grew to {self.growth:.2f} of what it was")
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything that was measured."""
        return {
            "name": self.plan.name,
            "model_bytes": self.plan.model_bytes,
            "swaps": self.plan.n_swaps,
            "answers": self.n_answers,
            "wrong": self.wrong[:20],
            "undrained": self.n_undrained,
            "resident_bytes_first": self.at_first,
            "resident_bytes_last": self.at_last,
            "growth": round(self.growth, 4),
            "swap_seconds_median": round(statistics.median(self.swap_seconds), 4),
            "swap_seconds_max": round(max(self.swap_seconds), 4),
            "resident_bytes": self.resident_bytes,
        }


def write_model(path: Path, n_bytes: int, factor: float) -> None:
    """Write a model of this size: ``float32[n, 1]`` times a factor, and a row of a table that counts for nothing."""
    n_rows = max(1, n_bytes // (4 * _WIDTH))
    table = np.random.default_rng(int(factor)).normal(size=(n_rows, _WIDTH)).astype(np.float32)
    constants = [
        numpy_helper.from_array(table, "table"),
        helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor]),
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("size", TensorProto.INT64, [1], [n_rows]),
    ]
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Mod", ["whole", "size"], ["at"]),
        helper.make_node("Gather", ["table", "at"], ["rows"], axis=0),
        helper.make_node("ReduceSum", ["rows"], ["sum"], keepdims=0, noop_with_empty_axes=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Mul", ["x", "factor"], ["times"]),
        helper.make_node("Add", ["times", "nothing"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "table", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


def run(plan: Plan, folder: Path, *, n_clients: int = 2) -> Outcome:
    """Swap as planned, under load."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "even.onnx", folder / "odd.onnx"]
    for file, factor in zip(files, _FACTORS, strict=True):
        write_model(file, plan.model_bytes, factor)
    outcome = Outcome(plan)
    with _edge(folder, files[1]) as (pid, port, admin):
        admin.update_model("odd", files[1], version="v1")
        clients = Clients(port, outcome, n_clients)
        with clients:
            for number in range(2, plan.n_swaps + 2):
                began = time.monotonic()
                swap = admin.update_model("odd", files[number % 2], version=f"v{number}")
                outcome.swap_seconds.append(time.monotonic() - began)
                clients.acknowledged = number
                outcome.n_undrained += not swap.drained
                clients.wait_for_answers(2 * n_clients)
                outcome.resident_bytes.append(_resident_bytes(pid))
    return outcome


class Clients:
    """Clients that ask without a pause, on connections of their own, and check every answer."""

    def __init__(self, port: int, outcome: Outcome, n_clients: int) -> None:
        """Set them up; `acknowledged` is the version after whose acknowledgement no older one may answer."""
        self.acknowledged = 1
        self._port, self._outcome = port, outcome
        self._ended, self._answered = threading.Event(), threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(at,)) for at in range(n_clients)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self, n_more: int) -> None:
        """Wait until so many more were answered."""
        with self._answered:
            wanted = self._outcome.n_answers + n_more
            if not self._answered.wait_for(lambda: self._outcome.n_answers >= wanted, 30):
                self._outcome.wrong.append("nothing was answered for 30 s")

    def _run(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        at = number
        with contextlib.closing(connection):
            while not self._ended.is_set():
                # Half of the rows come again and again.
                at += 1
                rows = [float(at % 10), float(at * len(self._threads) % _N_KEYS + 10 * number)]
                acknowledged = self.acknowledged
                try:
                    connection.request("POST", "/batch_predict", json.dumps({"features": [[row] for row in rows]}))
                    response = connection.getresponse()
                    status, answer = response.status, json.loads(response.read())
                except (OSError, http.client.HTTPException, ValueError) as error:
                    self._note(f"{type(error).__name__}: {error}")
                    connection.close()
                    continue
                self._check(rows, status, answer, acknowledged)

    def _check(self, rows: list[float], status: int, answer: dict[str, Any], acknowledged: int) -> None:
        if status != 200:
            self._note(f"{status}: {answer}")
            return
        version = int(answer["version"].removeprefix("v"))
        expected = [row * _FACTORS[version % 2] for row in rows]
        if answer["predictions"] != expected:
            self._note(f"v{version} said {answer['predictions']} to {rows}")
        elif version < acknowledged:
            self._note(f"v{version} answered after v{acknowledged} was acknowledged")
        else:
            with self._answered:
                self._outcome.n_answers += 1
                self._answered.notify_all()

    def _note(self, what: str) -> None:
        with self._answered:
            self._outcome.wrong.append(what)


@contextlib.contextmanager
def _edge(folder: Path, model: Path) -> Iterator[tuple[int, int, AdminClient]]:
    """An edge with little memory for predictions, so that what grows is not what it keeps."""
    command = [sys.executable, "-m", "bodega", "edge", "--model", str(model), "--listen", "127.0.0.1:0"]
    command += ["--memory", "4MB", "--threads", "1", "--admin", f"unix:{folder}/admin", "--json"]
    environment = {**os.environ, "BODEGA_RUNTIME_DIR": str(folder / "run")}
    with (folder / "edge.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise BodegaError(f"the edge did not start: {(folder / 'edge.log').read_text()}")
        said = json.loads(line)
        yield process.pid, int(said["listening"][0].rsplit(":", 1)[1]), AdminClient(said["admin"])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _resident_bytes(pid: int) -> int:
    [line] = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
