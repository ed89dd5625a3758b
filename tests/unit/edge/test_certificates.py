from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.certificates import Made, self_signed

from bodega.config import EdgeSettings
from bodega.distributions import Declarations
from bodega.edge.certificates import certificates_of, stamp_of

NOTHING = Declarations()


@pytest.fixture(scope="module")
def made() -> Made:
    return self_signed("shop.example.com")


def renewed_as_certbot_does(live: Path, made: Made, number: int) -> None:
    """Write a new version into the archive, and let the links point to it."""
    archive = live.parent.parent / "archive"
    for folder in (live, archive):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("fullchain", made.chain), ("privkey", made.key_pem)):
        (archive / f"{name}{number}.pem").write_bytes(content)
        (live / f"{name}.pem").unlink(missing_ok=True)
        (live / f"{name}.pem").symlink_to(archive / f"{name}{number}.pem")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: renewed_as_certbot_does(folder / "live" / "shop", self_signed("shop.example.com"), 2),
        lambda folder: self_signed("new.example.com").write(folder / "live", "new"),
        lambda folder: (folder / "live" / "shop" / "privkey.pem").unlink(),
        lambda folder: (folder / "live" / "shop" / "fullchain.pem").write_bytes(b"nothing"),
        lambda folder: (folder / "live").rename(folder / "elsewhere"),
    ],
    ids=["renewed", "added", "key gone", "spoiled", "folder gone"],
)
def test_whatever_happens_to_certificates_is_seen(tmp_path: Path, made: Made, change: Callable[[Path], object]) -> None:
    renewed_as_certbot_does(tmp_path / "live" / "shop", made, 1)
    settings = EdgeSettings(tls=str(tmp_path / "live"))
    before = stamp_of(settings, NOTHING, {})
    assert stamp_of(settings, NOTHING, {}) == before
    change(tmp_path)
    after = stamp_of(settings, NOTHING, {})
    assert after != before
    assert stamp_of(settings, NOTHING, {}) == after


def test_an_edge_without_tls_has_no_certificates(tmp_path: Path) -> None:
    assert certificates_of(EdgeSettings(), NOTHING, {"XDG_STATE_HOME": str(tmp_path)}) == ()
    assert list(tmp_path.iterdir()) == []
