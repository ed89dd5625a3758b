"""What `shelf` misses, beside every policy of libCacheSim: objects and bytes, on real keys and on a day of a CDN."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tools.setup import python
from tools.setup.progress import ROOT, SetupFailed

from benchmarks.failure import MeasurementFailed
from benchmarks.figure import Figure
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.store.hit_ratio_traces import SEED, Trace, trace
from bodega import _native

SHARES = (0.001, 0.01, 0.1)
"""Sizes of the cache, by the footprint of the trace."""

JUDGED_WEIGHT = 0.95
"""The `w` that is judged: what an edge has in memory."""

_TOLD_WEIGHTS = (0.5, 0.1)
_JUDGED_TRACES = ("scarab", "mix")
_TOLD_TRACES = ("web", "video", "models", "predictions")
_SCARAB_BAR_PERCENT = 57.5
_PINS = "hit-ratio-judge"
_JUDGE = Path(__file__).parent / "hit_ratio_judge.py"


@dataclass(frozen=True, slots=True)
class Missed:
    """What a policy missed of a trace.

    Attributes:
        policy: Its name with its parameters.
        objects: Misses by requests.
        bytes: Bytes missed by bytes asked for.
    """

    policy: str
    objects: float
    bytes: float

    def is_ahead_of(self, other: Missed) -> bool:
        """Whether it missed less of both."""
        return self.objects < other.objects and self.bytes < other.bytes

    def shown(self) -> str:
        """Return both ratios with the name."""
        return f"{self.policy} {self.objects:.4f}/{self.bytes:.4f}"


@dataclass(frozen=True, slots=True)
class Contest:
    """A trace in a cache of one size.

    Attributes:
        trace: Name of the trace.
        share: Size of the cache, by the footprint of the trace.
        own: What bodega's policies missed; the first is judged.
        others: What those of libCacheSim missed.
        ended: Those of libCacheSim that had to be ended, and by which signal.
    """

    trace: str
    share: float
    own: Sequence[Missed]
    others: Sequence[Missed]
    ended: Mapping[str, str]

    def figure(self) -> Figure:
        """Count who is ahead of `shelf` in both contests."""
        ahead = [other for other in self.others if other.is_ahead_of(self.own[0])]
        by_objects = min(self.others, key=lambda other: other.objects)
        by_bytes = min(self.others, key=lambda other: other.bytes)
        detail = f"({self.own[0].shown()}; best of objects {by_objects.shown()}, of bytes {by_bytes.shown()}"
        if ahead:
            detail += f"; ahead: {', '.join(other.shown() for other in ahead)}"
        name = f"hit ratio, {self.trace}, {self.share:.1%} of the footprint: ahead in both"
        return Figure(name, len(ahead), 0, "policies", detail + ")")


def measure(setting: Setting) -> list[Contest]:
    """Replay every trace through every policy.

    Raises:
        MeasurementFailed: If libCacheSim cannot be installed, or fails.
    """
    judge = _prepare_judge()
    contests = []
    for name in (*_JUDGED_TRACES, *(_TOLD_TRACES if setting.is_long else ())):
        say(f"hit ratio: making the trace {name}")
        made = trace(name)
        file = setting.folders.files / f"{name}.trace"
        made.write(file)
        footprint_bytes = made.footprint_bytes()
        capacities = [int(footprint_bytes * share) for share in SHARES]
        say(f"hit ratio: {name}, {len(made.identities):,} requests, {made.n_objects():,} objects: libCacheSim's turn")
        with ThreadPoolExecutor(2) as pool:
            units = [capacity_bytes // made.unit_bytes for capacity_bytes in capacities]
            answers = list(pool.map(partial(_ask, judge, file), units))
        file.unlink()
        for share, capacity_bytes, (others, ended) in zip(SHARES, capacities, answers, strict=True):
            contests.append(Contest(name, share, _own(made, capacity_bytes), others, ended))
    return contests


def figures(contests: Sequence[Contest]) -> list[Figure]:
    """Judge what `shelf` missed."""
    judged = [contest for contest in contests if contest.trace in _JUDGED_TRACES]
    keys = next(contest for contest in judged if (contest.trace, contest.share) == ("scarab", 0.01))
    return [
        *(contest.figure() for contest in judged),
        Figure(
            "misses of recommendation keys, 1 % of the footprint",
            keys.own[0].objects * 100,
            _SCARAB_BAR_PERCENT,
            "% of requests",
            f"({keys.own[0].shown()})",
        ),
    ]


def record(contests: Sequence[Contest]) -> list[dict[str, Any]]:
    """Return everything that was replayed, for a file of results."""
    return [asdict(contest) for contest in contests]


def method() -> dict[str, Any]:
    """Return how it was measured."""
    pins = (ROOT / "requirements" / f"{_PINS}.txt").read_text()
    judge = re.search(r"^libcachesim==\S+", pins, re.MULTILINE)
    return {"judged_weight": JUDGED_WEIGHT, "seed": SEED, "judge": judge and judge[0]}


def _own(made: Trace, capacity_bytes: int) -> list[Missed]:
    n_bytes = sum(made.sizes)

    def replay(policy: str, weight: float, *, second_request: bool = False) -> tuple[float, float]:
        n_misses, miss_bytes = _native.replay(
            policy, capacity_bytes, made.identities, made.sizes, weight=weight, second_request=second_request
        )
        return n_misses / len(made.identities), miss_bytes / n_bytes

    return [
        *(Missed(f"shelf, w={weight}", *replay("shelf", weight)) for weight in (JUDGED_WEIGHT, *_TOLD_WEIGHTS)),
        Missed("shelf, w=0.1, on the second request", *replay("shelf", 0.1, second_request=True)),
        *(Missed(f"bodega's {policy}", *replay(policy, 1.0)) for policy in ("s3fifo", "clock", "lru")),
    ]


def _ask(judge: Path, file: Path, capacity: int) -> tuple[list[Missed], dict[str, str]]:
    asked = subprocess.run(
        [judge / "bin" / "python", _JUDGE, file, str(capacity)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        raise MeasurementFailed(f"libCacheSim: {asked.stderr.strip() or f'it ended with {asked.returncode}'}")
    missed, ended = [], {}
    for line in asked.stdout.splitlines():
        answer = json.loads(line)
        if "ended" in answer:
            ended[answer["policy"]] = answer["ended"]
        else:
            missed.append(Missed(answer["policy"], answer["objects"], answer["bytes"]))
    if len(missed) <= len(ended):
        raise MeasurementFailed(f"libCacheSim: of its policies {len(missed)} answered, and {len(ended)} ended")
    return missed, ended


def _prepare_judge() -> Path:
    try:
        return python.separate(_PINS, pins=_PINS)
    except SetupFailed as failure:
        raise MeasurementFailed(str(failure)) from failure
