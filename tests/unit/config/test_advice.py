from __future__ import annotations

import pytest

from bodega.config import advise
from bodega.config.advice import _pattern_covers
from bodega.distributions import (
    S3,
    Answer,
    Behavior,
    CachePolicy,
    Declarations,
    Distribution,
    ForwardRules,
    HttpOrigin,
    Jwt,
    KeyRules,
    OriginGroup,
)
from bodega.errors import format_path

SITE = "https://www.example.com"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


def advice_on(*behaviors: Behavior, environment: dict[str, str] | None = None) -> list[str]:
    declared = Declarations(distributions=[Distribution("shop", behaviors=behaviors)])
    found = advise(declared, KEYS if environment is None else environment)
    return [f"{format_path(each.path).removeprefix('distributions.shop.')}: {each.what}" for each in found]


@pytest.mark.parametrize(
    ("forward", "key", "said"),
    [
        (ForwardRules(headers=["cookie"]), None, "the header `cookie`"),
        (ForwardRules(headers=["Authorization"]), None, "the header `authorization`"),
        (ForwardRules(cookies=["session"]), None, "the cookie `session`"),
        (ForwardRules(query="all"), KeyRules(query=["page"]), "the rest of the query"),
        (ForwardRules(query=["ref"]), KeyRules(query="none"), "the parameter `ref`"),
        (ForwardRules(headers=["x-a"]), KeyRules(headers=["X-A"]), None),
        (ForwardRules(query=["ref"]), None, None),
        (None, None, None),
    ],
)
def test_what_reaches_the_origin_outside_the_key_is_pointed_out(
    forward: ForwardRules | None, key: KeyRules | None, said: str | None
) -> None:
    found = advice_on(Behavior(origin=SITE, policy=CachePolicy(forward=forward, key=key)))
    if said is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(f"behaviors[0].policy: {said} reaches the origin but is not in the key")


def test_a_refresh_that_never_comes_before_the_end_is_pointed_out() -> None:
    late = CachePolicy(refresh_every="1h", max_ttl="1h")
    [said] = advice_on(Behavior(origin=SITE, policy=late))
    assert said == "behaviors[0].policy: nothing is as old as `refresh_every` before it expires: `max_ttl` is 1h"
    assert advice_on(Behavior(origin=SITE, policy=CachePolicy(refresh_every="59m", max_ttl="1h"))) == []


@pytest.mark.parametrize("policy", ["web", "immutable", "api", "none"])
def test_presets_give_no_reason_for_advice(policy: str) -> None:
    assert advice_on(Behavior(origin=SITE, policy=policy)) == []


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        (Behavior(origin=SITE), Behavior("/a", origin=SITE), True),
        (Behavior("*", origin=SITE), Behavior("/a/*", origin=SITE), True),
        (Behavior("/a/*", origin=SITE), Behavior("/a/b/*", origin=SITE), True),
        (Behavior("/a/*", origin=SITE), Behavior(["/a/b", "/c"], origin=SITE), False),
        (Behavior(["/a/*", "/c"], origin=SITE), Behavior(["/a/b", "/c"], origin=SITE), True),
        (Behavior(methods="GET", origin=SITE), Behavior("/a", origin=SITE), False),
        (Behavior(methods=["GET", "HEAD"], origin=SITE), Behavior("/a", methods="GET", origin=SITE), True),
        (Behavior("/a", origin=SITE), Behavior("/a", methods="GET", origin=SITE), True),
        (Behavior("/a", origin=SITE), Behavior("/b", origin=SITE), False),
    ],
)
def test_a_behavior_that_nothing_reaches_is_pointed_out(earlier: Behavior, later: Behavior, covered: bool) -> None:
    found = advice_on(earlier, later, Behavior(methods=(), origin=SITE))
    said = [each for each in found if each.startswith("behaviors[1]: no request reaches")]
    assert bool(said) == covered


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("*", "/x", True),
        ("*.webp", "/a/*.webp", True),
        ("/a*b", "/a*", False),
        ("/a*b", "/axxb", True),
        ("/?", "/a", True),
        ("/?", "/?", True),
        ("/?", "/*", False),
        ("/a/*", "/a/*", True),
        ("/a/*/c", "/a/*", False),
        ("*a*a*a*a*a*a*b", "/" + "a" * 200, False),
    ],
)
def test_one_pattern_covers_another(wide: str, narrow: str, covers: bool) -> None:
    assert _pattern_covers(wide, narrow) is covers


def test_a_distribution_that_leaves_requests_unmatched_is_pointed_out() -> None:
    assert advice_on(Behavior("/a", answer=Answer())) == [
        "behaviors: requests that no behavior matches are answered 404"
    ]


def test_a_bucket_without_credentials_is_pointed_out() -> None:
    said = "behaviors[0].origin: no credentials: AWS_SECRET_ACCESS_KEY is not set here"
    assert advice_on(Behavior(origin=S3("images")), environment={"AWS_ACCESS_KEY_ID": "a"}) == [said]
    assert advice_on(Behavior(origin=S3("images")), environment=KEYS) == []
    assert advice_on(Behavior(origin=S3("images", unsigned=True)), environment={}) == []
    [said] = advice_on(Behavior(origin=S3("images", credentials_file="/no/such/file")), environment={})
    assert "there is no file" in said


def test_what_is_declared_and_not_used_is_pointed_out() -> None:
    declared = Declarations(
        origins={"site": HttpOrigin(SITE), "old": HttpOrigin(SITE)},
        policies={"base": CachePolicy(), "pages": CachePolicy(extends="base"), "idle": CachePolicy()},
        distributions=[Distribution("shop", behaviors=[Behavior(origin="site", policy="pages")])],
    )
    assert [format_path(each.path) for each in advise(declared, KEYS)] == ["origins.old", "policies.idle"]


def test_the_members_of_a_group_are_used_where_the_group_is() -> None:
    def unused(origin: str | OriginGroup) -> list[str]:
        members = {name: HttpOrigin(SITE) for name in ("a", "b", "c")}
        declared = Declarations(
            origins={**members, "both": OriginGroup(["a", "b"])},
            distributions=[Distribution("shop", behaviors=[Behavior(origin=origin)])],
        )
        return [format_path(each.path) for each in advise(declared, KEYS)]

    assert unused("both") == ["origins.c"]
    assert unused(OriginGroup(["a", "c"])) == ["origins.b", "origins.both"]
    assert unused("c") == ["origins.a", "origins.b", "origins.both"]


@pytest.mark.parametrize(
    ("behavior", "said"),
    [
        (Behavior(methods="POST", origin=SITE), "this behavior takes POST"),
        (Behavior("/b/*", origin=SITE, strip_prefix="/a"), 'do not begin with "/a"'),
        (Behavior(origin=SITE, policy=CachePolicy(extends="none", default_ttl="1h")), 'extends "none" keeps nothing'),
    ],
)
def test_what_has_no_effect_is_pointed_out(behavior: Behavior, said: str) -> None:
    assert any(said in each for each in advice_on(behavior, Behavior(origin=SITE)))


def test_what_body_keys_and_tokens_probably_do_not_mean() -> None:
    searched = Behavior(origin=SITE, methods=["POST"], body_key="json")
    assert not [each for each in advice_on(searched) if "POST" in each]
    (said,) = (each for each in advice_on(Behavior(origin=SITE, body_key="raw", policy="none")) if "body_key" in each)
    assert said == "behaviors[0].body_key: `body_key` says by what answers are kept, and the policy keeps none"
    (said,) = advice_on(Behavior(origin=SITE, authorization="edge", tokens="/nowhere/clients.tokens"))
    assert said == "behaviors[0].tokens: there is no file /nowhere/clients.tokens"
    signed = Jwt("/nowhere/issuer.jwks.json", issuer="https://id.example.com", audience="shop")
    (said,) = advice_on(Behavior(origin=SITE, authorization="edge", jwt=signed))
    assert said == "behaviors[0].jwt.keys: there is no file /nowhere/issuer.jwks.json"
