"""Tokens: what they look like, and how one is known without keeping it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodega.control.state import State
    from bodega.protocol.events import Scope, TokenCreated

_PREFIX = "bdg"


def make_token() -> tuple[str, str, str]:
    """Return a new id, the token, and the hash that is kept of it.

    The secret has 256 random bits, so that a plain hash is enough: there is nothing to guess.
    """
    token_id = secrets.token_hex(6)
    token = f"{_PREFIX}_{token_id}_{secrets.token_urlsafe(32)}"
    return token_id, token, _hash(token)


def known_token(state: State, presented: str, now_ms: int) -> TokenCreated | None:
    """Return the token that was presented, if it is one and has not expired."""
    parts = presented.split("_", 2)
    if len(parts) != len(("prefix", "id", "secret")) or parts[0] != _PREFIX:
        return None
    token = state.tokens.get(parts[1])
    # Compared also where there is none, so that the time does not tell which ids there are.
    is_it = hmac.compare_digest(token.hash if token else _hash(""), _hash(presented))
    if token is None or not is_it or (token.expires_ms is not None and token.expires_ms <= now_ms):
        return None
    return token


def is_valid(state: State, token: TokenCreated, now_ms: int) -> bool:
    """Whether a token that was known is so still: not revoked, and not expired."""
    return state.tokens.get(token.id) == token and (token.expires_ms is None or token.expires_ms > now_ms)


def expired_token(state: State, presented: str, now_ms: int) -> TokenCreated | None:
    """Return the token that was presented, if all that is wrong with it is that it has expired."""
    token = known_token(state, presented, 0)
    return token if token is not None and token.expires_ms is not None and token.expires_ms <= now_ms else None


def allows(token: TokenCreated, scope: Scope, edge: str | None = None) -> bool:
    """Whether a token may do something.

    Whoever may do everything may do that, and whoever may change may read. One that is for a single edge may do what
    that edge does, and nothing else.

    Args:
        token: Who asks.
        scope: What is needed.
        edge: The edge for which it is done, if it is for one.
    """
    if token.edge is not None:
        return scope == "edges" and "edges" in token.scopes and edge in (None, token.edge)
    return scope in token.scopes or "admin" in token.scopes or (scope == "read" and bool(token.scopes))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
