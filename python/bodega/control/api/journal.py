"""`/v1/journal`: who changed what, and the stream that edges follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from bodega.control.api.access import ControlHere, EdgeItself, Reader
from bodega.control.api.refusals import Refusal
from bodega.control.tokens import is_valid
from bodega.errors import EventsGone
from bodega.journal import Place
from bodega.protocol.api import MAX_POSITION, Journaled
from bodega.protocol.batch import CONTENT_TYPE, shown_data

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from bodega.control.service import Control
    from bodega.protocol.events import TokenCreated

router = APIRouter(prefix="/v1/journal", tags=["journal"])

_Identity = Annotated[str, Query(pattern="^[0-9a-f]{32}$")]
_Epoch = Annotated[str, Query(pattern="^[0-9a-f]{16}$")]


@router.get("/events")
async def list_events(
    _: Reader,
    control: ControlHere,
    after: Annotated[int | None, Query(ge=0, le=MAX_POSITION, description="By default the newest are listed.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[Journaled]:
    """List events: who changed what, and when."""
    if after is None:
        after = max(control.state.position - limit, control.journal.oldest() - 1, 0)
    try:
        events = control.journal.read(after, n=limit)
    except EventsGone as error:
        raise Refusal(409, error.what, hint=f"begin after {error.oldest - 1}") from None
    return [
        Journaled(
            position=event.position,
            time_ms=event.time_ms,
            type=event.type,
            version=event.version,
            by=event.by,
            data=shown_data(event),
        )
        for event in events
    ]


class _Followed(Response):
    """An answer without an end: the stream writes it."""

    media_type = CONTENT_TYPE

    def __init__(self, control: Control, place: Place | None, by: TokenCreated) -> None:
        # Proxies are asked to pass lines on as they come.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._control = control
        self._place = place
        self._by = by

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._control.stream.follow(self._place, receive, send, self._may_follow)

    def _may_follow(self) -> bool:
        return is_valid(self._control.state, self._by, self._control.wall_ms())


# Not by `response_class`: FastAPI would describe refusals as such streams, too.
@router.get("/stream", response_model=None, responses={200: {"content": {CONTENT_TYPE: {}}}})
async def stream(
    by: EdgeItself,
    control: ControlHere,
    journal: _Identity | None = None,
    epoch: _Epoch | None = None,
    position: Annotated[int, Query(ge=0, le=MAX_POSITION)] = 0,
    chain: _Identity | None = None,
) -> Response:
    """Follow: lines of JSON without an end.

    The first says where the journal is: `hello`, or `parted` with why one cannot go on from the place that was named.
    Then come batches of consecutive events, and a `heartbeat` in each second without any.
    It ends within a second once the token is revoked or expires.
    """
    place = None
    if journal is not None and epoch is not None and chain is not None:
        place = Place(journal, epoch, position, bytes.fromhex(chain))
    return _Followed(control, place, by)
