from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bodega.runtime import ControlRecord, control_records, recorded


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"BODEGA_RUNTIME_DIR": str(tmp_path / "run")}


def test_one_is_found_until_it_ends(environment: dict[str, str], tmp_path: Path) -> None:
    token_file = tmp_path / "journal.db.token"
    with recorded(environment, "http://127.0.0.1:9280", token_file) as path:
        assert path.stat().st_mode & 0o777 == 0o600
        assert control_records(environment) == [ControlRecord(os.getpid(), "http://127.0.0.1:9280", token_file)]
    assert not path.exists()
    assert control_records(environment) == []


def test_one_without_a_known_token(environment: dict[str, str]) -> None:
    with recorded(environment, "http://127.0.0.1:9280"):
        assert [each.token_file for each in control_records(environment)] == [None]


def test_the_record_of_a_dead_one_is_removed_also_if_its_number_lives_on(environment: dict[str, str]) -> None:
    with recorded(environment, "http://127.0.0.1:9280") as path:
        # Process 1 is always there, and is not the one that wrote this.
        dead = path.with_name("control-1.json")
        dead.write_text(json.dumps({"url": "http://127.0.0.1:1", "token_file": None}))
        assert [each.pid for each in control_records(environment)] == [os.getpid()]
        assert not dead.exists()


def test_what_others_may_write_is_not_followed(environment: dict[str, str]) -> None:
    with recorded(environment, "http://127.0.0.1:9280") as path:
        path.parent.chmod(0o770)
        assert control_records(environment) == []
