"""A file whose bytes are not what was written: an error of the journal, whatever is wrong, and in time."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import pytest
from tests.unit.journal.conftest import fill, purge

from bodega.errors import JournalError
from bodega.journal import Journal, SqliteJournal, check

N_EVENTS = 120
N_DAMAGED = 60
SECONDS = 20.0


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "journal.db"
    journal = SqliteJournal(path)
    fill(journal, N_EVENTS)
    journal.checkpoint(N_EVENTS // 2, b"{}")
    journal.append([purge("x", key="a key")]).result()
    journal.close()
    return path


def use(journal: Journal) -> None:
    """Ask everything of it that a control process does."""
    head = journal.head()
    journal.newest_checkpoint()
    journal.oldest()
    journal.epochs()
    journal.parted(head)
    after = 0
    while events := journal.read(after, n=50):
        after = events[-1].position
    journal.append([purge("y", key="a key")]).result(SECONDS)


@pytest.mark.parametrize("seed", range(N_DAMAGED))
def test_damage_anywhere_is_an_error_of_the_journal(sound: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "journal.db"
    shutil.copy(sound, path)
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 4))):
        length = chance.choice((1, 8, 200, 4096))
        at = chance.randrange(len(content))
        content[at : at + length] = chance.choice((b"\xff", b"\x00", bytes([chance.randrange(256)]))) * length
    if chance.random() < 0.2:
        del content[chance.randrange(len(content)) :]
    path.write_bytes(content)
    # It may also be somewhere that nobody reads; what is never seen is an error of another kind, or none in time.
    with contextlib.suppress(JournalError), contextlib.closing(SqliteJournal(path)) as journal:
        use(journal)
    with contextlib.suppress(JournalError):
        check(path)


def test_the_one_that_is_damaged_so_is_sound(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(sound, path)
    with contextlib.closing(SqliteJournal(path)) as journal, pytest.raises(JournalError, match="another event"):
        use(journal)
    assert check(path).problems == ()
