"""What of everything that is declared is meant for one edge: its distributions, and origins as its region reaches them.

Pure. Whoever publishes for a fleet declares once; an edge is not told of what it does not serve.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from bodega.distributions.actions import Answer
from bodega.distributions.declarations import Declarations
from bodega.distributions.distribution import REGION
from bodega.distributions.model import Model
from bodega.distributions.origin_groups import ModelGroup, OriginGroup, RegionalOrigin
from bodega.distributions.origins import S3, HttpOrigin
from bodega.distributions.policy import CachePolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bodega.distributions.behavior import Behavior
    from bodega.distributions.distribution import Distribution
    from bodega.distributions.origin_groups import Origin


def meant_for(declarations: Declarations, edge: str, region: str) -> Declarations:
    """Return what one edge is to serve; the same object if that is everything, as it stands.

    Args:
        declarations: For a fleet.
        edge: The edge's name.
        region: Its region.
    """
    distributions = [each for each in declarations.distributions if _serves(each, edge, region)]
    is_regional = any(isinstance(origin, RegionalOrigin) for origin in declarations.origins.values()) or any(
        isinstance(behavior.origin, RegionalOrigin) for each in distributions for behavior in each.behaviors
    )
    is_kept_in = any(behavior.region_only for each in distributions for behavior in each.behaviors)
    if len(distributions) == len(declarations.distributions) and not is_regional and not is_kept_in:
        return declarations
    # A name goes on to be the name of what it comes to, so that logs and metrics say the same everywhere.
    origins = {name: _settled(origin, declarations.origins, region) for name, origin in declarations.origins.items()}
    distributions = [
        replace(each, behaviors=[_in_region(behavior, declarations.origins, region) for behavior in each.behaviors])
        for each in distributions
    ]
    distributions = [
        replace(each, behaviors=[_within_region(behavior, origins, region) for behavior in each.behaviors])
        for each in distributions
    ]
    behaviors = [behavior for each in distributions for behavior in each.behaviors]
    return Declarations(
        origins=_used_origins(behaviors, origins),
        policies=_used_policies(behaviors, declarations.policies),
        distributions=distributions,
    )


def _serves(distribution: Distribution, edge: str, region: str) -> bool:
    return any(
        fnmatchcase(region, each.removeprefix(REGION)) if each.startswith(REGION) else fnmatchcase(edge, each)
        for each in distribution.edges
    )


def _settled(origin: Origin, origins: Mapping[str, Origin], region: str) -> Origin:
    if not isinstance(origin, RegionalOrigin):
        return origin
    member = origin.in_region(region)
    return origins[member] if isinstance(member, str) else member


def _in_region(behavior: Behavior, origins: Mapping[str, Origin], region: str) -> Behavior:
    if not isinstance(behavior.origin, RegionalOrigin):
        return behavior
    return replace(behavior, origin=_settled(behavior.origin, origins, region))


def _within_region(behavior: Behavior, origins: Mapping[str, Origin], region: str) -> Behavior:
    """Take out what a behavior that keeps its requests in their region must not ask from there."""
    if not behavior.region_only or behavior.origin is None:
        return behavior
    origin = origins[behavior.origin] if isinstance(behavior.origin, str) else behavior.origin
    if isinstance(origin, Model | ModelGroup):
        # The edge computes them itself.
        return behavior
    members = origin.group if isinstance(origin, OriginGroup) else (behavior.origin,)
    left = [
        member
        for member in members
        if not isinstance(member, _CHOICES)
        and _is_within(origins[member] if isinstance(member, str) else member, region)
    ]
    if len(left) == len(members):
        return behavior
    match left:
        case []:
            return replace(behavior, origin=None, answer=_ELSEWHERE, body_key=None, region_only=False)
        case [alone]:
            return replace(behavior, origin=alone)
        case _:
            assert isinstance(origin, OriginGroup), "one origin is in the region or not"
            return replace(behavior, origin=replace(origin, group=left))


def _is_within(origin: Origin, region: str) -> bool:
    return isinstance(origin, HttpOrigin | S3) and origin.region is not None and fnmatchcase(region, origin.region)


_CHOICES = (RegionalOrigin, ModelGroup, OriginGroup, Model)

_ELSEWHERE = Answer(
    status=503,
    body="503 Service Unavailable: requests stay in this region, and no origin is in it\n",
    headers={"cache-control": "no-store"},
)


def _used_origins(behaviors: Iterable[Behavior], origins: Mapping[str, Origin]) -> dict[str, Origin]:
    used = [behavior.origin for behavior in behaviors]
    named = {origin for origin in used if isinstance(origin, str)}
    groups = [origins[name] for name in named] + [origin for origin in used if not isinstance(origin, str)]
    named |= {
        member for each in groups if isinstance(each, OriginGroup) for member in each.group if isinstance(member, str)
    }
    members = [member for each in groups if isinstance(each, ModelGroup) for member in each.models]
    named |= {member for member in members if isinstance(member, str)}
    # A model brings its other versions along.
    used_models = [*groups, *members, *(origins[name] for name in named)]
    models = {each.name for each in used_models if isinstance(each, Model)}
    named |= {name for name, origin in origins.items() if isinstance(origin, Model) and origin.name in models}
    return {name: origin for name, origin in origins.items() if name in named}


def _used_policies(behaviors: Iterable[Behavior], policies: Mapping[str, CachePolicy]) -> dict[str, CachePolicy]:
    used: set[str] = set()
    left: list[str | CachePolicy | None] = [behavior.policy for behavior in behaviors]
    while left:
        policy = left.pop()
        if isinstance(policy, str):
            if policy in used or policy not in policies:
                continue
            used.add(policy)
            policy = policies[policy]
        if isinstance(policy, CachePolicy):
            left.append(policy.extends)
    return {name: policy for name, policy in policies.items() if name in used}
