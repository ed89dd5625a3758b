"""Who may do what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bodega.client.answers import MadeToken, Token, read
from bodega.units import parse_duration

if TYPE_CHECKING:
    from bodega.client.connection import Connection
    from bodega.units import Duration


class Tokens:
    """The tokens that a control process knows."""

    def __init__(self, connection: Connection) -> None:
        """Keep whom to ask."""
        self._connection = connection

    def make(
        self, name: str, scopes: Sequence[str], *, expires_in: Duration | None = None, edge: str | None = None
    ) -> MadeToken:
        """Make a token. It is told this once.

        Args:
            name: What events say of who did something.
            scopes: ``"read"``, ``"purge"``, ``"publish"``, ``"edges"``, ``"admin"``.
            expires_in: When it ends; by default never.
            edge: The one edge that it is for; its scope is then ``"edges"`` alone.
        """
        said: dict[str, Any] = {"name": name, "scopes": list(scopes), "edge": edge}
        if expires_in is not None:
            said["expires_in_seconds"] = parse_duration(expires_in)
        return read(MadeToken, self._connection.ask("POST", "/v1/tokens", said))

    def list(self) -> list[Token]:
        """List the tokens, without their secrets."""
        return [read(Token, each) for each in self._connection.ask("GET", "/v1/tokens", again=True)]

    def revoke(self, token_id: str) -> None:
        """Let nobody do anything with a token any more.

        Raises:
            ControlRefused: If there is none (status 404), or it is the one that asks (status 409).
        """
        self._connection.ask("DELETE", f"/v1/tokens/{quote(token_id, safe='')}")
