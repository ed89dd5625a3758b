from __future__ import annotations

import pytest

from bodega.distributions import PRESETS, CachePolicy, Deny, ForwardRules, KeyRules, ResolvedQuery, resolve_policy
from bodega.distributions.resolve import PRESET_TEXTS
from bodega.errors import ConfigInvalid


def test_every_preset_has_a_text() -> None:
    assert PRESET_TEXTS.keys() == PRESETS.keys()


def test_a_policy_extends_web_unless_it_says_otherwise() -> None:
    assert resolve_policy(CachePolicy(), {}) == PRESETS["web"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_policy_that_says_nothing_is_what_it_extends(preset: str) -> None:
    assert resolve_policy(CachePolicy(extends=preset), {}) == PRESETS[preset]


def test_no_preset_puts_cookies_or_authorization_into_a_shared_answer() -> None:
    for name, preset in PRESETS.items():
        forwarded = {*preset.forward_headers, *preset.forward_cookies}
        # A default TTL beside forwarded credentials would rest on the data plane's refusal alone.
        assert not preset.store or not forwarded or preset.default_ttl_seconds == 0, name


def test_what_is_left_out_is_inherited_through_several_policies() -> None:
    declared = {
        "pages": CachePolicy(default_ttl="10m", key=KeyRules(query=["page"], headers=["x-a"])),
        "news": CachePolicy(extends="pages", stale_if_error="2h", key=KeyRules(sort=True)),
    }
    news = resolve_policy("news", declared)
    assert news.default_ttl_seconds == 600
    assert news.stale_if_error_seconds == 7200
    assert news.key_query == ResolvedQuery("allow", ("page",))
    assert news.key_sorted
    assert news.key_headers == ("x-a",)
    assert news.max_ttl_seconds == PRESETS["web"].max_ttl_seconds


def test_a_policy_may_extend_a_policy_that_has_no_name() -> None:
    policy = CachePolicy(extends=CachePolicy(default_ttl="1h"), max_ttl="2h")
    assert resolve_policy(policy, {}).default_ttl_seconds == 3600


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("all", ResolvedQuery("all")),
        ("none", ResolvedQuery("none")),
        ([], ResolvedQuery("none")),
        (["b", "a", "b"], ResolvedQuery("allow", ("a", "b"))),
        (Deny(["utm_source"]), ResolvedQuery("deny", ("utm_source",))),
        (Deny("utm_source"), ResolvedQuery("deny", ("utm_source",))),
    ],
    ids=str,
)
def test_a_query_rule_is_resolved(written: str, resolved: ResolvedQuery) -> None:
    policy = CachePolicy(key=KeyRules(query=written), forward=ForwardRules(query=written))
    assert resolve_policy(policy, {}).key_query == resolved
    assert resolve_policy(policy, {}).forward_query == resolved


def test_inherited_times_of_errors_are_never_longer_than_the_default() -> None:
    assert dict(resolve_policy(CachePolicy(default_ttl="5s"), {}).negative_ttl_seconds)[404] == 5
    assert resolve_policy(CachePolicy(default_ttl="0"), {}).negative_ttl_seconds == ()
    own = CachePolicy(default_ttl="5s", negative_ttl={404: "1m"})
    assert resolve_policy(own, {}).negative_ttl_seconds == ((404, 60),)


def test_an_inherited_default_is_held_below_a_maximum_of_ones_own() -> None:
    assert resolve_policy(CachePolicy(max_ttl="1h"), {}).default_ttl_seconds == 3600


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (CachePolicy(extends="wb"), 'did you mean "web"?'),
        (CachePolicy(extends="a"), "in a circle: a → b → a"),
        (CachePolicy(extends="self"), "in a circle: self → self"),
        (CachePolicy(min_ttl="2y"), "longer than the inherited max_ttl"),
    ],
)
def test_a_policy_that_leads_nowhere_is_refused(policy: CachePolicy, message: str) -> None:
    declared = {"a": CachePolicy(extends="b"), "b": CachePolicy(extends="a"), "self": CachePolicy(extends="self")}
    with pytest.raises(ConfigInvalid, match=message.replace("?", r"\?")):
        resolve_policy(policy, declared)


def test_content_types_are_checked_but_by_the_letter_of_the_rfc() -> None:
    def checks(policy: CachePolicy) -> bool:
        return resolve_policy(policy, {}).check_content_type

    assert checks(CachePolicy())
    assert checks(CachePolicy(extends="immutable"))
    assert not checks(CachePolicy(extends="rfc"))
    assert not checks(CachePolicy(mode="rfc"))
    assert checks(CachePolicy(mode="rfc", check_content_type=True))
    assert not checks(CachePolicy(check_content_type=False))


def test_a_check_of_content_types_is_true_or_false() -> None:
    with pytest.raises(ConfigInvalid, match="neither true nor false"):
        CachePolicy(check_content_type="yes")  # type: ignore[arg-type]
