"""The traces that hit ratios are measured on: keys of a recommendation service, and a day of a CDN by our generator.

The mix is drawn from four kinds of traffic, each of which can be had alone. All of it follows from the seed.
"""

from __future__ import annotations

import lzma
import math
import random
import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

SCARAB = Path(__file__).parent / "data" / "scarab-recs.trace.xz"
SEED = 7

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in order.

    Attributes:
        name: What it is called.
        identities: Which object each request asks for.
        sizes: Its size in bytes, for each request.
        unit_bytes: What the judge counts as one. Some of its policies have a table with a place for each unit of the
            cache: where all objects are alike, bytes would give them a thousand times the memory of their authors.
    """

    name: str
    identities: array[int]
    sizes: array[int]
    unit_bytes: int = 1

    def n_objects(self) -> int:
        """Count the objects."""
        return len(set(self.identities))

    def footprint_bytes(self) -> int:
        """Return the bytes of all objects, each once."""
        return sum(dict(zip(self.identities, self.sizes, strict=True)).values())

    def write(self, path: Path) -> None:
        """Write it as libCacheSim reads it (`oracleGeneral`): time, identity, size and the next request, unknown."""
        record = struct.Struct("<IQIq")
        rows = enumerate(zip(self.identities, self.sizes, strict=True))
        with path.open("wb") as file:
            file.writelines(
                record.pack(number, identity, size // self.unit_bytes, -2) for number, (identity, size) in rows
            )


def trace(name: str) -> Trace:
    """Return the trace of this name."""
    if name == "scarab":
        return _scarab()
    kind, n_requests = _GENERATED[name]
    identities, sizes = array("Q"), array("Q")
    for identity, size in kind(n_requests, random.Random(SEED)):
        identities.append(identity)
        sizes.append(size)
    return Trace(name, identities, sizes)


Requests: TypeAlias = Iterator[tuple[int, int]]
"""Identity and size of each."""

Kind: TypeAlias = Callable[[int, random.Random], Requests]
"""Yields so many requests of its kind, by chance."""


def _scarab() -> Trace:
    """Return 1,245,184 requests to a recommendation service; they have no sizes, so that all are alike."""
    identities = array("Q", lzma.decompress(SCARAB.read_bytes()))
    if sys.byteorder == "little":
        # They are written with the highest byte first.
        identities.byteswap()
    return Trace("scarab", identities, array("Q", [1_000]) * len(identities), unit_bytes=1_000)


def web(n_requests: int, chance: random.Random) -> Requests:
    """Yield pages and pictures: Zipf 0.9 over 600,000, of which three in ten are replaced once during the day."""
    n_objects = 600_000
    replaced_at = [chance.random() * n_requests if chance.random() < 0.3 else math.inf for _ in range(n_objects)]
    sizes: dict[int, int] = {}
    for number, rank in enumerate(_zipf(n_objects, 0.9, n_requests, chance)):
        if chance.random() < 0.12:
            # Asked for once.
            yield _of_kind(1, 2 * n_objects + number), _log_normal(14_000, 1.5, 100, chance)
            continue
        version = rank + n_objects if number > replaced_at[rank] else rank
        if version not in sizes:
            sizes[version] = _log_normal(14_000, 1.5, 100, chance)
        yield _of_kind(1, version), sizes[version]


def video(n_requests: int, chance: random.Random) -> Requests:
    """Yield segments of 4 seconds of 2,500 titles in three renditions, as 4,000 viewers read them in order."""
    n_viewers, n_titles, n_segments = 4_000, 2_500, 900
    segment_bytes = (800_000, 2_400_000, 5_000_000)
    n_steps = -(-n_requests // n_viewers)
    choose_title = _zipf(n_titles, 1.0, n_requests + n_viewers, chance)

    def begin(step: int) -> tuple[int, int]:
        title = next(choose_title)
        if chance.random() < 0.15:
            # One of the newest ten: a title comes out every hour.
            title = n_titles + step * 24 // n_steps - 1 - chance.randrange(10)
        return title, chance.choices((0, 1, 2), (25, 45, 30))[0]

    watched = [begin(0) for _ in range(n_viewers)]
    # The trace begins in the middle of what everybody watches.
    segment = [min(int(chance.expovariate(1 / 160)), n_segments - 1) for _ in range(n_viewers)]
    order = list(range(n_viewers))
    n_left = n_requests
    for step in range(n_steps):
        chance.shuffle(order)
        for viewer in order[:n_left]:
            title, rendition = watched[viewer]
            yield _of_kind(2, (title * 3 + rendition) * n_segments + segment[viewer]), segment_bytes[rendition]
            segment[viewer] += 1
            if segment[viewer] == n_segments or chance.random() < 1 / 160:
                watched[viewer], segment[viewer] = begin(step), 0
        n_left -= n_viewers


def models(n_requests: int, chance: random.Random) -> Requests:
    """Yield chunks of 16 MiB of 60 whole models that are pulled at once; one pull in fifty is of a new version."""
    n_pulls, n_models, chunk = 60, 400, 16 * _MIB
    model_bytes = [_log_normal(600_000_000, 1.0, chunk, chance) for _ in range(n_models)]
    newest = [0] * n_models
    choose_model = _zipf(n_models, 1.0, n_requests + n_pulls, chance)
    pulled = [(next(choose_model), 0) for _ in range(n_pulls)]
    position = [chance.randrange(model_bytes[model] // chunk) for model, _ in pulled]
    for _ in range(n_requests):
        pull = chance.randrange(n_pulls)
        (model, version), at = pulled[pull], position[pull]
        yield _of_kind(3, ((model << 16) + version << 16) + at), min(chunk, model_bytes[model] - at * chunk)
        position[pull] += 1
        if position[pull] * chunk >= model_bytes[model]:
            model = next(choose_model)
            newest[model] += chance.random() < 0.02
            pulled[pull], position[pull] = (model, newest[model]), 0


def predictions(n_requests: int, chance: random.Random) -> Requests:
    """Yield answers of some 420 bytes: Zipf 0.95 over two million keys, three in ten asked once."""
    n_objects = 2_000_000
    sizes: dict[int, int] = {}
    for number, rank in enumerate(_zipf(n_objects, 0.95, n_requests, chance)):
        if chance.random() < 0.3:
            yield _of_kind(4, n_objects + number), chance.randrange(360, 481)
            continue
        if rank not in sizes:
            sizes[rank] = chance.randrange(360, 481)
        yield _of_kind(4, rank), sizes[rank]


def mix(n_requests: int, chance: random.Random) -> Requests:
    """Yield all of them at once: 52 % web, 30 % predictions, 16 % video and 2 % models by requests."""
    mixed: Sequence[Kind] = (web, predictions, video, models)
    kinds = chance.choices(mixed, (52, 30, 16, 2), k=n_requests)
    requests = {kind: kind(kinds.count(kind), random.Random(chance.random())) for kind in mixed}
    for kind in kinds:
        yield next(requests[kind])


_GENERATED: Mapping[str, tuple[Kind, int]] = {
    "mix": (mix, 4_000_000),
    "web": (web, 4_000_000),
    "video": (video, 3_500_000),
    "models": (models, 1_000_000),
    "predictions": (predictions, 4_000_000),
}


def _zipf(n_objects: int, exponent: float, n_requests: int, chance: random.Random) -> Iterator[int]:
    cumulated = list(accumulate(rank**-exponent for rank in range(1, n_objects + 1)))
    ranks = range(n_objects)
    for begin in range(0, n_requests, 100_000):
        yield from chance.choices(ranks, cum_weights=cumulated, k=min(100_000, n_requests - begin))


def _log_normal(median: int, sigma: float, least: int, chance: random.Random) -> int:
    return max(int(chance.lognormvariate(math.log(median), sigma)), least)


def _of_kind(number: int, identity: int) -> int:
    # The kinds of a mix share no identity.
    return (number << 56) + identity
