"""Serve a model by each subject in turn, on one core, and say what a request costs there.

python -m benchmarks.inference [--seconds 8] [--mosec PYTHON]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.inference import models
from bodega.testing import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = "1", "0"


class Subject:
    """A server under test, with whatever processes it starts."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], target: str) -> None:
        self.name, self.target = name, target
        self.port = free_port()
        command = [word.replace("PORT", str(self.port)) for word in command]
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command],
            env={**os.environ, **{name: each.replace("PORT", str(self.port)) for name, each in environment.items()}},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ask(self) -> float:
        body = json.dumps({"features": [0.5] * models.N_FEATURES}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.target}", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return float(json.load(answer)["prediction"])

    def wait(self) -> float:
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.ask()
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in _family(self.process.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        for pid in reversed(_family(self.process.pid)):
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                continue
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _family(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def load(subject: Subject, mode: str, connections: int, seconds: int, seed: int) -> dict[str, float]:
    """Ask for some seconds; CPU in µs a request, rate, median and 99th percentile in ms."""
    before = subject.cpu_seconds()
    said = subprocess.run(
        [
            *("taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"),
            *("-s", str(HERE / "load.lua"), f"http://127.0.0.1:{subject.port}"),
        ],
        env={**os.environ, "MODE": mode, "SEED": str(seed), "TARGET": subject.target},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    spent = subject.cpu_seconds() - before
    n_requests, took_us, n_errors = (int(word) for word in said.split("RESULT", 1)[1].split())
    if n_errors:
        raise RuntimeError(f"{subject.name}: {n_errors} of {n_requests} requests failed")
    latency = {
        line.split()[0]: _ms(line.split()[1]) for line in said.splitlines() if line.strip().startswith(("50%", "99%"))
    }
    return {
        "cpu_us": spent / n_requests * 1e6,
        "per_second": n_requests / took_us * 1e6,
        "p50_ms": latency["50%"],
        "p99_ms": latency["99%"],
    }


def _ms(written: str) -> float:
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3)):
        if written.endswith(unit):
            return float(written.removesuffix(unit)) * factor
    raise ValueError(written)


def subjects(model: Path, mosec: str | None) -> Iterator[tuple[str, list[str], dict[str, str], str]]:
    edge = ["-m", "bodega", "edge", "--model", str(model), "--listen", "127.0.0.1:PORT", "--admin", "off"]
    yield "bodega", [sys.executable, *edge, "--threads", "1"], {}, "/predict"
    yield "FastAPI", [sys.executable, str(HERE / "seed_server.py"), str(model), "PORT"], {}, "/predict"
    if mosec is not None:
        yield "mosec", [mosec, str(HERE / "mosec_server.py"), "--port", "PORT"], {"MODEL": str(model)}, "/inference"


def main() -> None:
    """Print a row for each subject, model and load, and all of it as JSON at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--mosec", help="a Python with mosec, onnxruntime and numpy")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        trees, network = Path(folder) / "trees.onnx", Path(folder) / "network.onnx"
        models.boosted_trees(trees)
        models.layers(network)
        for model, mode, connections in (
            (trees, "distinct", 64),
            (trees, "hits", 64),
            (trees, "distinct", 1),
            (network, "distinct", 64),
        ):
            for name, command, environment, target in subjects(model, arguments.mosec):
                subject = Subject(name, command, environment, target)
                try:
                    subject.wait()
                    load(subject, mode, connections, 1, 8)
                    measured = load(subject, mode, connections, arguments.seconds, 9)
                finally:
                    subject.stop()
                row = {"model": model.stem, "load": mode, "connections": connections, "subject": name, **measured}
                results.append(row)
                figures = " ".join(f"{key}={value:.3g}" for key, value in measured.items())
                print(f"{model.stem:8} {mode:9} c={connections:<3} {name:8} {figures}", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
