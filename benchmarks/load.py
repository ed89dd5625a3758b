"""The load: `bodega-loadgen` on its own core, a closed loop over kept connections that checks every answer."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmarks import build, objects, priority
from benchmarks.cores import Cores, pinned
from benchmarks.failure import MeasurementFailed
from benchmarks.subjects import Place


class Front(Enum):
    """What is spoken."""

    HTTP1 = "HTTP/1.1"
    HTTP1_TLS = "HTTP/1.1 by TLS"
    HTTP2_TLS = "HTTP/2 by TLS"


@dataclass(frozen=True, slots=True)
class Post:
    """What is posted, where nothing is fetched.

    Attributes:
        path: Where.
        template: A file with the body; each of its twelve `#` stands for a digit of the key.
    """

    path: str
    template: Path


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask for.

    Attributes:
        folder: Which size; empty where something is posted.
        keys: `same:KEY`, `random:COUNT`, `shuffled:COUNT`, `from:FIRST` or `mixed:COUNT:FIRST`.
        n_connections: How many requests are under way at once.
        is_awake: Whether whoever asks never sleeps; with an origin on the same core it has to.
        front: How it is asked.
        n_streams: With HTTP/2, how many requests are under way at once on each connection.
        body: A file with what every body is; the load compares the first one of each connection by TLS.
        handshakes: With a connection for each request: `full` or `resumed`, with `-1.2` for TLS 1.2.
        post: What is posted.
        tells_latencies: Whether to look at the clock for each answer.
        rate: How many requests are due in a second, whatever the answers do; latencies count from when each was due.
    """

    folder: str
    keys: str
    n_connections: int = 64
    is_awake: bool = False
    front: Front = Front.HTTP1
    n_streams: int = 1
    body: Path | None = None
    handshakes: str | None = None
    post: Post | None = None
    tells_latencies: bool = False
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """What was asked and answered, and the time that this took.

    `latencies` are 1,001 quantiles in microseconds, from the fastest to the slowest, where they were asked for.
    """

    n_requests: int
    seconds: float
    cpu_seconds: float
    latencies: Sequence[float] = ()


def run(place: Place, load: Load, *, cores: Cores, seconds: float) -> Count:
    """Ask for a while."""
    return _run(place, load, cores, ["--seconds", f"{seconds:g}"], timeout_seconds=seconds + 60)


def run_all(place: Place, load: Load, *, cores: Cores, n_requests: int) -> Count:
    """Ask a number of times."""
    return _run(place, load, cores, ["--requests", str(n_requests)], timeout_seconds=300)


def _run(place: Place, load: Load, cores: Cores, until: list[str], *, timeout_seconds: float) -> Count:
    command = [*_command(place, load), *until]
    before = _cpu_seconds_of_children()
    with _started(command, cores) as process:
        answered, errors = process.communicate(timeout=timeout_seconds)
    if process.returncode != 0:
        raise MeasurementFailed(f"the load stopped: {errors.strip()}")
    counted = json.loads(answered)
    return Count(
        n_requests=counted["requests"],
        seconds=counted["seconds"],
        cpu_seconds=_cpu_seconds_of_children() - before,
        latencies=counted.get("latency_quantiles_us", ()),
    )


@contextlib.contextmanager
def held(place: Place, load: Load, *, cores: Cores) -> Iterator[None]:
    """Make the connections, ask once on each of them, and keep them until the block ends."""
    command = [*_command(place, load), "--requests", str(load.n_connections), "--hold"]
    with _started(command, cores) as process:
        if process.stdout is None or process.stdout.readline() != "held\n":
            _, errors = process.communicate(timeout=60)
            raise MeasurementFailed(f"the load stopped: {errors.strip()}")
        yield
        # It ends when its standard input does.
        process.communicate(timeout=60)


@contextlib.contextmanager
def _started(command: list[str], cores: Cores) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        pinned(command, cores.load),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    priority.raise_session(process.pid)
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _command(place: Place, load: Load) -> list[str]:
    return [
        *(str(build.LOAD_GENERATOR), "--port", str(_port(place, load)), *_what(load)),
        *("--connections", str(load.n_connections)),
        *("--keys", load.keys),
        *(["--paths-in-bodies"] if load.folder in objects.FOLDERS_WITH_PATHS else []),
        *(["--awake"] if load.is_awake else []),
        *(["--latencies"] if load.tells_latencies else []),
        *([] if load.rate is None else ["--rate", f"{load.rate:g}"]),
        *_front(place, load),
    ]


def _what(load: Load) -> list[str]:
    if load.post is not None:
        return ["--post", load.post.path, "--template", str(load.post.template)]
    return ["--folder", load.folder, "--body-bytes", str(objects.SIZES[load.folder])]


def _port(place: Place, load: Load) -> int:
    return place.port if place.tls is None or load.front is Front.HTTP1 else place.tls.port


def _front(place: Place, load: Load) -> list[str]:
    if place.tls is None or load.front is Front.HTTP1:
        return []
    words = ["--tls", str(place.tls.certificate)]
    if load.front is Front.HTTP2_TLS:
        words += ["--http2", str(load.n_streams)]
    if load.body is not None:
        words += ["--body", str(load.body)]
    if load.handshakes is not None:
        words += ["--handshakes", load.handshakes]
    return words


def _cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
