from __future__ import annotations

import json
from pathlib import Path

import pytest

from bodega.cli import main
from bodega.journal import NewEvent, SqliteJournal


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "journal.db"
    opened = SqliteJournal(path)
    for number in range(3):
        kind = "edge.registered" if number == 1 else "invalidation.requested"
        opened.append([NewEvent(kind, {"number": number}, by="token:ci")]).result()
    opened.close()
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(("journal", *arguments))
    assert ended.value.code == code
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_stat(capsys: pytest.CaptureFixture[str]) -> None:
    assert "1 to 3" in run(capsys, "stat")
    said = json.loads(run(capsys, "stat", "--json"))
    assert (said["position"], said["oldest"], said["checkpoint"], len(said["epochs"])) == (3, 1, None, 1)


def test_ls(capsys: pytest.CaptureFixture[str]) -> None:
    table = run(capsys, "ls")
    assert "edge.registered" in table
    assert "token:ci" in table
    lines = run(capsys, "ls", "--type", "invalidation", "--json").splitlines()
    assert [json.loads(line)["data"]["number"] for line in lines] == [0, 2]
    assert [
        json.loads(line)["position"]
        for line in run(capsys, "ls", "--after", "1", "--limit", "1", "--json").splitlines()
    ] == [2]


def test_backup_check_restore(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "3 events" in run(capsys, "backup", "copy.db")
    assert "3 events up to 3: all as they were written" in run(capsys, "check", "--file", "copy.db")
    assert "goes on after event 3, in the epoch" in run(capsys, "restore", "copy.db")
    assert "restored after 3" in run(capsys, "stat")
    assert "is there already" in run(capsys, "backup", "copy.db", code=1)


def test_a_damaged_one(capsys: pytest.CaptureFixture[str], journal: Path) -> None:
    whole = bytearray(journal.read_bytes())
    at = whole.index(b'{"number":1}')
    whole[at : at + 12] = b'{"number":9}'
    journal.write_bytes(whole)
    said = run(capsys, "check", code=1)
    assert "event 2 is not what was written" in said
    assert "sound up to event 1" in said
    assert json.loads(run(capsys, "check", "--json", code=1))["last_sound"] == 1
    assert "--readable" in run(capsys, "restore", "journal.db", code=1)
    assert "goes on after event 1" in run(capsys, "restore", "journal.db", "--readable")


def test_compact(capsys: pytest.CaptureFixture[str]) -> None:
    assert "0 events were taken out; the oldest is 1" in run(capsys, "compact")
    assert "--keep" in run(capsys, "compact", "--keep", "soon", code=2)


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no such file" in run(capsys, "stat", "--file", "nowhere.db", code=1)
    assert "there is no such file" in run(capsys, "compact", "--file", "nowhere.db", code=2)


def test_one_in_use_says_by_whom(capsys: pytest.CaptureFixture[str], journal: Path) -> None:
    opened = SqliteJournal(journal)
    try:
        assert "is in use by process" in run(capsys, "restore", "journal.db", code=1)
        assert "1 to 3" in run(capsys, "stat")
    finally:
        opened.close()
