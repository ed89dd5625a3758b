"""An edge as a process of its own, so that its memory can be looked at, and what a test does costs it nothing.

`python -m tests.integration.edge_process` is that process: it reads one JSON document a line and answers with one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.integration.exposition import Family, parse_exposition

from bodega import _native
from bodega.config import EdgeSettings
from bodega.distributions import Behavior, Declarations, Distribution
from bodega.edge.options import native_options
from bodega.snapshot import compile_snapshot

if TYPE_CHECKING:
    from typing import Self

ROOT = Path(__file__).resolve().parents[2]


class EdgeProcess:
    """A running edge, seen from another process."""

    def __init__(
        self, origin: str, policy: str, options: dict[str, Any], distribution: dict[str, Any] | None = None
    ) -> None:
        """Start it, before one origin for every host; `options` as the native core takes them."""
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.edge_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.addresses: list[str] = self._ask(
            {"origin": origin, "policy": policy, "options": options, "distribution": distribution or {}}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def url(self) -> str:
        """Where it listens without TLS."""
        return next(each for each in self.addresses if each.startswith("http:"))

    @property
    def tls(self) -> str:
        """Where it listens with TLS."""
        return next(each for each in self.addresses if each.startswith("https:"))

    @property
    def tls_port(self) -> int:
        port = urlsplit(self.tls).port
        assert port is not None
        return port

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the native edge."""
        return self._ask({"call": method, "arguments": arguments})

    def metrics(self) -> dict[str, Family]:
        return parse_exposition(self.call("metrics"))

    def count(self, name: str, **labels: str) -> int:
        """Return the sum of a counter's samples that have these labels; 0 where there is none."""
        family = self.metrics().get(name)
        found = [each for each in family.samples if labels.items() <= each.labels.items()] if family else []
        return int(sum(each.value for each in found))

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call("stats"))
        return found

    def memory_bytes(self) -> int:
        """How much memory the process has now."""
        return self._status("VmRSS")

    def peak_bytes(self) -> int:
        """The most it had since it started or `forget_peak` was called."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        # proc(5): 5 sets the peak to what is in use now.
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def end(self) -> int:
        """End it; returns how it exited."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            return self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        [line] = [line for line in lines if line.startswith(f"{name}:")]
        return int(line.split()[1]) * 1024

    def _ask(self, document: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(json.dumps(document) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, f"the edge's process ended: {self._process.wait(20)}"
        answer = json.loads(line)
        if "error" in answer:
            raise EdgeRefused(answer["error"])
        return answer["result"]


class EdgeRefused(Exception):
    """The edge raised an error."""


def main() -> None:
    """Run an edge until standard input ends."""
    edge = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if edge is None:
                edge = _start(asked)
                result: Any = edge.addresses()
            else:
                result = getattr(edge, asked["call"])(*asked["arguments"])
            answer = {"result": result}
        except Exception as error:  # noqa: BLE001 - told to the test, which knows whether it is expected
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    if edge is not None:
        edge.stop()


def _start(asked: dict[str, Any]) -> _native.NativeEdge:
    behavior = Behavior(origin=asked["origin"], policy=asked["policy"])
    declared = Declarations(distributions=(Distribution("site", behaviors=[behavior], **asked["distribution"]),))
    settings = EdgeSettings(listen=("127.0.0.1:0",), threads=1, memory="64MB", admin="off")
    options = {**json.loads(native_options(settings)), **asked["options"]}
    return _native.NativeEdge(json.dumps(options), compile_snapshot(declared, 1, {}).document)


if __name__ == "__main__":
    main()
