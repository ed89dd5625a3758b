from __future__ import annotations

import json
from pathlib import Path

import pytest

from bodega.up import model_file


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "_WIDTH", 16)
    monkeypatch.setattr(model_file, "_N_LAYERS", 1)
    monkeypatch.setattr(model_file, "_VOCABULARY", 8)


def test_the_real_file_is_larger_than_100_megabytes() -> None:
    assert 100_000_000 < model_file.model_size_bytes() < 120_000_000


@pytest.mark.usefixtures("small")
def test_the_file_is_a_valid_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model.safetensors"
    seen: list[tuple[int, int]] = []

    assert model_file.write_model(path, lambda n_written, n_bytes: seen.append((n_written, n_bytes)))

    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert (8 + length) % 8 == 0
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    offset = 0
    for entry in header.values():
        rows, columns = (*entry["shape"], 1)[:2]
        assert entry["data_offsets"] == [offset, offset + rows * columns * model_file.DTYPE_BYTES[entry["dtype"]]]
        offset = entry["data_offsets"][1]
    assert len(content) == 8 + length + offset == model_file.model_size_bytes()
    assert seen[-1] == (len(content), len(content))


@pytest.mark.usefixtures("small")
def test_a_complete_file_is_kept_and_a_torn_one_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    assert model_file.write_model(path)
    content = path.read_bytes()
    assert not model_file.write_model(path)
    path.write_bytes(content[:-1])
    assert model_file.write_model(path)
    assert path.read_bytes() == content


@pytest.mark.usefixtures("small")
def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_n_written: int, _n_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model_file.write_model(tmp_path / "model.safetensors", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert model_file.cached_model_path().is_relative_to(tmp_path)
