"""Why nothing was done, as an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bodega.errors import AppendRefused, BodegaError, ConfigInvalid, SelectorInvalid, SnapshotInvalid
from bodega.protocol.api import Problem, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Refused, "description": description}
    for status, description in {
        400: "The body is no JSON.",
        401: "No token, or none that is known.",
        403: "The token may not do this.",
        404: "There is no such thing.",
        409: "It contradicts what is.",
        413: "The body is too large.",
        422: "It cannot be used; every problem is named.",
        429: "Too many at once; `Retry-After` says when.",
        503: "The journal cannot be written.",
    }.items()
}


_HINTS = {
    400: "send JSON, as UTF-8",
    404: "`/openapi.json` describes what there is",
    405: "`/openapi.json` describes what there is",
}


class Refusal(Exception):
    """An answer that is not what was asked for."""

    def __init__(self, status: int, error: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Keep what is answered."""
        super().__init__(error)
        self.status = status
        self.body = Refused(error=error, hint=hint)
        self.headers = dict(headers or {})


def answer_refusals(app: FastAPI) -> None:
    """Have everything that is refused answered in one form."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return _answer(refusal.status, refusal.body, refusal.headers)

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without what was sent: it may hold secrets.
        problems = [
            Problem(
                what=str(each["msg"]),
                where=".".join(str(part) for part in each["loc"]),
                path=[part if isinstance(part, int) else str(part) for part in each["loc"]],
            )
            for each in error.errors()
        ]
        return _answer(422, Refused(error="the request cannot be read", problems=problems))

    @app.exception_handler(HTTPException)
    async def without_a_route(_: Request, error: HTTPException) -> JSONResponse:
        # What the framework refuses: an unknown path or method, a body in which no text can be found.
        return _answer(
            error.status_code, Refused(error=str(error.detail), hint=_HINTS.get(error.status_code, "")), error.headers
        )

    @app.exception_handler(BodegaError)
    async def failed(_: Request, error: BodegaError) -> JSONResponse:
        match error:
            case ConfigInvalid():
                problems = [
                    Problem(what=each.what, hint=each.hint, where=each.where, line=each.line, path=list(each.path))
                    for each in error.problems
                ]
                return _answer(422, Refused(error="the configuration cannot be used", problems=problems))
            case SelectorInvalid() | SnapshotInvalid():
                return _answer(422, Refused(error=error.what, hint=error.hint))
            case AppendRefused():
                return _answer(409, Refused(error=error.what, hint=error.hint))
            case _:
                return _answer(503, Refused(error=error.what, hint=error.hint))


def _answer(status: int, body: Refused, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body.model_dump(), status, headers=dict(headers or {}))
