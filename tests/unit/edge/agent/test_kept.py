"""What outlives the process: whole or not at all, for its owner alone, and nothing that somebody else wrote."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from bodega.edge.agent.kept import Damaged, Kept, KeptConfiguration

TEXT = 'a = "Zürich"\n'


def path_of(folder: Path) -> Path:
    [path] = folder.glob("control-configuration*")
    return path


def test_what_was_kept_last_comes_back(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.configuration() is None
    kept.keep(KeptConfiguration(6, "x"))
    kept.keep(KeptConfiguration(7, TEXT))
    assert Kept(tmp_path).configuration() == KeptConfiguration(7, TEXT)
    # Nothing else is left, and nobody else reads it.
    assert path_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_a_file_with_another_ones_rights_gets_its_own(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    left = tmp_path / "control-configuration.json.new"
    left.touch(mode=0o644)
    kept.keep(KeptConfiguration(7, TEXT))
    assert path_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep(KeptConfiguration(7, TEXT))
    path = path_of(tmp_path)
    sound = path.read_bytes()
    for at in range(len(sound)):
        path.write_bytes(sound[:at])
        with pytest.raises(Damaged):
            kept.configuration()
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with contextlib.suppress(Damaged):
            # A space more or less is no damage.
            assert kept.configuration() == KeptConfiguration(7, TEXT)


@pytest.mark.parametrize(
    "said", [[], None, 5, {}, {"version": 1}, {"version": 1, "revision": 1, "text": 5, "sha256": ""}], ids=str
)
def test_what_is_something_else_is_refused(tmp_path: Path, said: Any) -> None:
    (tmp_path / "control-configuration.json").write_text(json.dumps(said))
    with pytest.raises(Damaged, match="damaged"):
        Kept(tmp_path).configuration()


def test_a_deeply_nested_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "control-configuration.json").write_text("[" * 100_000)
    with pytest.raises(Damaged):
        Kept(tmp_path).configuration()


def test_one_of_a_later_version_is_named(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep(KeptConfiguration(7, TEXT))
    path = path_of(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    with pytest.raises(Damaged, match="another version"):
        kept.configuration()


def test_a_folder_that_cannot_be_written_says_so_and_keeps_what_was_there(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep(KeptConfiguration(7, TEXT))
    (tmp_path / "control-configuration.json.new").mkdir()
    with pytest.raises(OSError, match="irectory"):
        kept.keep(KeptConfiguration(8, TEXT))
    assert kept.configuration() == KeptConfiguration(7, TEXT)
    with pytest.raises(OSError, match="No such file"):
        Kept(tmp_path / "none").keep(KeptConfiguration(8, TEXT))


def test_a_process_knows_who_had_the_folder_before(tmp_path: Path) -> None:
    assert Kept(tmp_path).take_instance("a" * 16) is None
    assert Kept(tmp_path).take_instance("b" * 16) == "a" * 16
    assert Kept(tmp_path).take_instance("c" * 16) == "b" * 16
    # A folder that cannot be written leaves everything as it would be without it.
    assert Kept(tmp_path / "none").take_instance("d" * 16) is None


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 200, b"\xff" * 16, b"a b c d e f g h", b"../../etc/passwd"])
def test_who_had_it_is_nobody_if_the_file_makes_no_sense(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "control-instance").write_bytes(content)
    assert Kept(tmp_path).take_instance("a" * 16) is None
    assert [path.name for path in tmp_path.iterdir()] == ["control-instance"]
