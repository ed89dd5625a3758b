"""`/v1/invalidations`: makes edges forget, and says how far that has come."""

from __future__ import annotations

import hashlib
import math
import time
from typing import Annotated

from fastapi import APIRouter, Query

from bodega.control.api.access import ControlHere, Purger, Reader
from bodega.control.api.configurations import longest_strict
from bodega.control.api.refusals import Refusal
from bodega.control.limits import BURST, SELECTORS_PER_SECOND, Bucket
from bodega.control.service import Control, new_id
from bodega.control.state import KeptInvalidation
from bodega.invalidation import parse_selector
from bodega.protocol.api import Invalidate, Invalidation
from bodega.protocol.events import InvalidationRequested, TokenCreated

router = APIRouter(prefix="/v1/invalidations", tags=["invalidations"])

_Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait until all edges that are here have it.")]


@router.post("", status_code=202)
async def invalidate(asked: Invalidate, by: Purger, control: ControlHere) -> Invalidation:
    """Make all edges forget something. Once this answers it is in the journal, and lost no more."""
    selectors = tuple(parse_selector(each).text for each in asked.selectors)
    _take(control, by, len(selectors))
    # With a key of the caller's the id follows from it, so that the same request is the same event.
    key = None if asked.key is None else f"invalidation:{by.id}:{asked.key}"
    invalidation_id = new_id() if key is None else _id_of(key)
    said = InvalidationRequested(id=invalidation_id, selectors=selectors, force="soft" if asked.soft else "hard")
    await control.append(said.event(by=by.name, key=key))
    return _report(control, control.state.invalidations[invalidation_id])


@router.get("")
async def list_invalidations(
    _: Reader, control: ControlHere, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> list[Invalidation]:
    """List invalidations, the newest first."""
    newest = list(control.state.invalidations.values())[-limit:]
    return [_report(control, each) for each in reversed(newest)]


@router.get("/{invalidation_id}")
async def show_invalidation(invalidation_id: str, _: Reader, control: ControlHere, wait: _Wait = 0) -> Invalidation:
    """Say how far an invalidation has come."""
    kept = control.state.invalidations.get(invalidation_id)
    if kept is None:
        raise Refusal(404, f"there is no invalidation {invalidation_id}", hint="the last 10,000 are remembered")
    if wait:
        await control.until(_Everywhere(control, kept.position), wait)
    return _report(control, kept)


class _Everywhere:
    """Whether all edges that are here have applied something.

    It is asked at each acknowledgement of anybody: so that this costs little, only the first edge that is missing is
    looked at again, and those after it once it is not missing any more.
    """

    def __init__(self, control: Control, position: int) -> None:
        self._control = control
        self._position = position
        self._edges: list[str] = []
        self._at = 0

    def __call__(self) -> bool:
        if self._is_missing_from():
            return False
        # Everybody who was there has it: now also those who have come, or come back, since.
        self._edges, self._at = list(self._control.state.edges), 0
        return not self._is_missing_from()

    def _is_missing_from(self) -> bool:
        while self._at < len(self._edges):
            edge = self._edges[self._at]
            if not _has(self._control, edge, self._position) and self._control.presence.is_here(edge):
                return True
            self._at += 1
        return False


def _has(control: Control, edge: str, position: int) -> bool:
    return (control.presence.position(edge) or 0) >= position


def _report(control: Control, kept: KeptInvalidation) -> Invalidation:
    waiting: list[str] = []
    away: list[str] = []
    for edge in control.state.edges:
        if _has(control, edge, kept.position):
            continue
        (waiting if control.presence.is_here(edge) else away).append(edge)
    return Invalidation(
        id=kept.said.id,
        position=kept.position,
        time_ms=kept.time_ms,
        by=kept.by,
        selectors=list(kept.said.selectors),
        soft=kept.said.force == "soft",
        applied=control.progress.reached(kept.position),
        waiting=sorted(waiting),
        away=sorted(away),
        is_complete=not waiting,
        acknowledged_ms=control.known_ms(kept.position),
        strict_seconds=(strict_seconds := longest_strict(control)),
        unbound=[] if strict_seconds is None else [edge for edge in sorted(away) if not _is_configured(control, edge)],
    )


def _is_configured(control: Control, edge: str) -> bool:
    """Whether the configuration in force is so on an edge, as far as it said."""
    in_force, last = control.state.in_force, control.presence.last(edge)
    said = None if last is None else last.heartbeat
    return in_force is not None and said is not None and said.revision == in_force.said.revision and not said.problem


def _id_of(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def _take(control: Control, token: TokenCreated, n_selectors: int) -> None:
    now = time.monotonic()
    bucket = control.buckets.setdefault(token.id, Bucket(SELECTORS_PER_SECOND, BURST, now))
    wait_seconds = bucket.take(n_selectors, now)
    if wait_seconds:
        raise Refusal(
            429,
            f'the token "{token.name}" has sent too many selectors',
            hint=f"{SELECTORS_PER_SECOND:,.0f} a second are allowed; a tag, a prefix or a pattern names many at once",
            headers={"Retry-After": str(math.ceil(wait_seconds))},
        )
