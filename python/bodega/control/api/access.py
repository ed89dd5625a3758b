"""Who asks, and whether that is allowed."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from bodega.control.api.refusals import Refusal
from bodega.control.limits import CALLS_BURST, CALLS_PER_SECOND, Bucket
from bodega.control.service import Control
from bodega.control.tokens import allows, expired_token, known_token
from bodega.protocol.events import TokenCreated

if TYPE_CHECKING:
    from bodega.protocol.events import Scope

_LOG = structlog.get_logger("bodega.control")
_SCOPES: dict[object, Scope] = {}
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
        token = _known(control, presented)
        # Which edge it is done for is said by the path, also to those who do not name it as a parameter.
        edge = request.path_params.get("edge")
        if not allows(token, scope, edge):
            _LOG.warning(
                "refused",
                by=token.name,
                token_id=token.id,
                client=None if request.client is None else request.client.host,
                method=request.method,
                path=request.url.path,
                needs=scope,
                has=list(token.scopes),
                only_for=token.edge,
            )
            raise Refusal(403, _why_not(token, scope, edge), hint="`bodega tokens make` makes another one")
        if scope != "edges":
            slow_down(control, token)
        return token

    _SCOPES[check] = scope
    return check


def scope_of(dependency: object) -> Scope | None:
    """Return what scope a dependency asks for, if it asks for one."""
    return _SCOPES.get(dependency)


def slow_down(control: Control, token: TokenCreated) -> None:
    """Count a call of whoever does something.

    Raises:
        Refusal: If it calls too often.
    """
    now = time.monotonic()
    bucket = control.buckets.setdefault(f"{token.id} calls", Bucket(CALLS_PER_SECOND, CALLS_BURST, now))
    wait_seconds = bucket.take(1, now)
    if wait_seconds:
        raise Refusal(
            429,
            f'the token "{token.name}" calls too often',
            hint=f"{CALLS_PER_SECOND:,.0f} calls a second are allowed; one call takes up to 1,000 selectors",
            headers={"Retry-After": str(math.ceil(wait_seconds))},
        )


def _known(control: Control, presented: HTTPAuthorizationCredentials | None) -> TokenCreated:
    said = "" if presented is None else presented.credentials
    token = known_token(control.state, said, control.wall_ms())
    if token is not None:
        return token
    expired = expired_token(control.state, said, control.wall_ms())
    if expired is not None:
        what, hint = f'the token "{expired.name}" has expired', "`bodega tokens make` makes another one"
    else:
        what = "no token that is known here"
        hint = "send `Authorization: Bearer TOKEN`; `BODEGA_TOKEN` is where the command line looks"
    raise Refusal(401, what, hint=hint, headers={"WWW-Authenticate": "Bearer"})


def _why_not(token: TokenCreated, scope: Scope, edge: str | None) -> str:
    if token.edge is not None:
        return f'the token "{token.name}" is for the edge "{token.edge}" alone' + (
            f', and not for "{edge}"' if edge is not None and scope == "edges" else ""
        )
    return f'the token "{token.name}" has not the scope "{scope}"'


Reader = Annotated[TokenCreated, Depends(allowed("read"))]
Purger = Annotated[TokenCreated, Depends(allowed("purge"))]
Publisher = Annotated[TokenCreated, Depends(allowed("publish"))]
EdgeItself = Annotated[TokenCreated, Depends(allowed("edges"))]
Administrator = Annotated[TokenCreated, Depends(allowed("admin"))]
