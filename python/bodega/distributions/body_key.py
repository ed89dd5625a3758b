"""What of a request's body is in the key, for origins that are asked by POST or QUERY."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bodega.distributions import checks
from bodega.distributions.shapes import ChoiceShape, ListShape, SizeShape, TextShape, about
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.units import Size

FORMS = ("json", "raw")
_MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BodyKey:
    """Keep answers to POST and QUERY by method, URL and body.

    Example:
        >>> BodyKey("json", ignored=["request_id", "/client/now"]).form
        'json'

    Attributes:
        form: When two bodies are one: as values of JSON (RFC 8785), or byte by byte.
        ignored: What of a JSON body does not count: names of its members, or JSON pointers (RFC 6901).
        max_body: The longest body that a key is made of, up to 1 MiB; longer ones pass.
    """

    form: Literal["json", "raw"] = field(
        metadata=about(
            ChoiceShape(FORMS),
            'When two bodies are one: "json" if they are the same value of JSON (RFC 8785), "raw" if their bytes are '
            "equal.",
        )
    )
    ignored: str | Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(TextShape(examples=("request_id", "/client/now")), alone=True),
            "What of a JSON body does not count: names of members of its outermost object, or JSON pointers (RFC "
            "6901). It reaches the origin all the same: name only what changes no answer.",
            default="nothing",
        ),
    )
    max_body: Size = field(
        default="64KiB",
        metadata=about(SizeShape(), "The longest body that a key is made of, up to 1 MiB; longer ones pass."),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        if self.form not in FORMS:
            hint = checks.suggest(str(self.form), FORMS) or 'write "json" or "raw"'
            raise ConfigInvalid(f'"{self.form}" is no form of a body', hint=hint, path=("form",))
        ignored = checks.as_tuple(self.ignored, "ignored")
        object.__setattr__(self, "ignored", ignored)
        if ignored and self.form == "raw":
            raise ConfigInvalid(
                "bytes have no members to leave out", hint='write form = "json", or leave it out', path=("ignored",)
            )
        if len(ignored) > _MAX_IGNORED:
            raise ConfigInvalid(f"more than {_MAX_IGNORED} members", hint="leave some out", path=("ignored",))
        for index, name in enumerate(ignored):
            _check_pointer(name, "ignored", index)
        if not 1 <= checks.size(self.max_body, "max_body") <= _MAX_BODY_BYTES:
            raise ConfigInvalid(
                "a body in a key has 1 byte to 1 MiB", hint='write for instance "64KiB"', path=("max_body",)
            )


def _check_pointer(written: str, *field: str | int) -> None:
    if not written:
        raise ConfigInvalid(
            "an empty text is the whole body", hint='name a member, or write a pointer: "/client/now"', path=field
        )
    escapes = written.replace("~0", "").replace("~1", "")
    if written.startswith("/") and "~" in escapes:
        raise ConfigInvalid(
            f'"{written}" is no JSON pointer', hint="`~` is written ~0, and `/` within a name ~1", path=field
        )


_MAX_IGNORED = 64
