"""Lines cut and half-open, edges and the control process killed, the journal restored: nothing stale, lost, or undone.

A bounded share of what `python -m tests.system.cuts --cuts 1000` does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.system.cuts.cutting import KINDS, Cutter
from tests.system.cuts.history import (
    Answered,
    Down,
    Failed,
    History,
    Purged,
    Reached,
    Restored,
    check,
)
from tests.system.cuts.mutations import MUTATIONS
from tests.system.cuts.summary import summary, words
from tests.system.cuts.world import world

from bodega.testing import wait_until

SEED = 7


@pytest.mark.timeout(300)
def test_sixty_cuts(tmp_path: Path) -> None:
    with world(tmp_path, n_edges=3, seed=SEED) as made:
        cutter = Cutter(made, SEED, pause_seconds=0.5)
        cutter.run(60, until_seconds=60)
        made.settle()
    history = made.history
    findings = check(history)
    said = summary(history, findings, cutter.done, seed=SEED, seconds=0)
    sys.stdout.write(words(said))
    assert findings.all == []
    assert cutter.problems == []
    # It was looked at, and there was something to see.
    assert cutter.done.total() >= len(KINDS)
    assert len(history.purged) >= 30
    assert len(history.reached) >= 100
    assert said["answers_from_the_cache"] > said["answers"] / 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutation", sorted(MUTATIONS))
def test_an_edge_that_does_wrong_is_found_out(mutation: str, tmp_path: Path) -> None:
    with world(tmp_path, n_edges=1, seed=SEED, mutation=mutation) as made:
        wait_until(lambda: check(made.history).stale, timeout_seconds=60, what="the checker to find it")


URL = "/items/1/page"


def history() -> History:
    """Two purges, both applied by an edge, in the midst a restore."""
    return History(
        purged=[Purged("a", 0, 10, {URL: 2}), Purged("b", 1, 12, {URL: 3})],
        reached=[Reached("edge-1", 0, 10, 100.0), Reached("edge-1", 1, 12, 200.0)],
        restored=[Restored(1, of=0, position=11)],
        journal={10: "a", 12: "b"},
    )


@pytest.mark.parametrize(
    ("version", "began", "is_stale"),
    [(1, 99.0, False), (1, 101.0, True), (2, 101.0, False), (2, 199.0, False), (2, 201.0, True), (3, 201.0, False)],
)
def test_an_answer_is_stale_if_it_was_asked_for_after_the_acknowledgement(
    version: int, began: float, is_stale: bool
) -> None:
    seen = history()
    seen.answered.append(Answered("edge-1", URL, version, began))
    assert bool(check(seen).stale) == is_stale
    # What another edge has acknowledged says nothing of it, nor what this one has of another path.
    seen.answered[:] = [Answered("edge-2", URL, version, began), Answered("edge-1", "/items/2/page", version, began)]
    assert check(seen).all == []


def test_who_is_in_a_later_journal_has_everything_of_the_earlier_ones() -> None:
    seen = history()
    seen.purged.append(Purged("c", 0, 15, {URL: 3}))
    seen.reached[1:] = [Reached("edge-1", 1, 11, 200.0)]
    seen.answered.append(Answered("edge-1", URL, 2, 150.0))
    assert check(seen).all == []
    seen.answered.append(Answered("edge-1", URL, 2, 201.0))
    assert len(check(seen).stale) == 1


def test_what_a_restore_took_is_not_lost_and_all_else_is() -> None:
    seen = history()
    seen.purged.append(Purged("c", 0, 12, {URL: 2}))
    assert check(seen).all == []
    seen.journal = {12: "b"}
    assert len(check(seen).lost) == 1
    # A journal that was restored from one that a later restore passed over is gone with all it had.
    seen.restored.append(Restored(2, of=0, position=5))
    assert check(seen).all == []


def test_an_edge_does_not_go_back() -> None:
    seen = history()
    seen.reached.append(Reached("edge-1", 1, 11, 201.0))
    assert len(check(seen).out_of_order) == 1


def test_a_request_fails_only_while_its_edge_is_killed() -> None:
    seen = history()
    seen.down.append(Down("edge-1", 10.0, 12.0))
    seen.failed.append(Failed("edge-1", URL, 9.0, 10.5, "reset"))
    assert check(seen).all == []
    seen.failed.append(Failed("edge-1", URL, 12.5, 12.6, "reset"))
    seen.failed.append(Failed("edge-2", URL, 11.0, 11.1, "reset"))
    assert len(check(seen).failed) == 2
