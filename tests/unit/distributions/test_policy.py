from __future__ import annotations

from datetime import timedelta

import pytest

from bodega.distributions import CachePolicy, Deny, ForwardRules, KeyRules
from bodega.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"default_ttl": "24"}, ("default_ttl",)),
        ({"default_ttl": 60}, ("default_ttl",)),
        ({"max_object": "10G"}, ("max_object",)),
        ({"min_ttl": "2h", "max_ttl": "1h"}, ("min_ttl",)),
        ({"default_ttl": "2h", "max_ttl": "1h"}, ("default_ttl",)),
        ({"negative_ttl": {99: "1s"}}, ("negative_ttl", "99")),
        ({"negative_ttl": {304: "1s"}}, ("negative_ttl", "304")),
        ({"negative_ttl": {404: 10}}, ("negative_ttl", "404")),
        ({"negative_ttl": ["404"]}, ("negative_ttl",)),
        ({"key": {"query": "all"}}, ("key",)),
        ({"extends": "no such name!"}, ("extends",)),
        ({"extends": 5}, ("extends",)),
        ({"tags": "shop"}, ("tags",)),
        ({"tags": ["shop", "a b"]}, ("tags", 1)),
        ({"tags": ["a,b"]}, ("tags", 0)),
        ({"tags": ["product:{path}"]}, ("tags", 0)),
        ({"tags": ["a" * 257]}, ("tags", 0)),
        ({"tags": ["a"] * 33}, ("tags",)),
        ({"strip_tags": "no"}, ("strip_tags",)),
        ({"strict": "2999ms"}, ("strict",)),
        ({"strict": 5}, ("strict",)),
        ({"strict": "none"}, ("strict",)),
        ({"refresh_every": "999ms"}, ("refresh_every",)),
        ({"refresh_every": "0"}, ("refresh_every",)),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(fields: dict[str, object], path: tuple[str, ...]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        CachePolicy(**fields)  # type: ignore[arg-type]
    assert caught.value.path == path


def test_tags_may_hold_parts_of_the_url() -> None:
    assert CachePolicy(tags=["shop", "product:{path.2}", "{host}"]).tags == ("shop", "product:{path.2}", "{host}")


def test_durations_may_be_timedeltas() -> None:
    assert CachePolicy(default_ttl=timedelta(hours=1)).default_ttl == timedelta(hours=1)


def test_zero_as_default_is_no_contradiction_to_a_minimum() -> None:
    assert CachePolicy(min_ttl="10s", default_ttl="0").default_ttl == "0"


def test_header_names_compare_without_case_and_cookie_names_with() -> None:
    rules = KeyRules(headers=["X-Currency"], cookies=["Session"])
    assert rules.headers == ("x-currency",)
    assert rules.cookies == ("Session",)


@pytest.mark.parametrize(
    ("rules", "fields", "path"),
    [
        (KeyRules, {"query": "page"}, ("query",)),
        (KeyRules, {"query": ["a=b"]}, ("query", 0)),
        (KeyRules, {"headers": ["x y"]}, ("headers", 0)),
        (KeyRules, {"cookies": ["a;b"]}, ("cookies", 0)),
        (KeyRules, {"sort": "yes"}, ("sort",)),
        (ForwardRules, {"headers": [""]}, ("headers", 0)),
        (Deny, {"deny": ["&"]}, ("deny", 0)),
    ],
)
def test_names_that_cannot_be_sent_are_refused(
    rules: type[object], fields: dict[str, object], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        rules(**fields)
    assert caught.value.path == path
