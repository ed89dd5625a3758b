"""What a behavior does other than asking an origin: redirect, or give a fixed answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

from bodega.distributions import checks
from bodega.distributions.shapes import CountShape, ListShape, MapShape, TextShape, about
from bodega.errors import ConfigInvalid

REDIRECT_STATUSES = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the client elsewhere.

    Example:
        >>> Redirect("https://www.example.com{path}{query}", status=308).status
        308

    Attributes:
        location: Where to; ``{host}``, ``{path}`` and ``{query}`` (with its ``?``) are the request's.
        status: 301, 302, 303, 307 or 308. The default, 307, is forgotten by browsers and keeps the method.
    """

    location: str = field(
        metadata=about(
            TextShape(examples=("https://www.example.com{path}{query}",)),
            "Where to. `{host}`, `{path}` and `{query}` (with its question mark) are those of the request.",
        )
    )
    _: KW_ONLY
    status: int = field(
        default=307,
        metadata=about(
            CountShape(301, 308),
            "301, 302, 303, 307 or 308. 307 is forgotten by browsers and keeps the method; 308 is "
            "remembered, so be sure.",
        ),
    )

    def __post_init__(self) -> None:
        """Check both fields."""
        location = checks.header_value(self.location, "location")
        unknown = [name for name in _PLACEHOLDER.findall(location) if name not in ("host", "path", "query")]
        if unknown:
            hint = checks.suggest(unknown[0], ("host", "path", "query")) or "there are {host}, {path} and {query}"
            raise ConfigInvalid(f"{{{unknown[0]}}} stands for nothing", hint=hint, path=("location",))
        if _BRACE.search(_PLACEHOLDER.sub("", location)):
            raise ConfigInvalid(
                "a brace without its counterpart", hint="percent-encode braces as %7B and %7D", path=("location",)
            )
        if not location.startswith(("/", "http://", "https://", "{path}")) or " " in location:
            raise ConfigInvalid(
                f'"{location}" is no place to go', hint='begin with "https://", "http://" or "/"', path=("location",)
            )
        if isinstance(self.status, bool) or self.status not in REDIRECT_STATUSES:
            raise ConfigInvalid(
                f"{self.status} is not the status of a redirect", hint="use 301, 302, 303, 307 or 308", path=("status",)
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer without asking anyone.

    Example:
        >>> Answer(status=410, body="This shop has closed.").headers
        {}

    Attributes:
        status: 200 to 599.
        body: The body, as UTF-8; at most 64 KiB.
        headers: Header fields.
    """

    status: int = field(default=200, metadata=about(CountShape(200, 599), "Status of the answer."))
    body: str = field(default="", metadata=about(TextShape(), "Body of the answer, at most 64 KiB; sent as UTF-8."))
    headers: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about(
            MapShape(TextShape(), "header"),
            'Header fields of the answer. Without `content-type`, "text/plain; charset=utf-8" is sent.',
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        checks.count(self.status, 200, 599, "status")
        if not isinstance(self.body, str):
            raise ConfigInvalid(f"a {type(self.body).__name__} is not a text", path=("body",))
        if len(self.body.encode(errors="surrogatepass")) > 65_536:
            raise ConfigInvalid("the body is larger than 64 KiB", hint="serve it from an origin", path=("body",))
        if self.status == 304:
            raise ConfigInvalid("a 304 answers a condition", hint="choose another status", path=("status",))
        if self.body and self.status in (204, 205):
            raise ConfigInvalid(f"a {self.status} has no body", hint="remove the body or choose 200", path=("body",))
        object.__setattr__(self, "headers", checked_headers(self.headers, "headers"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderEdits:
    """Header fields that are set and removed on the way.

    Attributes:
        set: Fields that are set, in place of what was there.
        remove: Fields that are removed.
    """

    set: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about(MapShape(TextShape(), "header"), "Fields that are set, in place of what was there."),
    )
    remove: str | Sequence[str] = field(
        default=(), metadata=about(ListShape(TextShape(examples=("x-powered-by",))), "Fields that are removed.")
    )

    def __post_init__(self) -> None:
        """Check the names and values."""
        object.__setattr__(self, "set", checked_headers(self.set, "set"))
        names = checks.as_tuple(self.remove, "remove")
        removed = tuple(checks.header_name(name, "remove", index, editable=True) for index, name in enumerate(names))
        object.__setattr__(self, "remove", removed)
        for index, name in enumerate(removed):
            if name in self.set:
                raise ConfigInvalid(
                    f'"{name}" is both set and removed',
                    hint="setting it replaces what was there",
                    path=("remove", index),
                )


def checked_headers(headers: Mapping[str, str], where: str) -> dict[str, str]:
    """Check header fields that are about to be set; names come back in lower case.

    Raises:
        ConfigInvalid: If a name or value may not be set, or a name is there twice.
    """
    if not isinstance(headers, Mapping):
        raise ConfigInvalid("header fields are a table", hint='write { x-kind = "a" }', path=(where,))
    checked: dict[str, str] = {}
    for name, value in headers.items():
        lower = checks.header_name(name, where, name, editable=True)
        if lower in checked:
            raise ConfigInvalid(
                f'"{name}" is there twice', hint="header names compare without case", path=(where, name)
            )
        checked[lower] = checks.header_value(value, where, name)
    return checked


_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_BRACE = re.compile(r"[{}]")
