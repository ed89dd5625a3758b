"""Joins the API: nouns, limits, refusals, health."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from bodega.control.api import configurations, edges, invalidations, journal, tokens
from bodega.control.api.access import ControlHere, scope_of
from bodega.control.api.refusals import RESPONSES, answer_refusals
from bodega.control.api.short_way import ShortWay
from bodega.control.limits import MAX_BODY_BYTES
from bodega.protocol.api import Health, Refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from bodega.control.service import Control


def application(control: Control, version: str) -> FastAPI:
    """Return the API of a control process."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(control.run())
        try:
            yield
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    app = FastAPI(
        title="bodega control",
        version=version,
        description="Everything that edges must agree on. Each change is an event of the journal.",
        lifespan=lifespan,
        # FastAPI's own pages load their scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        responses=RESPONSES,
    )
    app.state.control = control
    answer_refusals(app)
    for noun in (invalidations, configurations, edges, tokens, journal):
        _say_scopes(noun.router)
        app.include_router(noun.router)

    @app.get("/health", tags=["health"])
    async def health(here: ControlHere) -> Health:
        """Say that the process answers; for whoever watches over it, without a token."""
        n_here = sum(here.presence.is_here(edge) for edge in here.state.edges)
        return Health(status="ok", position=here.state.position, n_edges=len(here.state.edges), n_here=n_here)

    app.add_middleware(_BodyLimit)
    app.add_middleware(ShortWay, control=control)
    return app


def _say_scopes(router: APIRouter) -> None:
    """Have the document say which scope each operation needs."""
    for route in router.routes:
        if not isinstance(route, APIRoute):
            continue
        for scope in filter(None, (scope_of(each.call) for each in route.dependant.dependencies)):
            said = f"Needs the scope `{scope}`."
            if said not in route.description:
                route.description += f"\n\n{said}"


class _BodyLimit:
    """Refuses bodies that are too large, whether they say so or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        n_bytes, has_begun, is_refused = 0, False, False

        async def bounded() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            # What is beyond is not read: for whoever reads it the client has gone.
            return {"type": "http.disconnect"} if n_bytes > MAX_BODY_BYTES else message

        async def instead(message: Message) -> None:
            nonlocal has_begun, is_refused
            if n_bytes > MAX_BODY_BYTES and not has_begun and not is_refused:
                is_refused = True
                refused = Refused(error=f"the body has more than {MAX_BODY_BYTES:,} bytes")
                headers = {"Connection": "close"}
                await JSONResponse(refused.model_dump(), 413, headers=headers)(scope, receive, send)
            if not is_refused:
                has_begun = True
                await send(message)

        await self._app(scope, bounded, instead)
        if n_bytes > MAX_BODY_BYTES and not has_begun and not is_refused:
            await instead({"type": "http.response.start"})
