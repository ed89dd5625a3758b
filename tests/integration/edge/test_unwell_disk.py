"""A disk that returns errors, takes no writes any more or is slow: the edge goes on with memory, and takes it back.

No request fails, no byte is wrong, and nobody waits for such a disk for long.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.integration.edge.conftest import wait_until
from tests.integration.edge.disk_edge import HOST, admin_of, declare, disk_of
from tests.integration.edge.unwell_disk import UnwellDisk, compile_library
from tests.integration.exposition import parse_exposition
from tests.integration.files_origin import MIB, Files, files_origin

from bodega.edge.stats import DiskStats

if TYPE_CHECKING:
    from tests.integration.edge.conftest import EdgeCommand

SMALL = [f"/files/{2000 + 31 * n}" for n in range(40)]
LARGE = [f"/files/{MIB + 1 + 17 * n}" for n in range(6)]
HUGE = [f"/files/{24 * MIB + 3}"]
# Long enough for the keeper's look (every five seconds) on a busy machine.
PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_library(tmp_path_factory.mktemp("unwell-disk"))


@pytest.fixture
def disk(tmp_path: Path, library: Path) -> Iterator[UnwellDisk]:
    with UnwellDisk(tmp_path / "disk", library, tmp_path / "switch") as disk:
        yield disk


@pytest.fixture
def files() -> Iterator[Files]:
    with files_origin() as files:
        yield files


@dataclass
class Site:
    """An edge on such a disk, and a client that looks at every byte."""

    edge: EdgeCommand
    files: Files
    folder: Path

    def stats(self) -> DiskStats:
        return disk_of(self.folder, self.edge.pid)

    def ask(self, paths: Iterable[str]) -> float:
        """Ask for files, one after the other; returns how many seconds the slowest took."""
        slowest = 0.0
        with httpx.Client(headers=HOST, trust_env=False, timeout=60) as client:
            for path in paths:
                began = time.monotonic()
                answer = client.get(self.edge.url + path)
                slowest = max(slowest, time.monotonic() - began)
                assert answer.status_code == 200, path
                assert hashlib.sha256(answer.content).hexdigest() == self.files.digest(path), path
        return slowest

    def wait_written(self) -> None:
        wait_until(lambda: self.stats().queue_bytes == 0)

    def wait_up(self, is_up: bool) -> None:
        wait_until(lambda: self.stats().up is is_up, PATIENCE_SECONDS)

    def gauge(self, name: str) -> float:
        family = parse_exposition(admin_of(self.folder, self.edge.pid).metrics())[name]
        return sum(sample.value for sample in family.samples)


Start = Callable[[], Site]


@pytest.fixture
def start(command: Callable[..., EdgeCommand], files: Files, disk: UnwellDisk, tmp_path: Path) -> Start:
    """Start an edge that has nothing in memory."""
    config = declare(tmp_path, files, disk.folder)

    def start_edge() -> Site:
        site = Site(command(config, command=disk.command), files, tmp_path)
        wait_until(lambda: site.stats().recovered)
        return site

    return start_edge


@pytest.fixture
def filled(start: Start) -> Site:
    """An edge in its second life: everything is on disk, and nothing in memory."""
    site = start()
    site.ask([*SMALL, *LARGE, *HUGE])
    site.wait_written()
    site.edge.process.terminate()
    assert site.edge.process.wait(60) == 0
    site = start()
    site.files.forget()
    return site


def test_without_errors_everything_comes_from_this_disk(filled: Site, disk: UnwellDisk) -> None:
    """What the other tests begin with."""
    filled.ask([*SMALL, *LARGE])
    assert filled.files.forget() == []
    assert filled.stats().read_bytes > 6 * MIB
    assert [disk.n_failed(kind) for kind in ("read", "write", "sync", "open", "send")] == [0] * 5


def test_a_disk_that_cannot_be_read_costs_no_request(filled: Site, disk: UnwellDisk) -> None:
    with disk.failing(read=errno.EIO):
        filled.ask([*SMALL, *LARGE])
        filled.wait_up(False)
        assert disk.n_failed("read") >= 5
        stats = filled.stats()
        assert "Input/output error" in (stats.reason or ""), stats.reason
        assert stats.n_errors >= 5
        assert filled.gauge("cdn_disk_up") == 0
        filled.edge.wait_said("the disk tier is off")
        # Memory does alone.
        filled.ask([*SMALL, *LARGE])
    filled.wait_up(True)
    assert filled.gauge("cdn_disk_up") == 1
    filled.edge.wait_said("the disk tier is on again")
    keeps(filled)


def test_a_disk_that_cannot_be_written_costs_no_request(filled: Site, disk: UnwellDisk) -> None:
    new = [path.replace("/files/", "/files/1") for path in SMALL]
    with disk.failing(write=errno.EIO):
        filled.ask([*SMALL, *new, *LARGE])
        filled.wait_up(False)
        assert "Input/output error" in (filled.stats().reason or "")
        assert filled.gauge("cdn_disk_up") == 0
        filled.edge.wait_said("the disk tier is off")
        filled.ask([*SMALL, *new, *LARGE])
    filled.wait_up(True)
    keeps(filled)


def test_a_disk_that_has_become_read_only_costs_no_request(filled: Site, disk: UnwellDisk) -> None:
    """As ext4 does after an error: what is open for writing stays open, and every change is refused."""
    new = [path.replace("/files/", "/files/1") for path in SMALL]
    with disk.failing(write=errno.EROFS, sync=errno.EROFS, open=errno.EROFS):
        filled.ask([*SMALL, *new, *LARGE])
        filled.wait_up(False)
        assert "Read-only file system" in (filled.stats().reason or "")
        filled.edge.wait_said("the disk tier is off")
        filled.ask([*SMALL, *new, *LARGE])
        purged = admin_of(filled.folder, filled.edge.pid).invalidate([f"http://files.test{SMALL[0]}"])
        assert not purged.durable
        filled.files.forget()
        filled.ask(SMALL[:1])
        assert len(filled.files.forget()) == 1
    filled.wait_up(True)
    wait_until(lambda: admin_of(filled.folder, filled.edge.pid).invalidate(["tag:none"]).durable, PATIENCE_SECONDS)
    keeps(filled)


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS])
def test_a_disk_that_is_unwell_at_the_start_keeps_nobody_from_serving(
    start: Start, disk: UnwellDisk, error: int, command: Callable[..., EdgeCommand], files: Files, tmp_path: Path
) -> None:
    with disk.failing(write=error, open=error, sync=error):
        site = Site(command(declare(tmp_path, files, disk.folder), command=disk.command), files, tmp_path)
        site.ask([*SMALL, *LARGE])
        stats = site.stats()
        assert (stats.up, stats.recovered) == (False, False)
        assert os.strerror(error) in (stats.reason or "")
        assert site.gauge("cdn_disk_up") == 0
        site.edge.wait_said("the disk tier is off, memory goes on alone")
        site.edge.process.terminate()
        assert site.edge.process.wait(60) == 0
    # The next one has it.
    assert start().stats().up


def test_what_cannot_be_brought_to_the_disk_is_not_called_durable(filled: Site, disk: UnwellDisk) -> None:
    admin = admin_of(filled.folder, filled.edge.pid)
    with disk.failing(sync=errno.EIO):
        filled.ask([*SMALL, *LARGE])
        filled.files.forget()
        assert not admin.invalidate([f"http://files.test{SMALL[0]}"]).durable
        filled.edge.wait_said("would not survive a restart")
        # It is in force all the same.
        filled.ask(SMALL[:1])
        assert len(filled.files.forget()) == 1
        assert disk.n_failed("sync") > 0
    wait_until(lambda: admin.invalidate(["tag:none"]).durable, PATIENCE_SECONDS)
    filled.edge.wait_said("invalidations are durable again")


def test_a_disk_that_fails_while_a_file_is_sent_breaks_no_answer(filled: Site, disk: UnwellDisk) -> None:
    """`sendfile` of what was in memory a moment ago, and has to be read anew now."""
    filled.ask(LARGE)
    with disk.failing(send=errno.EIO):
        filled.ask(LARGE)
        assert disk.n_failed("send") >= len(LARGE)
    keeps(filled)


@pytest.mark.parametrize("milliseconds", [500, 30_000], ids=["slow", "stuck"])
def test_nobody_waits_for_a_disk_that_has_become_slow(filled: Site, disk: UnwellDisk, milliseconds: int) -> None:
    """From it the largest file would take most of a minute, or as good as for ever."""
    # Nobody waits longer than a second for one read, and after the fifth that is late no more are made.
    bound_seconds = 15
    with disk.slow(milliseconds):
        assert filled.ask([*HUGE, *SMALL, *LARGE]) < bound_seconds
        assert disk.n_slow("read") > 0
        filled.wait_up(False)
        assert "timed out" in (filled.stats().reason or "")
        assert filled.gauge("cdn_disk_up") == 0
        filled.edge.wait_said("the disk tier is off")
        filled.ask([*HUGE, *SMALL, *LARGE])
    filled.wait_up(True)
    keeps(filled)


def keeps(site: Site) -> None:
    """Look that what is asked for now is kept."""
    site.ask([*SMALL, *LARGE])
    site.wait_written()
    site.files.forget()
    site.ask([*SMALL, *LARGE])
    assert site.files.forget() == []
