from __future__ import annotations

import pytest

from bodega.distributions import Behavior, CachePolicy, Declarations, Distribution, HttpOrigin, OriginGroup
from bodega.errors import ConfigInvalid, format_path

SITE = HttpOrigin("https://www.example.com")


def shop(*behaviors: Behavior, name: str = "shop", hosts: str = "shop.example.com") -> Distribution:
    return Distribution(name, hosts=hosts, behaviors=behaviors or [Behavior(origin="https://www.example.com")])


def test_references_to_what_is_declared_are_taken() -> None:
    declared = Declarations(
        origins={"site": SITE},
        policies={"pages": CachePolicy(default_ttl="1h")},
        distributions=[shop(Behavior(origin="site", policy="pages"))],
    )
    assert declared.origin("site") == SITE


@pytest.mark.parametrize(
    ("behavior", "where", "message"),
    [
        (Behavior(origin="sit"), "origin", 'no origin is called "sit"; did you mean "site"?'),
        (Behavior(origin="www.example.com"), "origin", 'did you mean "https://www.example.com"?'),
        (Behavior(origin="zzz"), "origin", "there are site"),
        (Behavior(origin="site", policy="pagse"), "policy", 'did you mean "pages"?'),
        (Behavior(origin="site", policy="imutable"), "policy", 'did you mean "immutable"?'),
        (Behavior(origin="site", policy=CachePolicy(extends="wbe")), "policy.extends", 'did you mean "web"?'),
    ],
)
def test_a_name_that_refers_to_nothing_is_named_with_the_nearest(behavior: Behavior, where: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Declarations(origins={"site": SITE}, policies={"pages": CachePolicy()}, distributions=[shop(behavior)])
    assert message in str(caught.value)
    assert format_path(caught.value.path) == f"distributions.shop.behaviors[0].{where}"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("sit", 'no origin is called "sit"; did you mean "site"?'),
        ("zzz", 'no origin is called "zzz"; declare it: [origins] zzz = "https://..."'),
        ("both", '"both" is a group itself; name its members here instead'),
    ],
)
def test_a_member_of_a_group_that_is_no_origin_is_named(member: str, message: str) -> None:
    origins = {"site": SITE, "other": SITE, "both": OriginGroup(["site", "other"])}
    group = OriginGroup(["site", member])
    for declared, path in [
        ({"origins": {**origins, "more": group}}, "origins.more.group[1]"),
        (
            {"origins": origins, "distributions": [shop(Behavior(origin=group))]},
            "distributions.shop.behaviors[0].origin.group[1]",
        ),
    ]:
        with pytest.raises(ConfigInvalid) as caught:
            Declarations(**declared)  # type: ignore[arg-type]
        assert message in str(caught.value)
        assert format_path(caught.value.path) == path


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Declarations(
            policies={"a": CachePolicy(extends="b"), "web": CachePolicy()},
            distributions=[shop(Behavior(origin="x")), shop(name="other")],
        )
    paths = [format_path(problem.path) for problem in caught.value.problems]
    assert paths == [
        "policies.a.extends",
        "policies.web",
        "distributions.other.hosts[0]",
        "distributions.shop.behaviors[0].origin",
    ]


def test_two_distributions_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="two distributions"):
        Declarations(distributions=[shop(), shop(hosts="b.example.com")])


@pytest.mark.parametrize(
    ("hosts", "hint"),
    [
        ("https://shop.example.com/", '"shop.example.com"'),
        ("shop.example.com:8080", '"shop.example.com"'),
        ("shop.example.com/x", "behaviors"),
        ("*shop.example.com", "*.shop.example.com"),
        ("a..b", "shop.example.com"),
        ("käse.example", "xn--kse-qla.example"),
        (["a.example", "A.example"], "remove one"),
        ([], "leave `hosts` out"),
        ("[::g]", "2001:db8"),
    ],
)
def test_what_is_no_host_is_refused(hosts: str, hint: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        shop(hosts=hosts)
    assert caught.value.path[0] == "hosts"
    assert hint in caught.value.hint


def test_hosts_are_kept_in_lower_case_without_a_last_dot() -> None:
    assert shop(hosts="Shop.Example.COM.").hosts == ("shop.example.com",)


def test_a_distribution_without_behaviors_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="answers nothing"):
        Distribution("shop", behaviors=[])
