from __future__ import annotations

import os
from pathlib import Path

import pytest

from bodega.errors import EdgeError
from bodega.runtime import admin_socket, running_sockets, runtime_folder


def test_the_folder_is_only_for_its_owner(tmp_path: Path) -> None:
    folder = runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert folder == tmp_path / "bodega"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert runtime_folder({"BODEGA_RUNTIME_DIR": str(tmp_path / "a" / "b")}) == tmp_path / "a" / "b"


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bodega").mkdir(mode=0o755)
    with pytest.raises(EdgeError, match="chmod 700"):
        runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "bodega").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EdgeError, match="belongs to somebody else"):
        runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_running_edges_are_found_and_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    environment = {"BODEGA_RUNTIME_DIR": str(tmp_path / "run")}
    mine = Path(admin_socket(environment).removeprefix("unix:"))
    mine.touch()
    dead = mine.with_name("edge-4194400.sock")
    dead.touch()
    (mine.parent / "handover-4194400.sock").touch()
    (mine.parent / "notes.txt").touch()
    assert running_sockets(environment) == [(os.getpid(), mine)]
    assert sorted(each.name for each in mine.parent.iterdir()) == [mine.name, "notes.txt"]


def test_without_a_folder_nothing_runs(tmp_path: Path) -> None:
    assert running_sockets({"BODEGA_RUNTIME_DIR": str(tmp_path / "nothing")}) == []
