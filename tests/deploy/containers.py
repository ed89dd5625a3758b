"""Runs the services of a compose file as containers would run, as far as these tests need it, without containers.

Volumes are folders, names of services are this machine, and ports are free ones; commands, variables, health checks and
the order are those of the file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SECONDS = 60.0
PROGRAM = Path(sys.executable).with_name("bodega")


class Containers:
    """The services of a file, started in the order in which they depend on each other."""

    def __init__(self, file: dict[str, Any], folder: Path, beside: Path, ports: dict[int, int]) -> None:
        """Keep what is to be run.

        Args:
            file: What the file says.
            folder: For volumes and logs.
            beside: The folder that the file lies in.
            ports: From ports within containers to those that stand for them.
        """
        self._file = file
        self._folder = folder
        self._beside = beside
        self._ports = ports
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything."""
        done: set[str] = set()
        left = dict(self._file["services"])
        while left:
            name = next(name for name, service in left.items() if set(service.get("depends_on", ())) <= done)
            service = left.pop(name)
            for other, how in service.get("depends_on", {}).items():
                self._wait(other, how["condition"])
            self._start(name, service)
            done.add(name)

    def run(self, name: str) -> None:
        """Run a service once more, and wait for its end."""
        self._start(name, self._file["services"][name])
        self._wait(name, "service_completed_successfully")

    def stop(self) -> dict[str, int]:
        """Stop what still runs, each within its time; return the statuses."""
        statuses = {}
        for name, process in reversed(self._running.items()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            grace = str(self._file["services"][name].get("stop_grace_period", "10s"))
            try:
                statuses[name] = process.wait(float(grace.removesuffix("s")))
            finally:
                process.kill()
        self._running.clear()
        return statuses

    def log(self, name: str) -> str:
        """Return what a service has written."""
        return (self._folder / f"{name}.log").read_text()

    def _start(self, name: str, service: dict[str, Any]) -> None:
        environment = {"PATH": os.environ["PATH"], "BODEGA_RUNTIME_DIR": str(self._made(f"run-{name}"))}
        written = {key: self._here(str(value), service) for key, value in service.get("environment", {}).items()}
        with (self._folder / f"{name}.log").open("ab") as log:
            command = [str(PROGRAM), *(self._here(word, service) for word in service["command"])]
            self._running[name] = subprocess.Popen(command, env=environment | written, stdout=log, stderr=log)

    def _wait(self, name: str, condition: str) -> None:
        process = self._running[name]
        if condition == "service_completed_successfully":
            assert process.wait(SECONDS) == 0, self.log(name)
            return
        assert condition == "service_healthy"
        service = self._file["services"][name]
        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD"
        command = [sys.executable if word == "python" else self._here(word, service) for word in check]
        ends = time.monotonic() + SECONDS
        while subprocess.run(command, check=False, capture_output=True).returncode != 0:
            assert process.poll() is None, self.log(name)
            assert time.monotonic() < ends, self.log(name)
            time.sleep(0.2)

    def _here(self, word: str, service: dict[str, Any]) -> str:
        for mounted in service.get("volumes", ()):
            source, within, *_ = mounted.split(":")
            outside = self._beside / source if source.startswith(".") else self._made(source)
            word = word.replace(within, str(outside))
        for within, outside_port in self._ports.items():
            for host in (*self._file["services"], "0.0.0.0", "127.0.0.1"):
                word = word.replace(f"{host}:{within}", f"127.0.0.1:{outside_port}")
        return word

    def _made(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
