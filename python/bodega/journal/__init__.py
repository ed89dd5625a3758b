"""One order for everything that machines must agree on: append, read, follow, checkpoint.

Start at `Journal`, which says what every journal can do; `SqliteJournal` is one in a file.
`docs/concepts/journal.md` says what is promised.
"""

from __future__ import annotations

from bodega.journal.checking import Checked, check
from bodega.journal.event import Appended, Checkpoint, Epoch, Event, NewEvent, Place, UnlessKnown
from bodega.journal.journal import Journal
from bodega.journal.restoring import backup, restore
from bodega.journal.sqlite import SqliteJournal, SqliteReader

__all__ = [
    "Appended",
    "Checked",
    "Checkpoint",
    "Epoch",
    "Event",
    "Journal",
    "NewEvent",
    "Place",
    "SqliteJournal",
    "SqliteReader",
    "UnlessKnown",
    "backup",
    "check",
    "restore",
]
