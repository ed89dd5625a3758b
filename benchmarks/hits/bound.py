"""The bound on memory: how much a server ever grows when it is asked to hold several times what it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import comparison, load, process_tree
from benchmarks.figure import Figure
from benchmarks.instances import Instance, instance
from benchmarks.load import Load
from benchmarks.origin.fast import fast_origin
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.subjects import BODEGA, MEBIBYTE

_BOUND_BYTES = 64 * MEBIBYTE
_BEFORE = (Load("1k", "same:0"), 20_000)
_FILLS: Mapping[str, tuple[Load, int]] = {
    # About 200 MB each time.
    "small objects": (Load("1k", "from:0"), 200_000),
    "larger ones in their place": (Load("100k", "from:0"), 2_000),
    "small ones again": (Load("1k", "from:1000000"), 200_000),
}


def measure(setting: Setting) -> dict[str, dict[str, float]]:
    """Return how much each server had grown at most after each fill, as a multiple of its bound.

    Judged is bodega alone; others are told where there is time.
    """
    subjects = [subject for subject in setting.subjects if subject.name == BODEGA or setting.is_long]
    grown = {}
    with fast_origin(setting.folders.files / "bound-origin", setting.cores) as origin:
        for subject in subjects:
            say(f"memory of {_BOUND_BYTES // MEBIBYTE} MiB filled with 600 MB: {subject.name}")
            with instance(
                subject,
                f"bound-{subject.name}",
                within=setting.folders,
                origin_port=origin.port,
                memory_bytes=_BOUND_BYTES,
                cores=setting.cores,
            ) as each:
                grown[subject.name] = _peak_growth(setting, each)
    return grown


def figure(grown: Mapping[str, Mapping[str, float]]) -> Figure:
    """Judge what bodega grew by."""
    highest = {name: max(fills.values()) for name, fills in grown.items()}
    own = ", ".join(f"{fill} {value:.2f}" for fill, value in grown.get(BODEGA, {}).items())
    detail = f"({own})" if len(grown) < 2 else comparison.shown(highest, "x")
    return Figure("most memory ever, by the bound of 64 MiB", highest.get(BODEGA), 1.0, "x bound", detail)


def _peak_growth(setting: Setting, each: Instance) -> dict[str, float]:
    what, n_requests = _BEFORE
    load.run_all(each.place, what, cores=setting.cores, n_requests=n_requests)
    tree = each.process.tree()
    for pid in tree:
        _forget_peak(pid)
    before = _peak_bytes(tree)
    grown = {}
    for name, (what, n_requests) in _FILLS.items():
        load.run_all(each.place, what, cores=setting.cores, n_requests=n_requests)
        grown[name] = (_peak_bytes(tree) - before) / _BOUND_BYTES
    return grown


def _peak_bytes(tree: Sequence[int]) -> int:
    return sum(process_tree.peak_resident_bytes(pid) for pid in tree)


def _forget_peak(pid: int) -> None:
    # 5 sets VmHWM to what is resident now (proc_pid_clear_refs(5)).
    Path(f"/proc/{pid}/clear_refs").write_text("5")
