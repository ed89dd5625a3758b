"""The fast origin: nginx that answers any key of a size, with a head of 200 bytes at 1 KiB, and counts requests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks import objects, programs, template, user
from benchmarks.cores import Cores, pinned
from benchmarks.exchange import Connection
from benchmarks.failure import MeasurementFailed
from benchmarks.running import free_port, running

HEAD_BYTES = 200
"""Length of the head of an object of 1 KiB as the origin sends it, without what no cache keeps (`Connection`)."""

_CONFIGURATION = Path(__file__).with_name("fast.conf")


class FastOrigin:
    """An origin that is up."""

    def __init__(self, port: int, objects_folder: Path) -> None:
        self.port = port
        self._objects_folder = objects_folder
        self._n_own = 0

    def n_requests(self) -> int:
        """Return how many requests came so far, without those that this object made."""
        with self._connection() as connection:
            words = self._ask(connection, "/status").split()
        # "server accepts handled requests A B C": the one that asks is among them.
        return int(words[words.index(b"requests") + 3]) - self._n_own

    def file(self, folder: str) -> Path | None:
        """Return the file that holds the objects of a size; none where each key has a body of its own."""
        file = self._objects_folder / folder
        return file if file.is_file() else None

    def head_bytes(self) -> int:
        """Return the length of the head of an object of 1 KiB."""
        with self._connection() as connection:
            self._n_own += 1
            head = connection.ask(objects.path("1k", 0)).head
        return len(head.replace(b"Connection: keep-alive\r\n", b""))

    def _connection(self) -> Connection:
        return Connection(self.port)

    def _ask(self, connection: Connection, path: str) -> bytes:
        self._n_own += 1
        return connection.ask(path).body


@contextlib.contextmanager
def fast_origin(folder: Path, cores: Cores) -> Iterator[FastOrigin]:
    """Run the origin until the block ends.

    Args:
        folder: A folder to make, for its files.
        cores: It runs on the core of the load.
    """
    folder.mkdir()
    objects.write(folder / "objects")
    port = free_port()
    configuration = folder / "nginx.conf"
    template.fill(
        _CONFIGURATION,
        configuration,
        {
            "PORT": port,
            "USER": user.user_and_group(),
            "OBJECTS": folder / "objects",
            "PAD": objects.PAD,
        },
    )
    command = [programs.find("nginx"), "-p", str(folder), "-c", str(configuration)]
    with running("the origin", pinned(command, cores.load), port=port, folder=folder):
        origin = FastOrigin(port, folder / "objects")
        if (n_bytes := origin.head_bytes()) != HEAD_BYTES:
            raise MeasurementFailed(f"the origin's head has {n_bytes} bytes instead of {HEAD_BYTES}")
        yield origin
