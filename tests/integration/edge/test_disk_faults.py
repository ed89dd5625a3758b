"""What disks do: they fill up, vanish, lie, and processes are killed in the middle.

No request fails for it, and no wrong byte is ever sent.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.integration.conftest import Serve
from tests.integration.edge.conftest import wait_until
from tests.integration.edge.disk_edge import HOST, declare, disk_of
from tests.integration.files_origin import MIB, Files, files_origin

from bodega import DiskTier

if TYPE_CHECKING:
    from tests.integration.edge.conftest import EdgeCommand

N_KILLS = int(os.environ.get("BODEGA_TEST_KILLS", "12"))
PATHS = [f"/files/{1000 + 37 * n}" for n in range(60)] + [f"/files/{MIB + 11 * n}" for n in range(12)]

Start = Callable[..., "EdgeCommand"]


@pytest.fixture
def files() -> Iterator[Files]:
    with files_origin() as files:
        yield files


class Clients:
    """Clients that ask for files at random and compare every byte, until they are told to stop."""

    def __init__(self, url: str, digests: dict[str, str], seed: int) -> None:
        self.url, self.digests = url, digests
        self.wrong: list[str] = []
        self.n_whole = 0
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:
            while not self._over.is_set():
                path = self._random.choice(list(self.digests))
                try:
                    answer = client.get(self.url + path)
                except httpx.HTTPError:
                    # The edge is killed while it answers: what is cut off does not look whole.
                    continue
                if answer.status_code != 200 or hashlib.sha256(answer.content).hexdigest() != self.digests[path]:
                    self.wrong.append(f"{path}: {answer.status_code}, {len(answer.content)} bytes")
                self.n_whole += 1

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_killed_at_random_moments_no_byte_is_wrong(command: Start, files: Files, tmp_path: Path) -> None:
    digests = {path: files.digest(path) for path in PATHS}
    config = declare(tmp_path, files, tmp_path / "disk")
    pauses = random.Random(6)
    for round_ in range(N_KILLS):
        edge = command(config)
        clients = Clients(edge.url, digests, round_)
        wait_until(lambda clients=clients: clients.n_whole > 5)  # type: ignore[misc]
        time.sleep(pauses.uniform(0, 0.4))  # The moment is the point.
        edge.process.kill()
        edge.process.wait()
        clients.stop()
        assert not clients.wrong, clients.wrong[:5]
    # In the end what was complete is there: asked for again it comes, mostly without the origin.
    edge = command(config)
    wait_until(lambda: disk_of(tmp_path, edge.pid).recovered)
    files.forget()
    with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:
        for path, digest in digests.items():
            assert hashlib.sha256(client.get(edge.url + path).content).hexdigest() == digest, path
    assert len(files.forget()) < len(PATHS) / 4


@pytest.mark.timeout(180)
@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_loaded_edge_is_warm_once_its_index_is_back(command: Start, files: Files, tmp_path: Path, end: str) -> None:
    """Zero: not one of those that had been written is asked of the origin again."""
    digests = {path: files.digest(path) for path in PATHS}
    config = declare(tmp_path, files, tmp_path / "disk")
    edge = command(config)
    with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:
        for path in digests:
            client.get(edge.url + path)
    wait_until(lambda: disk_of(tmp_path, edge.pid).queue_bytes == 0)
    files.forget()
    clients = Clients(edge.url, digests, 1)
    wait_until(lambda: clients.n_whole > 50, 60)
    getattr(edge.process, end)()
    edge.process.wait(60)
    clients.stop()
    assert not clients.wrong, clients.wrong[:5]
    edge = command(config)
    wait_until(lambda: disk_of(tmp_path, edge.pid).recovered)
    clients = Clients(edge.url, digests, 2)
    wait_until(lambda: clients.n_whole > 3 * len(PATHS), 60)
    clients.stop()
    assert not clients.wrong, clients.wrong[:5]
    assert files.forget() == []


def on_small_file_system(folder: Path) -> list[str]:
    """Return what runs bodega with a file system of its own there, of 24 MiB."""
    mount = f'mount -t tmpfs -o size=24m none {folder} && exec {sys.executable} -m bodega "$@"'
    return ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", mount, "bodega"]


def test_a_disk_that_fills_up_costs_no_request(command: Start, files: Files, tmp_path: Path) -> None:
    """The tier may have 64 MiB, the file system has 24."""
    disk = tmp_path / "small"
    disk.mkdir()
    edge = command(declare(tmp_path, files, disk / "cache"), command=on_small_file_system(disk))
    digests = {path: files.digest(path) for path in [f"/files/{MIB + 100 * n}" for n in range(60)]}
    with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:
        for path, digest in {**digests, **digests}.items():
            answer = client.get(edge.url + path)
            assert answer.status_code == 200
            assert hashlib.sha256(answer.content).hexdigest() == digest, path


def test_a_disk_that_others_fill_up_costs_no_request(command: Start, files: Files, tmp_path: Path) -> None:
    """There is no room at all for a while, not even for what the edge has taken already."""
    disk = tmp_path / "small"
    disk.mkdir()
    edge = command(declare(tmp_path, files, disk / "cache"), command=on_small_file_system(disk))
    seen_from_here = Path(f"/proc/{edge.pid}/root{disk}")
    assert os.statvfs(seen_from_here).f_blocks * os.statvfs(seen_from_here).f_frsize == 24 * MIB
    digests = {path: files.digest(path) for path in [f"/files/{MIB + 100 * n}" for n in range(30)]}

    def free_bytes() -> int:
        found = os.statvfs(seen_from_here)
        return found.f_bavail * found.f_frsize

    with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:

        def ask(paths: list[str]) -> None:
            for path in paths:
                answer = client.get(edge.url + path)
                assert answer.status_code == 200
                assert hashlib.sha256(answer.content).hexdigest() == digests[path], path

        ask(list(digests)[:8])
        with (seen_from_here / "others").open("wb") as filler, pytest.raises(OSError, match="space"):
            filler.write(bytes(24 * MIB))
        ask(list(digests))
        # What is to stay free is given back.
        wait_until(lambda: free_bytes() >= 1_000_000)
        ask(list(digests))
        (seen_from_here / "others").unlink()
        wait_until(lambda: disk_of(tmp_path, edge.pid).up, 60)
        # What fits is kept again, and is not asked of the origin.
        wait_until(lambda: is_kept(lambda: ask(list(digests)[:4]), files), 60)


def is_kept(ask: Callable[[], None], files: Files) -> bool:
    """Whether nothing had to be asked of the origin."""
    files.forget()
    ask()
    return files.forget() == []


def test_a_directory_that_vanishes_costs_no_request_and_comes_back(serve: Serve, files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    tier = DiskTier(path=str(folder), size="64MiB", reserve="1MB", admission="always")
    edge = serve(files.url, memory="8MB", disk=tier)
    digests = {path: files.digest(path) for path in PATHS}
    with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:

        def round_() -> None:
            for path, digest in digests.items():
                answer = client.get(edge.url + path)
                assert answer.status_code == 200
                assert hashlib.sha256(answer.content).hexdigest() == digest, path

        round_()
        shutil.rmtree(folder)
        for _ in range(3):
            round_()
        # It is made anew, and filled anew.
        wait_until(lambda: (edge.stats().disk or pytest.fail("no disk")).up, 60)
        round_()
        round_()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_files_are_noticed(serve: Serve, files: Files, tmp_path: Path, share: float) -> None:
    folder = tmp_path / "disk"
    tier = DiskTier(path=str(folder), size="64MiB", reserve="1MB", admission="always")
    edge = serve(files.url, memory="8MB", disk=tier)
    digests = {path: files.digest(path) for path in PATHS}
    with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:
        for path in digests:
            client.get(edge.url + path)
    edge.stop()
    for file in folder.rglob("*"):
        if file.is_file() and file.stat().st_size >= 64 * 1024:
            os.truncate(file, int(file.stat().st_size * share))
    edge.start()
    with httpx.Client(headers=HOST, trust_env=False, timeout=30) as client:
        for path, digest in {**digests, **digests}.items():
            answer = client.get(edge.url + path)
            assert answer.status_code == 200
            assert hashlib.sha256(answer.content).hexdigest() == digest, path
