"""The models of `bodega up`: where they are kept, what is missing, and what magika's is given of a file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from bodega.errors import BodegaError
from bodega.up import predictors


@pytest.mark.parametrize(
    ("content", "beginning", "end"),
    [
        (b"  abc \n", [97, 98, 99, 32, 10, 256], [256, 32, 32, 97, 98, 99]),
        (b"", [256] * 6, [256] * 6),
        (bytes(range(32, 112)) * 100, [33, 34, 35, 36, 37, 38], [106, 107, 108, 109, 110, 111]),
    ],
)
def test_a_file_is_read_from_both_ends(content: bytes, beginning: list[int], end: list[int]) -> None:
    tokens = predictors.beginning_and_end(content)
    assert len(tokens) == 2048
    assert (tokens[:6], tokens[-6:]) == (beginning, end)


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else found(name))
    models, why = predictors.find_or_make()
    assert models is None
    assert "sklearn" in why
    assert "bodega[models,demo]" in why
    (tmp_path / "bodega" / "up" / predictors.cached_folder().name).mkdir(parents=True)
    models, why = predictors.find_or_make()
    assert models is not None, "once made, nothing but ONNX Runtime is needed"


def test_what_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BodegaError, match=r"could not be made: .*No module named"):
        # This interpreter has no scikit-learn.
        predictors.make(Path(sys.executable), tmp_path / "models")
    assert list(tmp_path.iterdir()) == []
