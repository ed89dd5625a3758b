"""Which places that followers name are of this journal's history."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from bodega.journal import Place

if TYPE_CHECKING:
    from bodega.journal import Journal
    from bodega.protocol.api import At

_MOST = 4096


class Places:
    """Looks up each place once: after a batch all edges name the same one.

    A position alone proves nothing. Who is at 100 of another history, as after a restore, has not applied event 50 of
    this one.
    """

    def __init__(self, journal: Journal) -> None:
        """Begin with none."""
        self._journal = journal
        self._known: OrderedDict[tuple[str, str, int, str], bool] = OrderedDict()

    def position(self, at: At | None) -> int | None:
        """Return the position of a place, if it is one of this history."""
        if at is None:
            return None
        key = (at.journal, at.epoch, at.position, at.chain)
        is_ours = self._known.get(key)
        if is_ours is None:
            place = Place(at.journal, at.epoch, at.position, bytes.fromhex(at.chain))
            is_ours = self._known[key] = self._journal.parted(place) is None
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return at.position if is_ours else None
