"""A follower goes on where it was, or knows that it cannot."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.journal.conftest import Clock, fill

from bodega.errors import EventsGone
from bodega.journal import Journal, SqliteJournal, backup, restore


def test_every_place_it_has_been_at_is_continued(journal: Journal) -> None:
    places = [journal.head()]
    for number in range(5):
        fill(journal, 1, first=number)
        places.append(journal.head())
    assert [journal.parted(place) for place in places] == [None] * 6


def test_another_journal(journal: Journal, tmp_path: Path) -> None:
    other = SqliteJournal(tmp_path / "other.db")
    assert journal.parted(other.head()) == "it is another journal"
    other.close()


def test_an_epoch_nobody_knows(journal: Journal) -> None:
    assert journal.parted(replace(journal.head(), epoch="0" * 16)) == "the epoch is not one of this journal's"


def test_ahead(journal: Journal) -> None:
    fill(journal, 2)
    assert journal.parted(replace(journal.head(), position=3)) == "the journal does not reach that position"


def test_restored_from_a_backup(tmp_path: Path, clock: Clock) -> None:
    path, copy = tmp_path / "journal.db", tmp_path / "backup.db"
    journal = SqliteJournal(path, clock=clock)
    fill(journal, 3)
    early = journal.head()
    backup(path, copy)
    fill(journal, 2, first=3)
    late = journal.head()
    journal.close()

    restored = restore(copy, path)

    journal = SqliteJournal(path, clock=clock)
    assert (restored.position, restored.epoch) == (3, journal.head().epoch)
    assert [(epoch.after, epoch.reason) for epoch in journal.epochs()] == [(0, "begun"), (3, "restored")]
    # It may not have been told of what came after the backup, and nobody can tell it any more.
    assert journal.parted(early) == "a backup was restored since: what was appended after it is lost"
    assert journal.parted(late) == "a later epoch begins before that position"
    # Also once the new history is longer than the old one was.
    fill(journal, 4, first=10)
    assert journal.parted(late) == "a later epoch begins before that position"
    assert journal.parted(restored) is None
    journal.close()


def test_copied_back_by_hand(tmp_path: Path, clock: Clock) -> None:
    path, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    journal = SqliteJournal(path, clock=clock)
    fill(journal, 2)
    journal.close()
    shutil.copy(path, copy)
    journal = SqliteJournal(path, clock=clock)
    fill(journal, 2, first=2)
    place = journal.head()
    journal.close()
    shutil.copy(copy, path)

    journal = SqliteJournal(path, clock=clock)
    fill(journal, 2, first=20)
    # The same identity, epoch and position: only what led there tells.
    assert replace(journal.head(), chain=place.chain) == place
    assert journal.parted(place) == "what led to that position is not what this journal holds"
    journal.close()


def test_compacted_away(journal: Journal, clock: Clock) -> None:
    places = []
    for number in range(5):
        fill(journal, 1, first=number)
        places.append(journal.head())
    journal.checkpoint(4, b"four")
    clock.now_ms += 1000
    assert journal.compact(keep_seconds=0) == 4
    assert [journal.parted(place) for place in places] == [
        *["the events after that position have been compacted away"] * 3,
        None,
        None,
    ]
    with pytest.raises(EventsGone, match="up to 4") as caught:
        journal.read(3)
    assert caught.value.oldest == journal.oldest() == 5
    assert [event.position for event in journal.read(4)] == [5]
