"""What is allowed but probably not meant.

`bodega check` and `bodega edge` print it; nothing here stops anything.
Start at `advise`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bodega.config.addresses import is_local
from bodega.config.control_settings import advise_control
from bodega.distributions import (
    S3,
    Behavior,
    CachePolicy,
    Declarations,
    Distribution,
    Model,
    ModelGroup,
    OriginGroup,
    RegionalOrigin,
    ResolvedPolicy,
    resolve_policy,
)
from bodega.errors import KeyPath, Problem
from bodega.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bodega.config.edge_settings import EdgeSettings


def advise(declarations: Declarations, environment: Mapping[str, str]) -> list[Problem]:
    """Point out what is probably not meant.

    Args:
        declarations: What is declared.
        environment: Where credentials are looked for.
    """
    found: list[Problem] = []
    for distribution in declarations.distributions:
        found += _unreachable(distribution)
        found += _no_catch_all(distribution)
        for index, behavior in enumerate(distribution.behaviors):
            path: KeyPath = ("distributions", distribution.name, "behaviors", index)
            found += _behavior(declarations, behavior, path)
            found += _tokens(behavior, path)
    found += _unused(declarations)
    for name, origin in declarations.origins.items():
        if isinstance(origin, S3):
            found += _credentials(origin, ("origins", name), environment)
    for distribution in declarations.distributions:
        for index, behavior in enumerate(distribution.behaviors):
            if isinstance(behavior.origin, S3):
                found += _credentials(
                    behavior.origin, ("distributions", distribution.name, "behaviors", index, "origin"), environment
                )
    return found


def advise_settings(settings: EdgeSettings) -> list[Problem]:
    """Point out what is probably not meant about this machine."""
    found = list(advise_control(settings))
    open_to_others = [address for address in settings.listen if not is_local(address)]
    if settings.tls_client_auth == "required" and open_to_others:
        found.append(
            Problem(
                f"clients need a certificate for TLS, and none at {', '.join(open_to_others)}",
                "leave HTTP out with listen = [], or to this machine",
                ("listen",),
            )
        )
    return found


def _tokens(behavior: Behavior, path: KeyPath) -> Iterator[Problem]:
    if behavior.tokens is not None and not Path(behavior.tokens).is_file():
        yield Problem(
            f"there is no file {behavior.tokens}",
            f"`bodega tokens add {behavior.tokens} NAME` makes it, with a first token",
            (*path, "tokens"),
        )
    if behavior.jwt is not None and not Path(behavior.jwt.keys).is_file():
        yield Problem(
            f"there is no file {behavior.jwt.keys}",
            "put the public keys of the issuer there, as its `jwks_uri` has them",
            (*path, "jwt", "keys"),
        )


def _behavior(declarations: Declarations, behavior: Behavior, path: KeyPath) -> Iterator[Problem]:
    if behavior.origin is None:
        return
    if isinstance(declarations.origin(behavior.origin), Model | ModelGroup):
        # What is kept of a model's answers are its rows, whatever the method that brought them.
        return
    policy = resolve_policy(behavior.policy, declarations.policies)
    outside = _forwarded_outside_key(policy)
    if policy.store and outside and policy.default_ttl_seconds > 0:
        yield Problem(
            f"{', '.join(outside)} reaches the origin but is not in the key: the default TTL does not "
            "count for requests that carry it",
            "let the origin say `public` or `s-maxage`, put it into `key`, or do not forward it",
            (*path, "policy"),
        )
    keeps_others = behavior.body_key is not None
    if keeps_others and not policy.store:
        yield Problem(
            "`body_key` says by what answers are kept, and the policy keeps none",
            "take another policy, or leave it out",
            (*path, "body_key"),
        )
    if policy.store and not keeps_others and behavior.methods and not {"GET", "HEAD"} & set(behavior.methods):
        yield Problem(
            f"the policy keeps answers to GET, and this behavior takes {', '.join(behavior.methods)}",
            'write policy = "none", or `body_key` for what only asks',
            (*path, "policy"),
        )
    refresh_every, longest = policy.refresh_every_seconds, policy.max_ttl_seconds
    if policy.store and refresh_every is not None and refresh_every >= longest:
        yield Problem(
            f"nothing is as old as `refresh_every` before it expires: `max_ttl` is {format_duration(round(longest))}",
            "shorten it, or leave it out",
            (*path, "policy"),
        )
    if isinstance(behavior.policy, CachePolicy) and not policy.store and _says_more_than_none(behavior.policy):
        yield Problem('a policy that extends "none" keeps nothing', 'extend "web" or "api"', (*path, "policy"))
    if (
        behavior.strip_prefix
        and behavior.paths
        and not all(_begins_with(each, behavior.strip_prefix) for each in behavior.paths)
    ):
        yield Problem(
            f'some paths of this behavior do not begin with "{behavior.strip_prefix}"',
            "their paths are sent as they are",
            (*path, "strip_prefix"),
        )


def _forwarded_outside_key(policy: ResolvedPolicy) -> list[str]:
    headers = [f"the header `{name}`" for name in policy.forward_headers if name not in policy.key_headers]
    cookies = [f"the cookie `{name}`" for name in policy.forward_cookies if name not in policy.key_cookies]
    query = []
    if policy.forward_query.kind in ("all", "deny") and policy.key_query.kind != "all":
        query = ["the rest of the query"]
    elif policy.forward_query.kind == "allow" and policy.key_query.kind in ("none", "allow"):
        query = [f"the parameter `{name}`" for name in policy.forward_query.names if name not in policy.key_query.names]
    return [*headers, *cookies, *query]


def _says_more_than_none(policy: CachePolicy) -> bool:
    return any(
        written is not None
        for written in (policy.mode, policy.min_ttl, policy.default_ttl, policy.max_ttl, policy.negative_ttl)
    )


def _begins_with(pattern: str, prefix: str) -> bool:
    return pattern == prefix or pattern.startswith(prefix + "/")


def _unreachable(distribution: Distribution) -> Iterator[Problem]:
    for index, behavior in enumerate(distribution.behaviors):
        for earlier_index, earlier in enumerate(distribution.behaviors[:index]):
            if _covers(earlier, behavior):
                yield Problem(
                    "no request reaches this behavior: an earlier one takes all that it would match",
                    f"move it before behaviors[{earlier_index}], or remove it",
                    ("distributions", distribution.name, "behaviors", index),
                )
                break


def _no_catch_all(distribution: Distribution) -> Iterator[Problem]:
    everything = Behavior(answer=None, origin="x")
    if not any(_covers(behavior, everything) for behavior in distribution.behaviors):
        yield Problem(
            "requests that no behavior matches are answered 404",
            "end with a behavior that has neither path nor methods",
            ("distributions", distribution.name, "behaviors"),
        )


def _covers(earlier: Behavior, later: Behavior) -> bool:
    if earlier.methods and not (later.methods and set(later.methods) <= set(earlier.methods)):
        return False
    if not earlier.paths:
        return True
    if not later.paths:
        return any(pattern in ("*", "/*") for pattern in earlier.paths)
    return all(any(_pattern_covers(wide, narrow) for wide in earlier.paths) for narrow in later.paths)


def _pattern_covers(wide: str, narrow: str) -> bool:
    """Whether `wide` matches all that `narrow` does: the wildcards of `narrow` are characters that only ``*`` takes."""
    # Greedy matching with one point of return: linear in practice, quadratic at worst, never exponential.
    at, in_wide, star, resume = 0, 0, -1, 0
    while at < len(narrow):
        if in_wide < len(wide) and wide[in_wide] == "*":
            star, resume = in_wide, at
            in_wide += 1
        elif in_wide < len(wide) and (wide[in_wide] == narrow[at] or (wide[in_wide] == "?" and narrow[at] != "*")):
            at, in_wide = at + 1, in_wide + 1
        elif star >= 0:
            resume += 1
            at, in_wide = resume, star + 1
        else:
            return False
    return not wide[in_wide:].strip("*")


def _unused(declarations: Declarations) -> Iterator[Problem]:
    behaviors = [behavior for distribution in declarations.distributions for behavior in distribution.behaviors]
    origins = {behavior.origin for behavior in behaviors if isinstance(behavior.origin, str)}
    policies = {behavior.policy for behavior in behaviors if isinstance(behavior.policy, str)}
    every_policy = [*declarations.policies.values(), *(behavior.policy for behavior in behaviors)]
    policies |= {
        each.extends for each in every_policy if isinstance(each, CachePolicy) and isinstance(each.extends, str)
    }
    of_origins = [behavior.origin for behavior in behaviors if not isinstance(behavior.origin, str)]
    of_origins += [declarations.origins[name] for name in origins if name in declarations.origins]
    # A choice by region may come to a group.
    for _ in ("regions", "groups"):
        members = {member for origin in of_origins for member in _members(origin) if isinstance(member, str)}
        origins |= members
        of_origins = [declarations.origins[name] for name in members if name in declarations.origins]
    for name in declarations.origins:
        if name not in origins:
            yield Problem(f'no behavior uses the origin "{name}"', "use it or remove it", ("origins", name))
    for name in declarations.policies:
        if name not in policies:
            yield Problem(f'no behavior uses the policy "{name}"', "use it or remove it", ("policies", name))


def _members(origin: object) -> Sequence[object]:
    match origin:
        case OriginGroup():
            return origin.group
        case RegionalOrigin():
            return origin.members
        case ModelGroup():
            return origin.models
        case _:
            return ()


def _credentials(origin: S3, path: KeyPath, environment: Mapping[str, str]) -> Iterator[Problem]:
    if origin.unsigned:
        return
    if origin.credentials_file is not None:
        if not Path(origin.credentials_file).is_file():
            yield Problem(f"there is no file {origin.credentials_file}", "", (*path, "credentials_file"))
        return
    missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not environment.get(name)]
    if missing:
        yield Problem(
            f"no credentials: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set here",
            "set them where the edge runs, name a `credentials_file`, or write `unsigned = true` for a public bucket",
            path,
        )
