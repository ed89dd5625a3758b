"""Reading and following."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.unit.journal.conftest import Clock, fill, purge

from bodega.errors import JournalDamaged, JournalError, JournalLocked
from bodega.journal import Journal, SqliteJournal, SqliteReader


def test_by_pages(journal: Journal) -> None:
    fill(journal, 10)
    assert [event.position for event in journal.read(3, n=4)] == [4, 5, 6, 7]
    assert journal.read(10) == []
    assert journal.read(99) == []


def test_waiting_for_what_comes(journal: Journal) -> None:
    assert not journal.wait(0, 0.01)
    threading.Timer(0.05, lambda: journal.append([purge("a")])).start()
    assert journal.wait(0, 30)
    assert journal.wait(0, 0)
    assert not journal.wait(1, 0)


def test_whoever_waits_is_let_go_at_the_end(journal: Journal) -> None:
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(journal.wait(0, 60)))
    thread.start()
    journal.close()
    thread.join(30)
    assert waited == [False]


def test_another_process_may_read_but_not_append(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, clock=clock)
    with SqliteReader(path) as reader:
        fill(journal, 2)
        assert [event.data["selectors"] for event in reader.read(0)] == [["tag:0"], ["tag:1"]]
        assert reader.head() == journal.head()
    with pytest.raises(JournalLocked, match="is in use by process"):
        SqliteJournal(path)
    journal.close()
    SqliteJournal(path).close()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no such file"):
        SqliteReader(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="no such folder"):
        SqliteJournal(tmp_path / "nowhere" / "journal.db")
    other = tmp_path / "notes.txt"
    other.write_text("not a journal at all, but long enough to be looked at as a database would be" * 20)
    with pytest.raises(JournalDamaged, match="file is not a database"):
        SqliteJournal(other)
    # The lock is not kept by whoever failed.
    with pytest.raises(JournalDamaged):
        SqliteJournal(other)
    assert other.read_text().startswith("not a journal")


def test_the_file_is_for_its_user_alone(tmp_path: Path, clock: Clock) -> None:
    SqliteJournal(tmp_path / "journal.db", clock=clock).close()
    assert (tmp_path / "journal.db").stat().st_mode & 0o777 == 0o600
