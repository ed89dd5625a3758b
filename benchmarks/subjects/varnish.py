"""Varnish with storage in memory (varnish.vcl)."""

from __future__ import annotations

from pathlib import Path

from benchmarks import programs, template
from benchmarks.subjects.subject import Place, Subject

_CONFIGURATION = Path(__file__).with_name("varnish.vcl")
_SPARE_THREADS = 100

# What a client's request writes to the log in memory, which costs a quarter of a hit.
_NOT_LOGGED = (
    *("Begin", "End", "Link", "Timestamp", "SessOpen", "SessClose", "VCL_call", "VCL_return", "Hit"),
    *("ReqStart", "ReqMethod", "ReqURL", "ReqProtocol", "ReqHeader", "ReqUnset", "ReqAcct"),
    *("RespProtocol", "RespStatus", "RespReason", "RespHeader", "RespUnset"),
    *("BereqMethod", "BereqURL", "BereqProtocol", "BereqHeader", "BereqUnset", "BereqAcct"),
    *("BerespProtocol", "BerespStatus", "BerespReason", "BerespHeader", "BerespUnset"),
    *("BackendOpen", "BackendStart", "BackendClose", "Fetch_Body", "Storage", "TTL", "Length"),
)

_PARAMETERS = {
    "thread_pools": "1",
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
    "vsl_mask": ",".join(f"-{tag}" for tag in _NOT_LOGGED),
}


def _version() -> str:
    return programs.first_line([programs.find("varnishd"), "-V"])


def _prepare(place: Place) -> list[str]:
    configuration = place.folder / "varnish.vcl"
    template.fill(_CONFIGURATION, configuration, place.values())
    # A thread for every client from the start: one that reads along while an object comes needs its own.
    parameters = _PARAMETERS | {"thread_pool_min": str(place.n_clients + _SPARE_THREADS)}
    return [
        *(programs.find("varnishd"), "-F", "-n", str(place.folder / "run"), "-f", str(configuration)),
        # No change of user: the folder belongs to whoever measures.
        *("-j", "none", "-T", "none", "-a", f"127.0.0.1:{place.port}"),
        *("-s", f"malloc,{place.memory_bytes}"),
        *(word for name, value in parameters.items() for word in ("-p", f"{name}={value}")),
    ]


VARNISH = Subject(name="varnish", programs=("varnishd",), version=_version, prepare=_prepare)
