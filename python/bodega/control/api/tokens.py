"""`/v1/tokens`: who may do what."""

from __future__ import annotations

from fastapi import APIRouter

from bodega.control.api.access import Administrator, ControlHere
from bodega.control.api.refusals import Refusal
from bodega.control.service import Control
from bodega.protocol.api import MadeToken, NewToken, Token
from bodega.protocol.events import TokenCreated, TokenRevoked

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])


@router.post("", status_code=201)
async def make(asked: NewToken, by: Administrator, control: ControlHere) -> MadeToken:
    """Make a token. It is told this once: only its hash is kept."""
    expires_ms = None
    if asked.expires_in_seconds is not None:
        expires_ms = control.wall_ms() + int(asked.expires_in_seconds * 1000)
    scopes = tuple(dict.fromkeys(asked.scopes))
    if asked.edge is not None and scopes != ("edges",):
        raise Refusal(422, "a token for one edge has the scope edges alone", hint='say "scopes": ["edges"]')
    created, token = await control.make_token(asked.name, scopes, by=by.name, expires_ms=expires_ms, edge=asked.edge)
    return MadeToken(**_report(created).model_dump(), token=token)


@router.get("")
async def list_tokens(_: Administrator, control: ControlHere) -> list[Token]:
    """List the tokens, without their secrets."""
    return [_report(each) for each in control.state.tokens.values()]


@router.delete("/{token_id}", status_code=204)
async def revoke(token_id: str, by: Administrator, control: ControlHere) -> None:
    """Let nobody do anything with a token any more."""
    if token_id not in control.state.tokens:
        raise Refusal(404, f"there is no token {token_id}")
    if token_id == by.id:
        raise Refusal(409, "a token cannot take itself away", hint="use another one of the scope admin")
    await control.append(TokenRevoked(id=token_id).event(by=by.name))
    forget_limits(control, token_id)


def forget_limits(control: Control, token_id: str) -> None:
    """Forget how much a token that is over has asked for."""
    for counted in (token_id, f"{token_id} calls"):
        control.buckets.pop(counted, None)


def _report(token: TokenCreated) -> Token:
    return Token(id=token.id, name=token.name, scopes=list(token.scopes), expires_ms=token.expires_ms, edge=token.edge)
