from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from bodega.up.premises import FILM_PATH, MODEL_PATH, Premises, lay_out

DYNAMIC = ("/account/", "/api/time", "/shop")


@pytest.fixture
def premises(tmp_path: Path) -> Premises:
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"weights")
    return lay_out(tmp_path / "store", model)


def test_paths_lead_to_the_files_behind_them(premises: Premises) -> None:
    assert b"The Corner Store" in premises.page("/").read_bytes()
    assert b"Tomato soup" in premises.page("/recipes/tomato-soup.html").read_bytes()
    assert premises.object("/images/apples/large.jpg").read_bytes().startswith(b"\xff\xd8")
    assert premises.object(MODEL_PATH).read_bytes() == b"weights"
    # `moov` before `mdat`: a player can start before it has the whole film.
    film = premises.object(FILM_PATH).read_bytes()
    assert 0 < film.index(b"moov") < film.index(b"mdat")


def test_every_link_of_every_page_leads_somewhere(premises: Premises) -> None:
    pages = sorted(premises.site.rglob("*.html"))
    assert 10 <= len(pages) <= 30
    for page in pages:
        for path in re.findall(r'(?:src|href)="(/[^"]*)"', page.read_text()):
            is_object = path.startswith(("/images/", "/video/", "/models/"))
            file = premises.object(path) if is_object else premises.page(path)
            assert path in DYNAMIC or file.is_file(), f"{page.name}: {path}"


def test_pictures_have_the_sizes_of_real_ones(premises: Premises) -> None:
    sizes = [file.stat().st_size for file in (premises.buckets / "images" / "images").rglob("*.*")]
    assert len(sizes) >= 36
    assert max(sizes) > 500_000
    assert sum(sizes) < 3_500_000


def test_a_page_that_was_edited_is_kept(premises: Premises, tmp_path: Path) -> None:
    premises.page("/about.html").write_text("mine")
    lay_out(tmp_path / "store", tmp_path / "model.safetensors")
    assert premises.page("/about.html").read_text() == "mine"


def test_what_is_laid_out_looks_long_unchanged(premises: Premises, tmp_path: Path) -> None:
    for file in (premises.page("/icon.svg"), premises.object(FILM_PATH), tmp_path / "model.safetensors"):
        assert time.time() - file.stat().st_mtime > 100 * 86_400
