"""Memory per idle connection by TLS: how much a server grows over 2,000 that were asked once and then kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks import comparison, load, process_tree
from benchmarks.figure import Figure
from benchmarks.instances import Instance
from benchmarks.load import Front, Load
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.subjects import NGINX, Subject

Grown = Mapping[str, Mapping[str, float]]
"""Bytes per connection, by case and by server."""

N_CONNECTIONS = 2_000
_BAR = 1.0

# These are kept as well, and made before growth is counted: what a server sets up once is no part of a connection.
_N_BEFORE = 200


@dataclass(frozen=True, slots=True)
class Case:
    """One figure.

    Attributes:
        name: What is measured.
        front: What was spoken.
    """

    name: str
    front: Front


CASES: Sequence[Case] = (
    Case("memory per idle connection, HTTP/1.1 by TLS", Front.HTTP1_TLS),
    Case("memory per idle connection, HTTP/2 by TLS", Front.HTTP2_TLS),
)


def measure(setting: Setting, start: Callable[[Subject, str], AbstractContextManager[Instance]]) -> Grown:
    """Return the bytes that each server grew by per connection, by case.

    Args:
        setting: With which servers.
        start: Runs an instance of a server, under a label, until its block ends. Each case has one of its own: what
            other connections gave back could be taken anew.
    """
    grown: dict[str, dict[str, float]] = {}
    for case in CASES:
        grown[case.name] = {}
        for subject in setting.subjects:
            if subject.speaks_tls:
                say(f"{case.name}: {subject.name}")
                with start(subject, f"idle-{case.front.name}-{subject.name}") as each:
                    grown[case.name][subject.name] = _growth(setting, each, case) / N_CONNECTIONS
    return grown


def figures(grown: Grown) -> list[Figure]:
    """Compare bodega with nginx."""
    return [
        comparison.ratio(case, _BAR, {name: value / 1024 for name, value in by_name.items()}, "KiB", to=NGINX.name)
        for case, by_name in grown.items()
    ]


def _growth(setting: Setting, each: Instance, case: Case) -> int:
    before = Load("1k", "same:0", n_connections=_N_BEFORE, front=case.front)
    what = Load("1k", "same:0", n_connections=N_CONNECTIONS, front=case.front)
    with load.held(each.place, before, cores=setting.cores):
        resident = process_tree.resident_bytes(each.process.tree())
        with load.held(each.place, what, cores=setting.cores):
            return process_tree.resident_bytes(each.process.tree()) - resident
