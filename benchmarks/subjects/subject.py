"""What a measurement knows of a server, and where an instance of it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class TlsPlace:
    """Where an instance speaks TLS, and with what.

    Attributes:
        port: Where it listens for TLS.
        certificate: The certificate (PEM).
        key: Its private key (PEM).
        both: Both in one file, for servers that want it so.
    """

    port: int
    certificate: Path
    key: Path
    both: Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instance runs.

    Attributes:
        folder: Its own folder, for configuration and logs.
        cache: Its own folder in memory (tmpfs, where there is one), for servers that cache in files.
        port: Where it listens.
        admin_port: Where it tells of itself, if it does that by HTTP.
        origin_port: Where its origin listens.
        memory_bytes: How much it may cache.
        n_clients: How many connections it will have at once.
        tls: Where it speaks TLS as well, if it does.
        disk_bytes: How much it may cache on disk, where that is measured.
        configuration: A `bodega.toml` of the measurement's own, with the places that `values` names.
    """

    folder: Path
    cache: Path
    port: int
    admin_port: int
    origin_port: int
    memory_bytes: int
    n_clients: int
    tls: TlsPlace | None = None
    disk_bytes: int | None = None
    configuration: Path | None = None

    def values(self) -> dict[str, object]:
        """Return what the configuration files may ask for."""
        tls = {} if self.tls is None else {f"TLS_{name.upper()}": value for name, value in asdict(self.tls).items()}
        return {
            **tls,
            "FOLDER": self.folder,
            "CACHE": self.cache,
            "PORT": self.port,
            "ORIGIN_PORT": self.origin_port,
            "MEMORY_BYTES": self.memory_bytes,
            "MEMORY_MEBIBYTES": self.memory_bytes // MEBIBYTE,
            "DISK_MEBIBYTES": (self.disk_bytes or 0) // MEBIBYTE,
            # For those that have one tier, wherever it is.
            "CACHE_MEBIBYTES": (self.disk_bytes or self.memory_bytes) // MEBIBYTE,
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """A server to measure.

    Attributes:
        name: What it is called in figures and results.
        programs: The programs it needs.
        version: Says which version it is.
        prepare: Writes its configuration and returns the command that runs it in the foreground.
        caches_in_files: Whether what it caches is in files of `Place.cache` rather than in its own memory.
        takes_memory_at_start: Whether all memory it may use is its own from the start, so that it never grows.
        speaks_tls: Whether it listens for TLS as well, with HTTP/2, where its place says so.
    """

    name: str
    programs: Sequence[str]
    version: Callable[[], str]
    prepare: Callable[[Place], list[str]]
    caches_in_files: bool = False
    takes_memory_at_start: bool = False
    speaks_tls: bool = False
