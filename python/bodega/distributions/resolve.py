"""Policies with everything filled in: presets, `extends`, defaults.

The presets are data here, and nowhere else.
Start at `resolve_policy`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bodega.distributions import checks
from bodega.distributions.key import Deny, ForwardRules, KeyRules, Query
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodega.distributions.policy import CachePolicy

DAY = 86_400
YEAR = 365 * DAY


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """Which query parameters are meant.

    Attributes:
        kind: None, all, only `names`, or all but `names`.
        names: Sorted, without repetitions.
    """

    kind: Literal["none", "all", "allow", "deny"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPolicy:
    """A policy with everything filled in; durations in seconds, sizes in bytes.

    Attributes:
        store: False: everything is forwarded, nothing is stored.
        mode: Whether a client's directives are obeyed, and all is stored that RFC 9111 lets a cache store.
        default_ttl_seconds: Freshness of answers that say nothing, and the most that a guess comes to.
        heuristic_only: No default: a tenth of the age since ``Last-Modified``, or nothing.
        forward_all_headers: Every header but ``Cookie`` reaches the origin.
        negative_ttl_seconds: By status, sorted.
        strict_seconds: How long an edge that may have missed invalidations uses what is stored; None: while fresh.
        refresh_every_seconds: From which age what is asked for is validated in the background; None: once it expired.
        check_content_type: What contradicts the extension of its path is not stored.
        tags: Tags that answers get beside those they name.
        strip_tags: Clients do not get the fields that name tags.
        max_object_bytes: None: the store's own bound.
    """

    store: bool
    mode: Literal["safe", "rfc"]
    min_ttl_seconds: float
    default_ttl_seconds: float
    heuristic_only: bool
    max_ttl_seconds: float
    negative_ttl_seconds: tuple[tuple[int, float], ...]
    stale_while_revalidate_seconds: float
    stale_if_error_seconds: float
    strict_seconds: float | None
    refresh_every_seconds: float | None
    key_query: ResolvedQuery
    key_sorted: bool
    key_headers: tuple[str, ...]
    key_cookies: tuple[str, ...]
    key_host: bool
    forward_query: ResolvedQuery
    forward_headers: tuple[str, ...]
    forward_all_headers: bool
    forward_cookies: tuple[str, ...]
    check_content_type: bool
    tags: tuple[str, ...]
    strip_tags: bool
    max_object_bytes: int | None


_ALL = ResolvedQuery("all")
_NONE = ResolvedQuery("none")

# Answers that say nothing are kept for a day; those that a deployment or a slip of the keyboard makes, for seconds.
_WEB = ResolvedPolicy(
    store=True,
    mode="safe",
    min_ttl_seconds=0,
    default_ttl_seconds=DAY,
    heuristic_only=False,
    max_ttl_seconds=YEAR,
    negative_ttl_seconds=((404, 10), (405, 10), (410, 10), (414, 10), (501, 10)),
    stale_while_revalidate_seconds=0,
    stale_if_error_seconds=3600,
    strict_seconds=None,
    refresh_every_seconds=None,
    key_query=_ALL,
    key_sorted=False,
    key_headers=(),
    key_cookies=(),
    key_host=True,
    forward_query=_NONE,
    forward_headers=(),
    forward_all_headers=False,
    forward_cookies=(),
    check_content_type=True,
    tags=(),
    strip_tags=True,
    max_object_bytes=None,
)

PRESETS: Mapping[str, ResolvedPolicy] = {
    "web": _WEB,
    # The query stays in the key, because `app.js?v=7` is how many sites name a new version.
    "immutable": replace(
        _WEB, default_ttl_seconds=YEAR, stale_while_revalidate_seconds=DAY, stale_if_error_seconds=7 * DAY
    ),
    # Credentials reach the origin, outside the key: such answers are kept only where they say so themselves.
    "api": replace(
        _WEB,
        default_ttl_seconds=0,
        negative_ttl_seconds=(),
        stale_if_error_seconds=0,
        key_sorted=True,
        forward_headers=("authorization", "cookie"),
    ),
    # What a model says of an input it would say again, until another version takes its place.
    "predictions": replace(
        _WEB, default_ttl_seconds=300, negative_ttl_seconds=(), stale_if_error_seconds=0, check_content_type=False
    ),
    # Every header reaches the origin, as in any gateway cache: `Vary` says which of them matter.
    "rfc": replace(
        _WEB,
        mode="rfc",
        heuristic_only=True,
        negative_ttl_seconds=(),
        forward_all_headers=True,
        check_content_type=False,
    ),
    "none": replace(
        _WEB,
        store=False,
        default_ttl_seconds=0,
        negative_ttl_seconds=(),
        max_ttl_seconds=0,
        stale_if_error_seconds=0,
        forward_query=_ALL,
        forward_headers=("authorization", "cookie"),
    ),
}

PRESET_TEXTS: Mapping[str, str] = {
    "web": "Pages and files of a site: kept as the answer says, else 24 h; errors that say nothing "
    "10 s; the whole query and the "
    "host are in the key; cookies do not reach the origin; an origin that is down is covered for 1 h.",
    "immutable": "Files whose name changes with their content: kept 1 year where the answer says "
    "nothing, given stale for a day "
    "while they are checked and for a week while the origin is down.",
    "api": "Answers of programs: kept only where the answer says so; parameters are sorted; "
    "`Authorization` and `Cookie` reach "
    "the origin, and answers to them are kept only where they are marked as shared.",
    "predictions": "What models answer, and what their behaviors have in place of `web`: kept 5 minutes.",
    "rfc": "RFC 9111 by the letter: clients' `Cache-Control` is obeyed, every header but `Cookie` reaches the "
    "origin, which names in `Vary` what its answers depend on, and answers that say nothing are kept for a tenth of "
    "the age since `Last-Modified`.",
    "none": "Everything is forwarded, both ways as a stream, and nothing is stored: accounts, "
    "uploads, anything personal.",
}


def resolve_policy(policy: str | CachePolicy, declared: Mapping[str, CachePolicy]) -> ResolvedPolicy:
    """Fill in everything that a policy leaves out.

    Args:
        policy: A name, or a policy.
        declared: The policies that names may refer to, beside the presets.

    Raises:
        ConfigInvalid: If a name refers to nothing, policies extend one another in a circle,
            or the result contradicts itself; its path begins at the policy.
    """
    return _resolve(policy, declared, ())


def known_policies(declared: Mapping[str, CachePolicy]) -> list[str]:
    """List the names that a behavior or `extends` may use."""
    return [*declared, *PRESETS]


def _resolve(policy: str | CachePolicy, declared: Mapping[str, CachePolicy], seen: tuple[str, ...]) -> ResolvedPolicy:
    if isinstance(policy, str):
        if policy in declared:
            if policy in seen:
                circle = " → ".join((*seen[seen.index(policy) :], policy))
                raise ConfigInvalid(
                    f"policies extend one another in a circle: {circle}",
                    hint="let one of them extend a preset",
                    path=("extends",),
                )
            return _resolve(declared[policy], declared, (*seen, policy))
        if policy in PRESETS:
            return PRESETS[policy]
        known = known_policies(declared)
        hint = checks.suggest(policy, known) or f"there are {', '.join(known)}"
        raise ConfigInvalid(f'no policy is called "{policy}"', hint=hint, path=("extends",))
    return _overlay(_resolve(policy.extends, declared, seen), policy)


def _checks(base: ResolvedPolicy, policy: CachePolicy) -> bool:
    if policy.check_content_type is not None:
        return policy.check_content_type
    # RFC 9111 knows no such check: who asks for its letter gets it.
    return base.check_content_type and policy.mode != "rfc"


def _overlay(base: ResolvedPolicy, policy: CachePolicy) -> ResolvedPolicy:
    if not base.store:
        # What keeps nothing and forwards everything has nothing to set; `bodega check` points out who tries.
        return base
    guesses = policy.default_ttl == "heuristic"
    # A default of zero would leave nothing of the guess, which it bounds.
    inherited = (base.default_ttl_seconds or DAY) if guesses else base.default_ttl_seconds
    default_ttl = _seconds(None if guesses else policy.default_ttl, "default_ttl", inherited)
    max_ttl = _seconds(policy.max_ttl, "max_ttl", base.max_ttl_seconds)
    min_ttl = _seconds(policy.min_ttl, "min_ttl", base.min_ttl_seconds)
    if min_ttl > max_ttl:
        raise ConfigInvalid("min_ttl is longer than the inherited max_ttl", hint="name both", path=("min_ttl",))
    key = policy.key or KeyRules()
    forward = policy.forward or ForwardRules()
    return ResolvedPolicy(
        store=base.store,
        mode=base.mode if policy.mode is None else policy.mode,
        min_ttl_seconds=min_ttl,
        default_ttl_seconds=min(default_ttl, max_ttl),
        heuristic_only=guesses or (policy.default_ttl is None and base.heuristic_only),
        max_ttl_seconds=max_ttl,
        negative_ttl_seconds=_negative(base, policy, default_ttl),
        stale_while_revalidate_seconds=_seconds(
            policy.stale_while_revalidate, "stale_while_revalidate", base.stale_while_revalidate_seconds
        ),
        stale_if_error_seconds=_seconds(policy.stale_if_error, "stale_if_error", base.stale_if_error_seconds),
        strict_seconds=_seconds_or_off(policy.strict, "strict", base.strict_seconds),
        refresh_every_seconds=_seconds_or_off(policy.refresh_every, "refresh_every", base.refresh_every_seconds),
        key_query=_query(key.query, base.key_query),
        key_sorted=base.key_sorted if key.sort is None else key.sort,
        key_headers=_names(key.headers, base.key_headers),
        key_cookies=_names(key.cookies, base.key_cookies),
        key_host=base.key_host if key.host is None else key.host,
        forward_query=_query(forward.query, base.forward_query),
        forward_headers=() if forward.headers == "all" else _names(forward.headers, base.forward_headers),
        forward_all_headers=forward.headers == "all" or (forward.headers is None and base.forward_all_headers),
        forward_cookies=_names(forward.cookies, base.forward_cookies),
        check_content_type=_checks(base, policy),
        tags=base.tags if policy.tags is None else tuple(policy.tags),
        strip_tags=base.strip_tags if policy.strip_tags is None else policy.strip_tags,
        max_object_bytes=base.max_object_bytes
        if policy.max_object is None
        else checks.size(policy.max_object, "max_object"),
    )


def _negative(base: ResolvedPolicy, policy: CachePolicy, default_ttl: float) -> tuple[tuple[int, float], ...]:
    if policy.negative_ttl is not None:
        return tuple(
            (status, checks.duration(written, "negative_ttl", str(status)))
            for status, written in policy.negative_ttl.items()
        )
    # Whoever lowers the default, down to "only what the answer says", means errors no less than pages.
    return tuple(
        (status, min(seconds, default_ttl)) for status, seconds in base.negative_ttl_seconds if default_ttl > 0
    )


def _seconds(written: object, name: str, inherited: float) -> float:
    return inherited if written is None else checks.duration(written, name)


def _seconds_or_off(written: object, name: str, inherited: float | None) -> float | None:
    if written is None:
        return inherited
    return None if written == "off" else checks.duration(written, name)


def _names(written: object, inherited: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(written))) if isinstance(written, tuple) else inherited


def _query(written: Query | None, inherited: ResolvedQuery) -> ResolvedQuery:
    if written is None:
        return inherited
    if isinstance(written, Deny):
        return ResolvedQuery("deny", tuple(sorted(set(written.deny))))
    if written == "all":
        return _ALL
    if written == "none" or not written:
        return _NONE
    return ResolvedQuery("allow", tuple(sorted(set(written))))
