"""Varnish with storage in memory (varnish.vcl)."""

from __future__ import annotations

from pathlib import Path

from benchmarks import programs, template
from benchmarks.subjects.subject import Place, Subject

_CONFIGURATION = Path(__file__).with_name("varnish.vcl")

_PARAMETERS = {
    # One pool, with the threads for all clients there from the start: one that reads along needs a thread of its own.
    "thread_pools": "1",
    "thread_pool_min": "1500",
    "thread_pool_max": "4000",
    "listen_depth": "4096",
    "http_gzip_support": "off",
    "timeout_idle": "3600",
    "backend_idle_timeout": "3600",
    # How often a hit may move its object in the list of those used last.
    "lru_interval": "3600",
    # A larger object may take the place of as many small ones as it needs.
    "nuke_limit": "100000",
    # It is paused while others are measured; its manager shall not take that for a hang.
    "cli_timeout": "3600",
}


def _version() -> str:
    return programs.first_line([programs.find("varnishd"), "-V"])


def _prepare(place: Place) -> list[str]:
    configuration = place.folder / "varnish.vcl"
    template.fill(_CONFIGURATION, configuration, place.values())
    return [
        *(programs.find("varnishd"), "-F", "-n", str(place.folder / "run"), "-f", str(configuration)),
        # No change of user: the folder belongs to whoever measures.
        *("-j", "none", "-T", "none", "-a", f"127.0.0.1:{place.port}"),
        *("-s", f"malloc,{place.memory_bytes}"),
        *(word for name, value in _PARAMETERS.items() for word in ("-p", f"{name}={value}")),
    ]


VARNISH = Subject(name="varnish", programs=("varnishd",), version=_version, prepare=_prepare)
