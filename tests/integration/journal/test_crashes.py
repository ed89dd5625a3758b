"""A process that appends is killed at any moment: what it acknowledged is there, in order, and it goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from bodega.journal import Event, SqliteJournal, check

N_ROUNDS = 40

# Four threads, each says what was acknowledged to it, as it comes.
APPENDS = """
import sys, threading
from pathlib import Path
from bodega.journal import NewEvent, SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]))

def append(thread):
    for number in range(1_000_000):
        name = f"{sys.argv[2]}-{thread}-{number}"
        event = NewEvent("invalidation.requested", {"selectors": [f"tag:{name}"]}, unless_known="purge", key=name)
        position = journal.append([event]).result()[0].position
        sys.stdout.write(f"{position} {name}\\n")
        sys.stdout.flush()
        if number % 50 == 49:
            journal.checkpoint(position, b"so far")

for thread in range(4):
    threading.Thread(target=append, args=(thread,)).start()
"""


def _killed_while_it_appends(path: Path, name: str, n_acknowledged: int) -> list[tuple[int, str]]:
    command = [sys.executable, "-c", APPENDS, str(path), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        try:
            said = [process.stdout.readline() for _ in range(n_acknowledged)]
        finally:
            process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    # The last line may be cut off.
    whole = [line.split() for line in said if line.endswith("\n")]
    assert len(whole) >= n_acknowledged, "it ended by itself"
    return [(int(position), written) for position, written in whole]


def test_what_was_acknowledged_is_there_after_kills(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    moments = random.Random(7)
    acknowledged: dict[int, str] = {}
    for number in range(N_ROUNDS):
        for position, written in _killed_while_it_appends(path, f"round-{number}", moments.randrange(1, 300)):
            assert acknowledged.setdefault(position, written) == written, "a position was given twice"

        assert check(path).problems == ()
        journal = SqliteJournal(path)
        events: list[Event] = []
        while page := journal.read(len(events)):
            events += page
        journal.close()
        held = {event.position: event.data["selectors"] for event in events}
        assert list(held) == list(range(1, len(held) + 1))
        lost = [position for position, written in acknowledged.items() if held.get(position) != [f"tag:{written}"]]
        assert lost == []
