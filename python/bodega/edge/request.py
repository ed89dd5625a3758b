"""A request to an edge in this process."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HeadersWritten: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]]"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of an edge.

    Example:
        >>> Request("/predict", {"features": [1.0, 2.0]}).resolved_method
        'POST'

    Attributes:
        path: A path with its query, or a whole URL.
        data: The body: bytes, a text (sent as UTF-8), or anything that JSON can say. None: no body.
        method: By default GET, or POST where there is a body.
        headers: Header fields, as a mapping or as pairs.
    """

    path: str
    data: Any = None
    _: KW_ONLY
    method: str | None = None
    headers: HeadersWritten = field(default_factory=dict)

    @property
    def resolved_method(self) -> str:
        """The method that is sent."""
        return self.method or ("GET" if self.data is None else "POST")

    @property
    def body(self) -> bytes:
        """The body that is sent.

        Raises:
            TypeError: If the data is nothing that JSON can say.
        """
        if self.data is None:
            return b""
        if isinstance(self.data, bytes | bytearray | memoryview):
            return bytes(self.data)
        if isinstance(self.data, str):
            return self.data.encode()
        return json.dumps(self.data).encode()

    @property
    def header_pairs(self) -> list[tuple[str, bytes]]:
        """The header fields that are sent; JSON data names its type unless a field does."""
        pairs = header_pairs(self.headers)
        is_json = self.data is not None and not isinstance(self.data, str | bytes | bytearray | memoryview)
        if is_json and all(name.lower() != "content-type" for name, _ in pairs):
            pairs.append(("content-type", b"application/json"))
        return pairs


def header_pairs(headers: HeadersWritten) -> list[tuple[str, bytes]]:
    """Return header fields as pairs of name and bytes."""
    items = headers.items() if hasattr(headers, "items") else headers
    return [(name, value.encode("latin-1")) for name, value in items]
