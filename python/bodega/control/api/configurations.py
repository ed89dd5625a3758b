"""`/v1/configurations`: publishes, compares, and goes back."""

from __future__ import annotations

import difflib
import os
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from bodega.config import parse_config
from bodega.control.api.access import ControlHere, Publisher, Reader
from bodega.control.api.refusals import Refusal
from bodega.control.service import Control
from bodega.control.state import KeptRevision
from bodega.errors import ConfigInvalid
from bodega.protocol.api import Configuration, Publish, Revision
from bodega.protocol.events import ConfigurationPublished, TokenCreated
from bodega.snapshot import compile_snapshot, validate

router = APIRouter(prefix="/v1/configurations", tags=["configurations"])

_Limit = Annotated[int, Query(ge=1, le=1000)]


@router.post("", status_code=201)
async def publish(asked: Publish, by: Publisher, control: ControlHere) -> Revision:
    """Put another configuration in force on all edges. One that cannot be used changes nothing."""
    _check(asked.text)
    async with control.publishing:
        newest = control.state.in_force
        current = 0 if newest is None else newest.said.revision
        if asked.expects is not None and asked.expects != current:
            raise Refusal(409, f"revision {current} is in force, not {asked.expects}", hint="look at what has changed")
        said = ConfigurationPublished(revision=current + 1, text=asked.text, comment=asked.comment)
        if asked.dry_run:
            return Revision(
                revision=said.revision, position=0, time_ms=control.wall_ms(), by=by.name, comment=asked.comment
            )
        return await _append(control, said, by)


@router.get("")
async def list_configurations(_: Reader, control: ControlHere, limit: _Limit = 50) -> list[Revision]:
    """List what was published, the newest first."""
    newest = list(control.state.revisions.values())[-limit:]
    return [_revision(control, each) for each in reversed(newest)]


@router.get("/{revision}")
async def show_configuration(revision: int, _: Reader, control: ControlHere) -> Configuration:
    """Show a configuration; 0 is the one in force."""
    return with_text(control, kept_revision(control, revision))


# Not by `response_class`: FastAPI would describe refusals as plain text, too.
@router.get("/{revision}/diff", response_model=None, responses={200: {"content": {"text/plain": {}}}})
async def compare(
    revision: int, _: Reader, control: ControlHere, to: Annotated[int, Query(ge=0, description="0: in force.")] = 0
) -> PlainTextResponse:
    """Show what is different in another revision, as `diff -u` would."""
    before, after = kept_revision(control, revision).said, kept_revision(control, to).said
    names = (f"revision {before.revision}", f"revision {after.revision}")
    lines = (before.text.splitlines(keepends=True), after.text.splitlines(keepends=True))
    return PlainTextResponse("".join(difflib.unified_diff(*lines, *names)))


@router.post("/{revision}/roll-back", status_code=201)
async def roll_back(revision: int, by: Publisher, control: ControlHere) -> Revision:
    """Put an earlier configuration in force again, as a new revision."""
    earlier = kept_revision(control, revision).said
    # It was right once; by this version it has to be right again.
    _check(earlier.text)
    async with control.publishing:
        newest = kept_revision(control, 0).said
        said = ConfigurationPublished(
            revision=newest.revision + 1,
            text=earlier.text,
            comment=f"back to revision {earlier.revision}",
            rolled_back_to=earlier.revision,
        )
        return await _append(control, said, by)


def _check(text: str) -> None:
    config = parse_config(text, "configuration")
    if config.given:
        raise ConfigInvalid("[edge] is of one machine", hint="leave it out: each edge has its own", path=("edge",))
    validate(compile_snapshot(config.declarations, environment=os.environ))


async def _append(control: Control, said: ConfigurationPublished, by: TokenCreated) -> Revision:
    await control.append(said.event(by=by.name))
    return _revision(control, control.state.revisions[said.revision])


def kept_revision(control: Control, revision: int) -> KeptRevision:
    """Return a revision, or with 0 the one in force.

    Raises:
        Refusal: If there is none.
    """
    kept = control.state.in_force if revision == 0 else control.state.revisions.get(revision)
    if kept is None:
        raise Refusal(404, f"there is no revision {revision}" if revision else "nothing was published yet")
    return kept


def longest_strict(control: Control) -> float | None:
    """Return after how many seconds, in the configuration in force, the last strict behavior asks its origin."""
    kept = control.state.in_force
    return None if kept is None else _longest_strict(kept.said.text)


@lru_cache(maxsize=4)
def _longest_strict(text: str) -> float | None:
    return max(parse_config(text).declarations.strict_seconds(), default=None)


def with_text(control: Control, kept: KeptRevision) -> Configuration:
    """Return what is said of a revision, with its text."""
    return Configuration(**_revision(control, kept).model_dump(), text=kept.said.text)


def _revision(control: Control, kept: KeptRevision) -> Revision:
    return Revision(
        revision=kept.said.revision,
        position=kept.position,
        time_ms=kept.time_ms,
        by=kept.by,
        comment=kept.said.comment,
        rolled_back_to=kept.said.rolled_back_to,
        is_in_force=kept is control.state.in_force,
    )
