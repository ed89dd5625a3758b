"""What an edge answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class Headers(Mapping[str, str]):
    """Header fields; names compare without case.

    A field that is there several times reads as one list (RFC 9110 section 5.3).
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[str, bytes]]) -> None:
        """Keep the fields in the order they came."""
        self._pairs = [(name.lower(), value.decode("latin-1")) for name, value in pairs]

    def __getitem__(self, name: str) -> str:
        """Return the value of a field, several joined with commas."""
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, each once, in lower case."""
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        """Count the names."""
        return len(dict(self._pairs))

    def __repr__(self) -> str:
        """Show the fields."""
        return f"Headers({self._pairs!r})"

    def get_all(self, name: str) -> list[str]:
        """Return the values of a field, one for each time it is there (`Set-Cookie` cannot be joined)."""
        wanted = name.lower()
        return [value for found, value in self._pairs if found == wanted]


@dataclass(frozen=True, slots=True)
class Response:
    """What an edge answered.

    Attributes:
        status: 200 to 599.
        headers: The header fields.
        body: The body, decoded from any transfer coding.
    """

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, by the charset its type names, else UTF-8; what does not fit is replaced."""
        kind = self.headers.get("content-type", "")
        charset = kind.partition("charset=")[2].split(";")[0].strip().strip('"') or "utf-8"
        try:
            return self.body.decode(charset, "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    @property
    def cache_status(self) -> str:
        """What the edge says about where the answer came from (RFC 9211); empty if it says nothing."""
        return self.headers.get("cache-status", "")

    @property
    def is_hit(self) -> bool:
        """Whether the answer came from the edge's cache, by the last member of `Cache-Status`."""
        last = self.cache_status.rsplit(",", 1)[-1]
        return "hit" in (part.strip() for part in last.split(";"))

    def json(self) -> Any:
        """Return what the body says as JSON.

        Raises:
            ValueError: If it is no JSON.
        """
        return json.loads(self.body)
