"""bodega's own edge, as one line on the command line starts it, with metrics on; with a disk from bodega-disk.toml."""

from __future__ import annotations

from pathlib import Path

from benchmarks import programs, template
from benchmarks.subjects.subject import MEBIBYTE, Place, Subject, TlsPlace

NAME = "bodega"
_DISK = Path(__file__).with_name("bodega-disk.toml")


def bodega(executable: Path) -> Subject:
    """Return the subject that runs this command."""

    def version() -> str:
        return programs.first_line([str(executable), "version"])

    def prepare(place: Place) -> list[str]:
        tls = [] if place.tls is None else _tls(place.tls)
        return [
            *(str(executable), "edge", *_source(place)),
            *("--listen", f"127.0.0.1:{place.port}", "--admin", f"127.0.0.1:{place.admin_port}"),
            *("--threads", "1", "--memory", f"{place.memory_bytes // MEBIBYTE}MiB"),
            *tls,
        ]

    return Subject(name=NAME, programs=(), version=version, prepare=prepare, speaks_tls=True)


def _source(place: Place) -> list[str]:
    configuration = place.configuration or (_DISK if place.disk_bytes is not None else None)
    if configuration is None:
        return ["--origin", f"http://127.0.0.1:{place.origin_port}"]
    file = place.folder / "bodega.toml"
    template.fill(configuration, file, place.values())
    return [str(file)]


def _tls(place: TlsPlace) -> list[str]:
    return ["--listen-tls", f"127.0.0.1:{place.port}", "--tls", str(place.both)]
