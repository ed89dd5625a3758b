"""The disk tier behind real sockets: what was kept is there after any end, by slices, whichever way it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.certificates import Authority
from tests.integration.conftest import Front, Serve
from tests.integration.edge.conftest import wait_until
from tests.integration.edge.disk_edge import HOST, declare, disk_of
from tests.integration.files_origin import MIB, Files, files_origin

from bodega import DiskTier, EdgeServer

if TYPE_CHECKING:
    from tests.integration.edge.conftest import EdgeCommand

SIZES = (0, 1, 1000, 70_000, 300_000, MIB, 3 * MIB + 1, 12 * MIB)


@pytest.fixture
def files() -> Iterator[Files]:
    with files_origin() as files:
        yield files


@pytest.fixture
def tier(tmp_path: Path) -> DiskTier:
    return DiskTier(path=str(tmp_path / "disk"), size="256MiB", reserve="1MB", admission="always")


def digest(url: str, **options: Any) -> str:
    """Fetch a URL and hash its body."""
    total = hashlib.sha256()
    with httpx.stream("GET", url, headers=HOST, timeout=60, trust_env=False, **options) as answer:
        assert answer.status_code == 200, answer.status_code
        for piece in answer.iter_raw():
            total.update(piece)
    return total.hexdigest()


def is_recovered(edge: EdgeServer) -> Callable[[], bool]:
    def ask() -> bool:
        disk = edge.stats().disk
        return disk is not None and disk.recovered

    return ask


def is_written(edge: EdgeServer) -> Callable[[], bool]:
    def ask() -> bool:
        disk = edge.stats().disk
        return disk is not None and disk.queue_bytes == 0

    return ask


def test_after_a_clean_stop_nothing_is_asked_of_the_origin(serve: Serve, files: Files, tier: DiskTier) -> None:
    paths = [f"/files/{size}" for size in SIZES]
    edge = serve(files.url, disk=tier)
    for path in paths:
        assert digest(edge.url + path) == files.digest(path), path
    edge.stop()
    files.forget()
    edge.start()
    wait_until(is_recovered(edge))
    for path in paths * 2:
        assert digest(edge.url + path) == files.digest(path), path
    assert files.forget() == []
    stats = edge.stats()
    assert stats.hit_rate == 1.0
    assert stats.count("l2") >= len(paths)


@pytest.mark.parametrize("over", ["http1", "tls", "http2"])
def test_large_bodies_come_from_disk_whole_over_every_front(
    front: Front, files: Files, tier: DiskTier, authority: Authority, over: str
) -> None:
    disk = {
        "path": tier.path,
        "size_bytes": 256 << 20,
        "reserve_bytes": 1_000_000,
        "admission": "always",
        "policy": "shelf",
        "rebuild": False,
    }

    class Origin:
        url = files.url

    edge = front(Origin(), disk=disk)  # type: ignore[arg-type]
    base = edge.url if over == "http1" else edge.tls
    path = f"/files/{20 * MIB + 5}"
    with httpx.Client(http2=over == "http2", verify=authority.trusting(), timeout=60, trust_env=False) as client:
        for _ in range(3):
            answer = client.get(base + path)
            assert hashlib.sha256(answer.content).hexdigest() == files.digest(path)
            assert answer.http_version == ("HTTP/2" if over == "http2" else "HTTP/1.1")
        part = client.get(base + path, headers={"Range": f"bytes={5 * MIB - 10}-{5 * MIB + 9}"})
        assert part.status_code == 206
        assert part.content == files.body(path)[5 * MIB - 10 : 5 * MIB + 10]
    assert len(files.forget()) == 1


def test_what_was_written_before_a_kill_is_served_again(
    command: Callable[..., EdgeCommand], files: Files, tier: DiskTier, tmp_path: Path
) -> None:
    config = declare(tmp_path, files, Path(tier.path), size="256MiB", memory="16MB")
    paths = [f"/files/{1000 + n}" for n in range(200)] + [f"/files/{2 * MIB + n}" for n in range(10)]
    edge = command(config)
    for path in paths:
        assert digest(edge.url + path) == files.digest(path), path

    wait_until(lambda: disk_of(tmp_path, edge.pid).queue_bytes == 0)
    edge.process.kill()
    edge.process.wait()
    files.forget()
    edge = command(config)

    wait_until(lambda: disk_of(tmp_path, edge.pid).recovered)
    edge.wait_said("210 entries on disk, 10 of them with large bodies")
    assert not edge.has_said("warning"), edge.lines
    for path in paths:
        assert digest(edge.url + path) == files.digest(path), path
    assert files.forget() == []


def test_ranges_of_a_large_file_are_fetched_by_slice_and_shown(serve: Serve, files: Files, tier: DiskTier) -> None:
    edge = serve(files.url, disk=tier)
    path = f"/files/{100 * MIB}"
    whole = files.body(path)
    for first in (0, 50 * MIB + 7, 50 * MIB + 900_000, 99 * MIB):
        last = first + 99_999
        got = httpx.get(
            edge.url + path, headers={**HOST, "Range": f"bytes={first}-{last}"}, timeout=60, trust_env=False
        )
        assert got.status_code == 206
        assert got.content == whole[first : last + 1]
    # What a slice has behind the range that was asked for comes after the answer.
    wait_until(lambda: edge.cache.show(f"http://files.test{path}")[0].slices_there >= 3)
    wait_until(is_written(edge))
    [shown] = edge.cache.show(f"http://files.test{path}")
    assert shown.size_bytes == 100 * MIB
    assert shown.slices_all == 100
    assert 3 <= shown.slices_there < 100
    asked = files.forget()
    assert all(written.startswith("bytes=") for _, written in asked[1:]), asked
    assert digest(edge.url + path) == files.digest(path)
    wait_until(is_written(edge))
    assert edge.cache.show(f"http://files.test{path}")[0].slices_there == 100
    files.forget()
    assert digest(edge.url + path) == files.digest(path)
    assert files.forget() == []


def test_damage_is_noticed_and_mended(serve: Serve, files: Files, tier: DiskTier) -> None:
    edge = serve(files.url, disk=tier)
    paths = ["/files/5000", f"/files/{5 * MIB}"]
    for path in paths:
        digest(edge.url + path)
    edge.stop()
    flipped = 0
    for file in Path(tier.path).rglob("*"):
        if file.is_file() and file.stat().st_size >= MIB:
            with file.open("r+b") as stream:
                for place in range(4096, file.stat().st_size, 400_000):
                    stream.seek(place)
                    byte = stream.read(1)
                    stream.seek(place)
                    stream.write(bytes([byte[0] ^ 0x10]))
                    flipped += 1
    assert flipped
    edge.start()
    wait_until(is_recovered(edge))
    for path in paths * 2:
        assert digest(edge.url + path) == files.digest(path), path
    check = edge.cache.verify(timeout="60s")
    assert check.is_complete
    again = edge.cache.verify(timeout="60s")
    assert again.n_bad == 0


def test_a_directory_in_use_is_refused(serve: Serve, files: Files, tier: DiskTier) -> None:
    serve(files.url, disk=tier)
    with pytest.raises(Exception, match="in use by another edge"):
        serve(files.url, disk=tier)


def test_the_size_is_a_bound(serve: Serve, files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    edge = serve(
        files.url, memory="8MB", disk=DiskTier(path=str(folder), size="32MiB", reserve="1MB", admission="always")
    )
    for n in range(60):
        path = f"/files/{MIB + 1000 + n}"
        assert digest(edge.url + path) == files.digest(path), path
    wait_until(is_written(edge))
    used = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
    assert used <= 32 * MIB
    disk = edge.stats().disk
    assert disk is not None
    assert disk.n_evictions > 0


def test_a_large_file_that_had_to_go_is_kept_again(serve: Serve, files: Files, tmp_path: Path) -> None:
    """Its head stays in memory when its last slice leaves the disk; every later request went to the origin."""
    tier = DiskTier(path=str(tmp_path / "small"), size="32MiB", reserve="1MB", admission="always")
    edge = serve(files.url, memory="8MB", disk=tier)
    path = f"/files/{2 * MIB}"
    digest(edge.url + path)
    others = (f"/files/{2 * MIB + n}" for n in range(1, 1000))
    wait_until(is_written(edge))
    while edge.cache.show(f"http://files.test{path}")[0].slices_there:
        digest(edge.url + next(others))
        wait_until(is_written(edge))
    for _ in range(3):
        assert digest(edge.url + path) == files.digest(path)
        wait_until(is_written(edge))
    files.forget()
    assert digest(edge.url + path) == files.digest(path)
    assert files.forget() == []


def test_what_is_kept_is_listed(serve: Serve, files: Files, tier: DiskTier) -> None:
    edge = serve(files.url, disk=tier)
    for path in ("/files/1000", "/files/2000", f"/files/{2 * MIB}"):
        digest(edge.url + path)
    wait_until(is_written(edge))
    by_url = {entry.url: entry for entry in edge.cache.ls()}
    assert sorted(url.split("/", 1)[1] for url in by_url) == ["files/1000", "files/2000", f"files/{2 * MIB}"]
    assert all(entry.is_fresh and "disk" in entry.tiers for entry in by_url.values())
    assert len(list(edge.cache.ls(min_size="1500B"))) == 2
    assert len(list(edge.cache.ls(prefix="http://files.test/files/1"))) == 1
