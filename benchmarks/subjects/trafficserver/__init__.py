"""Apache Traffic Server with its memory cache, run from a folder of its own (the files beside this one)."""

from __future__ import annotations

from pathlib import Path

from benchmarks import programs, template
from benchmarks.subjects.subject import MEBIBYTE, Place, Subject

_CONFIGURATION = Path(__file__).parent
_FILES = ("records.config", "remap.config", "storage.config", "ip_allow.yaml", "runroot.yaml")
_STORAGE_MEBIBYTES = 1024


def _version() -> str:
    return programs.first_line([programs.find("traffic_server"), "-V"])


def _prepare(place: Place) -> list[str]:
    values = place.values() | {"STORAGE_MEBIBYTES": max(_STORAGE_MEBIBYTES, 2 * place.memory_bytes // MEBIBYTE)}
    for name in _FILES:
        template.fill(_CONFIGURATION / name, place.folder / name, values)
    return [programs.find("traffic_server"), f"--run-root={place.folder / 'runroot.yaml'}"]


TRAFFIC_SERVER = Subject(name="trafficserver", programs=("traffic_server",), version=_version, prepare=_prepare)
