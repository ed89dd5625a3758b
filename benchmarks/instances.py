"""Instances of the servers: each on the core of the server, with folders, a port and an origin of its own."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import process_tree
from benchmarks.certificate import Certificate
from benchmarks.cores import Cores, pinned
from benchmarks.running import Running, free_port, running
from benchmarks.subjects import Place, Subject

_MEMORY = Path("/dev/shm")
_SPACE_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Folders:
    """Where instances keep their files.

    Attributes:
        files: For configuration, logs and sockets.
        caches: In memory (tmpfs), or on disk where that has not enough room.
    """

    files: Path
    caches: Path


@dataclass(frozen=True, slots=True)
class Instance:
    """A server that is up."""

    subject: Subject
    place: Place
    process: Running

    @property
    def name(self) -> str:
        """What its subject is called."""
        return self.subject.name

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.place.port

    def held_bytes(self) -> int:
        """Return the memory it holds: resident, and for one that caches in files these files."""
        held = process_tree.resident_bytes(self.process.tree())
        if self.subject.caches_in_files:
            held += sum(path.stat().st_blocks * 512 for path in self.place.cache.rglob("*") if path.is_file())
        return held


@contextlib.contextmanager
def folders() -> Iterator[Folders]:
    """Make the folders; they are gone when the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="bodega-bench-") as files,
        tempfile.TemporaryDirectory(prefix="bodega-bench-", dir=_MEMORY if _has_room(_MEMORY) else None) as caches,
    ):
        yield Folders(Path(files), Path(caches))


@contextlib.contextmanager
def instance(
    subject: Subject,
    label: str,
    *,
    within: Folders,
    origin_port: int,
    memory_bytes: int,
    cores: Cores,
    n_clients: int = 64,
    certificate: Certificate | None = None,
) -> Iterator[Instance]:
    """Run one instance of a server until the block ends.

    Args:
        subject: The server.
        label: What to call its folders; not used before in this run.
        within: Where to make them.
        origin_port: Where its origin listens.
        memory_bytes: How much it may cache.
        cores: It runs on the core of the server.
        n_clients: How many connections it will have at once.
        certificate: With what it speaks TLS as well, if it does.
    """
    with (
        place(
            label,
            within=within,
            origin_port=origin_port,
            memory_bytes=memory_bytes,
            n_clients=n_clients,
            certificate=certificate,
        ) as found,
        at(found, subject, cores=cores) as started,
    ):
        yield started


@contextlib.contextmanager
def place(
    label: str,
    *,
    within: Folders,
    origin_port: int,
    memory_bytes: int,
    n_clients: int = 64,
    certificate: Certificate | None = None,
    disk_bytes: int | None = None,
    configuration: Path | None = None,
) -> Iterator[Place]:
    """Make a place for instances of a server, one after the other; what they cached is gone when the block ends.

    Args:
        label: As for `instance`, like all that is not named here.
        within: Where to make the folders.
        origin_port: Where the origin listens.
        memory_bytes: How much may be cached.
        n_clients: How many connections there will be at once.
        certificate: With what TLS is spoken as well, if it is.
        disk_bytes: How much may be cached on disk, for those that have two tiers.
        configuration: What bodega runs instead of its usual configuration.
    """
    made = Place(
        folder=within.files / label,
        cache=within.caches / label,
        port=free_port(),
        admin_port=free_port(),
        origin_port=origin_port,
        memory_bytes=memory_bytes,
        n_clients=n_clients,
        tls=None if certificate is None else certificate.at(free_port()),
        disk_bytes=disk_bytes,
        configuration=configuration,
    )
    made.folder.mkdir()
    made.cache.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made.cache, ignore_errors=True)


@contextlib.contextmanager
def at(place: Place, subject: Subject, *, cores: Cores) -> Iterator[Instance]:
    """Run a server at a place until the block ends."""
    command = pinned(subject.prepare(place), cores.server)
    with running(subject.name, command, port=place.port, folder=place.folder) as process:
        yield Instance(subject, place, process)


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free >= _SPACE_BYTES
