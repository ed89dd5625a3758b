"""Cache policies as a person writes them: what is kept, for how long, under which key.

A policy extends another one, in the end a preset; what it leaves out is inherited.
`bodega.distributions.resolve` fills everything in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from bodega.distributions import checks
from bodega.distributions.key import ForwardRules, KeyRules
from bodega.distributions.shapes import (
    ChoiceShape,
    DurationShape,
    FlagShape,
    ListShape,
    MapShape,
    NameShape,
    NounShape,
    SizeShape,
    TextShape,
    about,
)
from bodega.errors import ConfigInvalid
from bodega.units import parse_duration

if TYPE_CHECKING:
    from bodega.units import Duration, Size

# Room is left for what answers name themselves: they may have 64.
_MOST_TAGS = 32
_LONGEST_TAG = 256
_LEAST = (
    ("strict", "3s", 'an edge hears of its control process every second, and one that was late is no cut: write "3s"'),
    ("refresh_every", "1s", 'write "1s", or a shorter max_ttl'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """What a behavior keeps, for how long, and what tells two answers apart.

    Example:
        >>> CachePolicy(default_ttl="10m", key=KeyRules(query=["page", "lang"])).default_ttl
        '10m'

    Attributes:
        extends: The policy that fills in what is left out: a preset's or a declared policy's name, or a policy.
        mode: Whose word counts beside the origin's: ``"safe"`` or ``"rfc"``.
        min_ttl: Least freshness of what may be stored.
        default_ttl: Freshness of answers that say nothing; ``"heuristic"``: a tenth of the age since
            ``Last-Modified``, at most the inherited default, and none for answers without it (RFC 9111 section 4.2.2).
        max_ttl: Most freshness, whatever the answer says.
        negative_ttl: Freshness by status for answers that say nothing.
        stale_while_revalidate: How long after expiry the old answer is given while a new one is fetched.
        stale_if_error: How long after expiry the old answer is given when the origin fails.
        strict: At an edge that follows a control process: how long what is stored is used unasked although the edge may
            have missed invalidations; ``"off"``: for as long as it is fresh.
        refresh_every: What is asked for again is validated in the background once it is older than this, before it
            expires; ``"off"``: only once it has expired.
        key: What tells two answers apart.
        forward: What is sent to the origin although it is not in the key.
        check_content_type: Whether a page under the name of another kind of file is not stored.
        tags: Tags that answers get beside those that they name: ``["shop", "product:{path.2}"]``.
        strip_tags: Whether clients do not get ``Cache-Tag`` and ``Surrogate-Key``.
        max_object: Larger bodies are streamed and not kept.
    """

    extends: str | CachePolicy = field(
        default="web",
        metadata=about(
            NameShape("policies"),
            "The policy that fills in what is left out: `web`, `immutable`, `api`, `none`, or one of yours.",
        ),
    )
    mode: Literal["safe", "rfc"] | None = field(
        default=None,
        metadata=about(
            ChoiceShape(("safe", "rfc")),
            "\"safe\": the edge is the origin's agent; a client's `Cache-Control` is not heeded, answers with "
            "`Set-Cookie` or failures that say nothing are not stored, and an answer under an unknown transfer coding "
            'is refused. "rfc": RFC 9111 by the letter.',
            default="inherited",
        ),
    )
    min_ttl: Duration | None = field(
        default=None,
        metadata=about(
            DurationShape(),
            "Least freshness of what may be stored, even where the answer names less. It never "
            "stores what the answer forbids to store.",
            default="inherited",
        ),
    )
    default_ttl: Duration | Literal["heuristic"] | None = field(
        default=None,
        metadata=about(
            DurationShape(words=("heuristic",)),
            "Freshness of answers that say nothing about it, if their status may be kept by default "
            "(200, 301, 404 and so on). "
            '"0": keep only what the answer says. "heuristic": keep what has a `Last-Modified` for a tenth of its age, '
            "at most the inherited default.",
            default="inherited",
        ),
    )
    max_ttl: Duration | None = field(
        default=None,
        metadata=about(DurationShape(), "Most freshness, whatever the answer says.", default="inherited"),
    )
    negative_ttl: Mapping[int, Duration] | None = field(
        default=None,
        metadata=about(
            MapShape(DurationShape(), "status", numeric_keys=True),
            "Freshness by status for answers that say nothing. It takes the place of `default_ttl` for these statuses; "
            "inherited ones are never longer than `default_ttl`.",
            default="inherited",
        ),
    )
    stale_while_revalidate: Duration | None = field(
        default=None,
        metadata=about(
            DurationShape(),
            "How long after expiry the old answer is given at once while a new one is fetched, where "
            "the answer does not say (RFC 5861).",
            default="inherited",
        ),
    )
    stale_if_error: Duration | None = field(
        default=None,
        metadata=about(
            DurationShape(),
            "How long after expiry the old answer is given when the origin fails, where the answer "
            "does not say (RFC 5861).",
            default="inherited",
        ),
    )
    strict: Duration | Literal["off"] | None = field(
        default=None,
        metadata=about(
            DurationShape(words=("off",)),
            "For an edge that follows a control process: how long it may use what is stored, unasked, after it last "
            "knew that it had applied all that was purged. Cut off for longer, or before it has heard of the control "
            "process at all, it asks the origin about each answer first, and gives nothing stale. So nothing that was "
            "purged is given later than this after the purge was acknowledged, cut or not. At least 3s, since edges "
            'and control process hear of each other every second. "off": what is stored is given while it is fresh.',
            default="inherited",
        ),
    )
    refresh_every: Duration | Literal["off"] | None = field(
        default=None,
        metadata=about(
            DurationShape(words=("off",)),
            "What is asked for again is validated in the background once it is older than this, before it expires; the "
            "client that asked gets what is stored at once. If the origin fails, that stays until it expires. At least "
            '1s. "off": validated only once it has expired.',
            default="inherited",
        ),
    )
    key: KeyRules | None = field(
        default=None,
        metadata=about(
            NounShape(KeyRules),
            "What tells two answers apart. What is not in the key is not sent to the origin.",
            default="inherited",
        ),
    )
    forward: ForwardRules | None = field(
        default=None,
        metadata=about(
            NounShape(ForwardRules),
            "What is sent to the origin although it is not in the key. Requests that carry it are "
            "answered from the cache "
            "only where the answer says so itself.",
            default="inherited",
        ),
    )
    check_content_type: bool | None = field(
        default=None,
        metadata=about(
            FlagShape(),
            "Do not store a page (`text/html`, JSON) whose path has the extension of another kind of file, such as "
            "`/account/x.css` (web cache deception). It is answered all the same.",
            default='inherited; false with `mode = "rfc"`',
        ),
    )
    tags: Sequence[str] | None = field(
        default=None,
        metadata=about(
            ListShape(TextShape(examples=("shop", "product:{path.2}"))),
            "Tags that answers get beside those that they name in `Cache-Tag` and `Surrogate-Key`, for `bodega purge "
            "tag:NAME`. `{host}` and `{path.1}` to `{path.9}`, the segments of the path, are filled in; a tag whose "
            "segment a path lacks is left out. At most 32.",
            default="inherited",
        ),
    )
    strip_tags: bool | None = field(
        default=None,
        metadata=about(
            FlagShape(),
            "Whether clients do not get `Cache-Tag` and `Surrogate-Key`: they are for caches, and tell of users and "
            "products. false: for a cache in front that wants them.",
            default="inherited",
        ),
    )
    max_object: Size | None = field(
        default=None,
        metadata=about(SizeShape(), "Larger bodies are streamed to the client and not kept.", default="inherited"),
    )

    def __post_init__(self) -> None:
        """Check every field that was given."""
        if isinstance(self.extends, str):
            checks.name(self.extends, "extends")
        elif not isinstance(self.extends, CachePolicy):
            raise ConfigInvalid("a policy extends a name or a CachePolicy", path=("extends",))
        if self.mode not in (None, "safe", "rfc"):
            hint = checks.suggest(self.mode, ("safe", "rfc")) or 'write "safe" or "rfc"'
            raise ConfigInvalid(f'"{self.mode}" is not a mode', hint=hint, path=("mode",))
        for name in ("min_ttl", "default_ttl", "max_ttl", "stale_while_revalidate", "stale_if_error"):
            written = getattr(self, name)
            if written is not None and not (name == "default_ttl" and written == "heuristic"):
                checks.duration(written, name)
        for name, least, why in _LEAST:
            written = getattr(self, name)
            if written not in (None, "off") and checks.duration(written, name) < parse_duration(least):
                raise ConfigInvalid(f"{name} is shorter than {least}", hint=why, path=(name,))
        if self.check_content_type is not None:
            checks.flag(self.check_content_type, "check_content_type")
        if self.tags is not None:
            object.__setattr__(self, "tags", _tags(self.tags))
        if self.strip_tags is not None:
            checks.flag(self.strip_tags, "strip_tags")
        if self.max_object is not None:
            checks.size(self.max_object, "max_object")
        if self.negative_ttl is not None:
            object.__setattr__(self, "negative_ttl", _by_status(self.negative_ttl))
        if not isinstance(self.key, KeyRules | None):
            raise ConfigInvalid("`key` is a KeyRules", path=("key",))
        if not isinstance(self.forward, ForwardRules | None):
            raise ConfigInvalid("`forward` is a ForwardRules", path=("forward",))
        self._check_order()

    def _check_order(self) -> None:
        order = [(name, getattr(self, name)) for name in ("min_ttl", "default_ttl", "max_ttl")]
        given = [
            (name, written, checks.duration(written, name))
            for name, written in order
            if written is not None and written != "heuristic"
        ]
        for (lower, low_text, low), (upper, high_text, high) in pairwise(given):
            # A default of zero means "only what the answer says": a minimum above it is no contradiction.
            if low > high and not (upper == "default_ttl" and high == 0):
                raise ConfigInvalid(
                    f"{lower} ({low_text}) is longer than {upper} ({high_text})",
                    hint="raise one or lower the other",
                    path=(lower,),
                )


def _by_status(written: object) -> dict[int, Duration]:
    if not isinstance(written, Mapping):
        raise ConfigInvalid("statuses with durations are a table", hint='write { 404 = "10s" }', path=("negative_ttl",))
    for status, value in written.items():
        if isinstance(status, bool) or not isinstance(status, int) or not 300 <= status <= 599:
            raise ConfigInvalid(
                f"{status} is not a status",
                hint="write 300 to 599; for answers that went well there is `default_ttl`",
                path=("negative_ttl", str(status)),
            )
        if status == 304:
            raise ConfigInvalid(
                "a 304 is never kept by its own", hint="it belongs to a 200", path=("negative_ttl", str(status))
            )
        checks.duration(value, "negative_ttl", str(status))
    return dict(sorted(written.items()))


def _tags(written: object) -> tuple[str, ...]:
    if isinstance(written, str) or not isinstance(written, Sequence):
        raise ConfigInvalid("tags are a list", hint='write ["shop", "product:{path.2}"]', path=("tags",))
    if len(written) > _MOST_TAGS:
        raise ConfigInvalid(f"{len(written)} tags", hint=f"at most {_MOST_TAGS}", path=("tags",))
    for number, tag in enumerate(written):
        path = ("tags", number)
        if not isinstance(tag, str) or not 0 < len(tag) <= _LONGEST_TAG:
            raise ConfigInvalid(f"a tag is a text of 1 to {_LONGEST_TAG} characters", path=path)
        if not tag.isascii() or not tag.isprintable() or " " in tag or "," in tag:
            raise ConfigInvalid(f'"{tag}" is not a tag', hint="use visible ASCII without spaces and commas", path=path)
        plain = re.sub(r"\{(host|path\.[1-9])\}", "", tag)
        if "{" in plain or "}" in plain:
            raise ConfigInvalid(
                f'"{tag}" has what is neither {{host}} nor {{path.1}} to {{path.9}} in braces',
                hint='write "product:{path.2}" for the second segment of the path',
                path=path,
            )
    return tuple(written)
