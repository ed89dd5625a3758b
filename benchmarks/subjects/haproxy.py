"""HAProxy with its memory cache (haproxy.cfg), and with TLS where it is measured (haproxy-tls.cfg)."""

from __future__ import annotations

from pathlib import Path

from benchmarks import programs, template
from benchmarks.subjects.subject import Place, Subject

_CONFIGURATION = Path(__file__).with_name("haproxy.cfg")
_TLS = Path(__file__).with_name("haproxy-tls.cfg")
_BUFFER_BYTES = 16384


def _version() -> str:
    return programs.first_line([programs.find("haproxy"), "-v"])


def _prepare(place: Place) -> list[str]:
    configuration = place.folder / "haproxy.cfg"
    template.fill(_CONFIGURATION, configuration, place.values() | {"BUFFER_BYTES": _BUFFER_BYTES})
    command = [programs.find("haproxy"), "-db", "-f", str(configuration)]
    if place.tls is not None:
        template.fill(_TLS, place.folder / _TLS.name, place.values())
        command += ["-f", str(place.folder / _TLS.name)]
    return command


HAPROXY = Subject(
    name="haproxy",
    programs=("haproxy",),
    version=_version,
    prepare=_prepare,
    takes_memory_at_start=True,
    speaks_tls=True,
)
