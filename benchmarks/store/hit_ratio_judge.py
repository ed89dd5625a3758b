"""Replays a trace through the policies of libCacheSim: `python hit_ratio_judge.py TRACE CAPACITY`.

libCacheSim is under the GPL: this file runs in an environment of its own, as a process of its own, and is no part of
bodega. It prints a line of JSON for each policy: its name with its parameters, and the miss ratios of objects and
bytes, or what ended it. Each policy runs in a process of its own: some end with a fault in some caches, or never.
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import libcachesim  # type: ignore[import-not-found]

NOT_JUDGED: Mapping[str, str] = {
    "Belady": "knows the future",
    "BeladySize": "knows the future",
    "GLCache": "learned",
    "LRB": "learned",
    "ThreeLCache": "learned",
    "PluginCache": "no policy of its own",
}

MORE: Mapping[str, list[dict[str, Any]]] = {
    # As choices of their authors beside the defaults of the library.
    "S3FIFO": [{"move_to_main_threshold": 1}],
    "WTinyLFU": [{"window_size": 0.1}],
    "Clock": [{"n_bit_counter": 2}],
}


MAX_SECONDS = 120
"""Time of a core that a policy has for a trace; the slowest needs a fifth of it, and some never end."""


def policies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy that this version of the library has."""
    base = libcachesim.CacheBase
    for name, member in sorted(vars(libcachesim).items()):
        if inspect.isclass(member) and issubclass(member, base) and member is not base and name not in NOT_JUDGED:
            for parameters in [{}, *MORE.get(name, [])]:
                yield name, parameters


def replay(name: str, parameters: dict[str, Any], trace: str, capacity: int) -> tuple[float, float]:
    """Return the miss ratios of objects and bytes."""
    reader = libcachesim.TraceReader(trace, libcachesim.TraceType.ORACLE_GENERAL_TRACE, libcachesim.ReaderInitParam())
    cache = getattr(libcachesim, name)(cache_size=capacity, **parameters)
    objects, of_bytes = cache.process_trace(reader)
    return float(objects), float(of_bytes)


def main() -> None:
    """Replay the trace through one policy after the other."""
    trace, capacity = sys.argv[1], int(sys.argv[2])
    for name, parameters in policies():
        shown = ", ".join([name, *(f"{key}={value}" for key, value in parameters.items())])
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS + 1))
            # What the library says on its way is not for whoever reads the lines.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.write(writable, json.dumps(replay(name, parameters, trace, capacity)).encode())
            os._exit(0)
        os.close(writable)
        with os.fdopen(readable, "rb") as pipe:
            answer = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            objects, of_bytes = json.loads(answer)
            print(json.dumps({"policy": shown, "objects": objects, "bytes": of_bytes}), flush=True)
        else:
            ended = signal.Signals(-status).name if status < 0 else f"status {status}"
            print(json.dumps({"policy": shown, "ended": ended}), flush=True)


if __name__ == "__main__":
    main()
