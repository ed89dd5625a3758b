"""Who asks, and whether that is allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from bodega.control.api.refusals import Refusal
from bodega.control.service import Control
from bodega.control.tokens import allows, known_token
from bodega.protocol.events import TokenCreated

if TYPE_CHECKING:
    from bodega.protocol.events import Scope

_LOG = structlog.get_logger("bodega.control")
_BEARER = HTTPBearer(auto_error=False, description="A token that `bodega tokens make` has printed.")


def control_of(request: Request) -> Control:
    """Return the process behind the API."""
    control: Control = request.app.state.control
    return control


ControlHere = Annotated[Control, Depends(control_of)]


def allowed(scope: Scope) -> Callable[..., Awaitable[TokenCreated]]:
    """Return a dependency that lets through who may do something, and says who that is."""

    async def check(
        request: Request,
        control: ControlHere,
        presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    ) -> TokenCreated:
        token = None if presented is None else known_token(control.state, presented.credentials, control.wall_ms())
        if token is None:
            raise Refusal(
                401,
                "no token that is known here",
                hint="send `Authorization: Bearer TOKEN`; `BODEGA_TOKEN` is where the command line looks",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not allows(token, scope):
            _LOG.warning("refused", by=token.name, method=request.method, path=request.url.path, needs=scope)
            raise Refusal(403, f'the token "{token.name}" has not the scope "{scope}"', hint="use another token")
        return token

    return check


Reader = Annotated[TokenCreated, Depends(allowed("read"))]
Purger = Annotated[TokenCreated, Depends(allowed("purge"))]
Publisher = Annotated[TokenCreated, Depends(allowed("publish"))]
EdgeItself = Annotated[TokenCreated, Depends(allowed("edges"))]
Administrator = Annotated[TokenCreated, Depends(allowed("admin"))]
