"""The short way of a heartbeat: of all that a control process is asked, most is this, from every edge each second.

One that is well-formed, of an edge that is known, with a token that may, is answered here by what `edges.heartbeat`
calls as well. Every other one goes there, on the long way, where it is said what is wrong with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bodega.control.tokens import allows, known_token
from bodega.protocol.api import Heartbeat

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from bodega.control.service import Control

_PATH = re.compile(r"/v1/edges/([^/]+)/heartbeat")
_JSON = (b"content-type", b"application/json")


class ShortWay:
    """Answers heartbeats, and hands on all else."""

    def __init__(self, app: ASGIApp, control: Control) -> None:
        """Keep where the long way goes."""
        self._app = app
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        asked = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        first = await receive()
        answer = None
        if first["type"] == "http.request" and not first.get("more_body") and _JSON in scope["headers"]:
            answer = self._answer(asked[1], scope["headers"], first.get("body", b""))
        if answer is None:
            await self._app(scope, _from(first, receive), send)
            return
        headers = [_JSON, (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, edge: str, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes | None:
        control = self._control
        presented = [value for name, value in headers if name == b"authorization"]
        if len(presented) != 1 or not presented[0].startswith(b"Bearer "):
            return None
        token = known_token(control.state, presented[0][len("Bearer ") :].decode("latin-1"), control.wall_ms())
        if token is None or not allows(token, "edges", edge) or edge not in control.state.edges:
            return None
        try:
            said = Heartbeat.model_validate_json(body)
        except ValidationError:
            return None
        if control.presence.other_instance(edge, said.instance):
            return None
        return control.hear(edge, said).model_dump_json().encode()


def _from(first: Message, receive: Receive) -> Receive:
    """Return what receives a message again that was received already, then the others."""
    is_first = True

    async def again() -> Message:
        nonlocal is_first
        if is_first:
            is_first = False
            return first
        return await receive()

    return again
