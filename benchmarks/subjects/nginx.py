"""nginx with `proxy_cache` (nginx.conf), and with TLS where it is measured (nginx-tls.conf).

A second one leaves waiting for the disk to threads (nginx-threads.conf).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks import open_files, programs, template, user
from benchmarks.subjects.subject import Place, Subject

_CONFIGURATION = Path(__file__).with_name("nginx.conf")
_TLS = Path(__file__).with_name("nginx-tls.conf")
_THREADS = Path(__file__).with_name("nginx-threads.conf")
# For sockets, logs and the files that are being written.
_OTHER_FILES = 4_000


def _version() -> str:
    return programs.first_line([programs.find("nginx"), "-v"]).removeprefix("nginx version: ")


def _prepare(place: Place) -> list[str]:
    configuration = place.folder / "nginx.conf"
    values = place.values() | {
        "USER": user.user_and_group(),
        "MAX_OPEN_FILES": open_files.limit(),
        "KEPT_OPEN": max(open_files.limit() - _OTHER_FILES, 1),
    }
    template.fill(_CONFIGURATION, configuration, values)
    if place.tls is not None:
        template.fill(_TLS, place.folder / _TLS.name, values)
    return [programs.find("nginx"), "-p", str(place.folder), "-c", str(configuration)]


def _prepare_with_threads(place: Place) -> list[str]:
    template.fill(_THREADS, place.folder / _THREADS.name, {})
    return _prepare(place)


NGINX = Subject(
    name="nginx", programs=("nginx",), version=_version, prepare=_prepare, caches_in_files=True, speaks_tls=True
)

NGINX_WITH_THREADS = replace(NGINX, name="nginx, aio threads", prepare=_prepare_with_threads)
