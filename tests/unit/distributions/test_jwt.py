from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bodega import Behavior, Distribution, Jwt
from bodega.config import parse_config
from bodega.distributions import Declarations
from bodega.errors import ConfigInvalid
from bodega.snapshot import compile_snapshot, validate

RIGHT: dict[str, Any] = {"keys": "issuer.jwks.json", "issuer": "https://id.example.com", "audience": "shop"}


def test_what_is_left_out_is_as_by_default() -> None:
    made = Jwt(**RIGHT)
    assert (made.audience, made.algorithms, made.leeway, made.claims) == (("shop",), (), "30s", {})
    lists = Jwt(**{**RIGHT, "audience": ["a", "b"], "algorithms": "ES256", "leeway": timedelta(minutes=5)})
    assert (lists.audience, lists.algorithms) == (("a", "b"), ("ES256",))


@pytest.mark.parametrize(
    ("written", "what", "path"),
    [
        ({"keys": ""}, "names no file", ("keys",)),
        ({"keys": 1}, "not a text", ("keys",)),
        ({"issuer": ""}, "in no token", ("issuer",)),
        ({"issuer": ["a"]}, "not a text", ("issuer",)),
        ({"audience": []}, "let in nobody", ("audience",)),
        ({"audience": ""}, "in no token", ("audience",)),
        ({"audience": ["a", ""]}, "in no token", ("audience", 1)),
        ({"audience": 1}, "not a list", ("audience",)),
        ({"algorithms": "none"}, "no algorithm that counts", ("algorithms",)),
        ({"algorithms": ["ES256", "HS256"]}, "no algorithm that counts", ("algorithms", 1)),
        ({"leeway": "6m"}, "too long", ("leeway",)),
        ({"leeway": 30}, "30", ("leeway",)),
        ({"claims": ["scope"]}, "are a table", ("claims",)),
        ({"claims": {"exp": "1"}}, "checked anyway", ("claims", "exp")),
        ({"claims": {"scope": 1}}, "not a text", ("claims", "scope")),
        ({"claims": {"": "a"}}, "in no token", ("claims",)),
        ({"claims": {"scope": ""}}, "in no token", ("claims", "scope")),
    ],
)
def test_what_is_not_right_is_said_with_its_place(
    written: dict[str, Any], what: str, path: tuple[str | int, ...]
) -> None:
    with pytest.raises(ConfigInvalid, match=what) as caught:
        Jwt(**{**RIGHT, **written})
    assert caught.value.problems[0].path == path


def test_a_file_says_the_same_and_errors_their_line() -> None:
    text = """\
[[distributions.shop.behaviors]]
origin = "https://www.example.com"
authorization = "edge"
[distributions.shop.behaviors.jwt]
keys = "issuer.jwks.json"
issuer = "https://id.example.com"
audience = "shop"
algorithms = ["ES256"]
claims = { scope = "predict" }
"""
    (distribution,) = parse_config(text).declarations.distributions
    said = Jwt(**RIGHT, algorithms=["ES256"], claims={"scope": "predict"})
    assert distribution.behaviors[0].jwt == said
    with pytest.raises(ConfigInvalid, match="HS256") as caught:
        parse_config(text.replace("ES256", "HS256"))
    assert caught.value.problems[0].line == 8


def test_the_native_core_takes_what_is_declared() -> None:
    made = Jwt(**RIGHT, algorithms=["RS256", "EdDSA"], leeway="5m", claims={"scope": "predict"})
    behavior = Behavior(origin="https://www.example.com", authorization="edge", jwt=made, tokens="clients.tokens")
    snapshot = compile_snapshot(Declarations(distributions=[Distribution("a", behaviors=[behavior])]))
    validate(snapshot)
    assert '"jwt":{"keys":"issuer.jwks.json"' in snapshot.document.replace(" ", "")


def test_signed_tokens_are_for_edges_that_check_them() -> None:
    with pytest.raises(ConfigInvalid, match="tokens that the edge checks") as caught:
        Behavior(origin="https://www.example.com", jwt=Jwt(**RIGHT))
    assert caught.value.problems[0].path == ("jwt",)
    with pytest.raises(ConfigInvalid, match="described by a Jwt"):
        Behavior(origin="https://www.example.com", authorization="edge", jwt="issuer.jwks.json")  # type: ignore[arg-type]
