"""A position counts in this journal's history alone."""

from __future__ import annotations

from pathlib import Path

from bodega.control.places import Places
from bodega.journal import NewEvent, Place, SqliteJournal, backup, restore
from bodega.protocol.api import At


def at(place: Place) -> At:
    return At(journal=place.journal, epoch=place.epoch, position=place.position, chain=place.chain.hex())


def append(journal: SqliteJournal, n: int, by: str = "test") -> Place:
    journal.append([NewEvent("something.happened", {"n": n}, by=by) for _ in range(n)]).result()
    return journal.head()


def test_a_place_of_another_history_is_no_position_however_far(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with SqliteJournal(path) as journal:
        early = append(journal, 5)
        backup(path, tmp_path / "backup.db")
        lost = append(journal, 5)
        assert Places(journal).position(at(lost)) == 10
    restore(tmp_path / "backup.db", path)
    with SqliteJournal(path) as journal:
        places = Places(journal)
        now = append(journal, 20, by="another")
        assert places.position(at(lost)) is None
        assert places.position(at(early)) is None
        assert places.position(at(now)) == 25
        # Once more, now that it is known.
        assert places.position(at(lost)) is None
        assert places.position(at(now)) == 25
        forged = at(now).model_copy(update={"chain": "0" * 32})
        assert places.position(forged) is None
        assert places.position(at(now).model_copy(update={"position": 26})) is None
        assert places.position(at(now).model_copy(update={"journal": "0" * 32})) is None
        assert places.position(None) is None


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.db") as journal:
        head = append(journal, 1)
        places = Places(journal)
        for position in range(5000):
            places.position(at(head).model_copy(update={"position": position}))
        assert len(places._known) <= 4096
        assert places.position(at(head)) == 1
