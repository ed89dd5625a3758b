"""Reads `tests/corpus`, whose README says what the tables mean."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

CORPUS = Path(__file__).parents[1] / "corpus"


@dataclass(frozen=True, slots=True)
class Seen:
    """What an origin sees of a request that is taken."""

    method: str
    target: str | None = None
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes of a client."""

    name: str
    why: str
    rfc: str
    sent: bytes
    expect: int = 400
    reaches: Literal["nothing", "part"] = "nothing"
    origin: Seen | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """Bytes of an origin."""

    name: str
    why: str
    rfc: str
    sent: bytes
    method: str = "GET"
    closes: bool = False
    after: bytes = b""
    expect: int | Literal["broken"] = 502
    body: str = ""


def requests(wanted: Callable[[Request], bool]) -> list[Any]:
    """Return requests as parameters of a test; a misspelt key is an error."""
    found = []
    for subject, entry in _entries("requests", "request"):
        if "origin" in entry:
            entry["origin"] = Seen(**entry["origin"])
        if wanted(request := Request(**entry)):
            found.append(pytest.param(request, id=f"{subject}: {request.name}"))
    return found


def responses() -> list[Any]:
    """Return responses as parameters of a test."""
    found = []
    for subject, entry in _entries("responses", "response"):
        response = Response(**{**entry, "after": entry.get("after", "").encode("latin-1")})
        found.append(pytest.param(response, id=f"{subject}: {response.name}"))
    return found


def _entries(folder: str, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((CORPUS / folder).glob("*.toml")):
        for entry in tomllib.loads(path.read_text())[table]:
            text = entry.pop("bytes")
            if fill := entry.pop("fill", None):
                text = text.replace("{fill}", fill["text"] * fill["times"])
                if "body" in entry:
                    entry["body"] = entry["body"].replace("{fill}", fill["text"] * fill["times"])
            yield path.stem, {**entry, "sent": text.encode("latin-1")}
