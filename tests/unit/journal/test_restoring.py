"""Check, backup and restore, of what is sound and of what is not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.unit.journal.conftest import Clock, fill

from bodega.errors import JournalDamaged, JournalError, JournalLocked
from bodega.journal import SqliteJournal, SqliteReader, backup, check, restore


@pytest.fixture
def path(tmp_path: Path, clock: Clock) -> Path:
    """A journal of ten events."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, clock=clock)
    fill(journal, 10)
    journal.checkpoint(10, b"ten")
    journal.close()
    return path


def change(path: Path, statement: str) -> None:
    """Do to a file what no journal does."""
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_what_is_sound_is_sound(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    checked = check(path, lambda done, total: seen.append((done, total)))
    assert (checked.problems, checked.n_events, checked.last_sound) == ((), 10, 10)
    assert seen[-1] == (10, 10)


@pytest.mark.parametrize(
    ("statement", "said", "last_sound"),
    [
        ("UPDATE events SET data = '{}' WHERE position = 4", "event 4 is not what was written", 3),
        ("UPDATE events SET by = 'token:other' WHERE position = 10", "event 10 is not what was written", 9),
        ("UPDATE events SET time_ms = time_ms + 1 WHERE position = 1", "event 1 is not what was written", 0),
        ("DELETE FROM events WHERE position = 6", "event 6 is not what was written", 5),
        ("UPDATE checkpoints SET chain = zeroblob(16)", "the checkpoint at 10 is of another history", 10),
        ("UPDATE checkpoints SET position = 12", "the checkpoint at 12 is ahead of the last event", 10),
        ("INSERT INTO epochs VALUES ('00', 2, -1, 0, 'x')", "epoch 00 begins before the one before it", 10),
    ],
)
def test_what_somebody_changed_is_found(path: Path, statement: str, said: str, last_sound: int) -> None:
    change(path, statement)
    checked = check(path)
    assert said in checked.problems[0]
    assert checked.last_sound == last_sound


def test_events_behind_a_wrong_one_are_not_given_out(path: Path) -> None:
    change(path, "UPDATE events SET data = '{}' WHERE position = 4")
    with SqliteReader(path) as reader:
        assert [event.position for event in reader.read(0)] == [1, 2, 3]
        with pytest.raises(JournalDamaged, match="event 4") as caught:
            reader.read(3)
    assert caught.value.position == 4


def test_bytes_that_a_disk_has_lost_are_found(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    at = whole.index(b"tag:7")
    whole[at : at + 5] = b"tag:8"
    path.write_bytes(whole)
    assert "event 8 is not what was written" in check(path).problems[0]


def test_a_file_that_was_cut_off_is_told(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(JournalDamaged, match="malformed"):
        check(path)


def test_a_backup_while_it_is_in_use(path: Path, tmp_path: Path, clock: Clock) -> None:
    journal = SqliteJournal(path, clock=clock)
    fill(journal, 5, first=10)
    place = backup(path, tmp_path / "copy.db")
    assert place == journal.head()
    fill(journal, 5, first=15)
    with pytest.raises(JournalError, match="is there already"):
        backup(path, tmp_path / "copy.db")
    journal.close()
    assert check(tmp_path / "copy.db").n_events == 15


def test_restoring_keeps_what_was_there(path: Path, tmp_path: Path, clock: Clock) -> None:
    backup(path, tmp_path / "copy.db")
    journal = SqliteJournal(path, clock=clock)
    fill(journal, 5, first=10)
    with pytest.raises(JournalLocked):
        restore(tmp_path / "copy.db", path)
    journal.close()

    assert restore(tmp_path / "copy.db", path).position == 10
    [aside] = [each for each in tmp_path.glob("journal.db.before-*") if not each.name.endswith(("-wal", "-shm"))]
    assert check(aside).n_events == 15
    assert check(path).n_events == 10
    journal = SqliteJournal(path, clock=clock)
    assert journal.append([]).result() == []
    fill(journal, 1)
    assert journal.head().position == 11
    journal.close()


def test_a_damaged_copy_is_refused_unless_its_sound_part_is_wanted(path: Path, tmp_path: Path) -> None:
    backup(path, tmp_path / "copy.db")
    change(tmp_path / "copy.db", "UPDATE events SET data = '{}' WHERE position = 8")
    with pytest.raises(JournalDamaged, match=r"event 8.*--readable"):
        restore(tmp_path / "copy.db", path)
    assert check(path).n_events == 10
    place = restore(tmp_path / "copy.db", path, readable=True)
    assert place.position == 7
    # The checkpoint at 10 was of what is gone.
    checked = check(path)
    assert (checked.problems, checked.n_events) == ((), 7)


def test_a_damaged_journal_mends_itself_from_its_sound_part(path: Path) -> None:
    change(path, "UPDATE events SET data = '{}' WHERE position = 3")
    assert restore(path, path, readable=True).position == 2
    assert check(path).problems == ()


def test_where_there_was_nothing(path: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert restore(path, tmp_path / "new" / "journal.db").position == 10
    assert check(tmp_path / "new" / "journal.db").problems == ()
