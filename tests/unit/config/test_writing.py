"""What is written is read as the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bodega.config import parse_config, to_text
from bodega.distributions import (
    S3,
    Answer,
    Behavior,
    CachePolicy,
    Declarations,
    Distribution,
    ForwardRules,
    HeaderEdits,
    Health,
    Hsts,
    HttpOrigin,
    KeyRules,
    OriginGroup,
    Redirect,
    RegionalOrigin,
)

EVERYTHING = Declarations(
    origins={
        "site": HttpOrigin("https://a.example.com", host="viewer", health=Health(max_failures=0), attempts=4),
        "files": S3("shop-files", prefix="x/", endpoint="https://s3.example.com", unsigned=True),
        "both": OriginGroup(["site", "files"], failover=[503]),
        "near": RegionalOrigin({"eu-*": "site"}, otherwise="both"),
    },
    policies={
        "pages": CachePolicy(
            extends="immutable",
            default_ttl="1h",
            negative_ttl={404: "10s"},
            key=KeyRules(query=["page"], headers=["accept-language"]),
            forward=ForwardRules(headers="all"),
            tags=["a", "b:{path.1}"],
            max_object="10GB",
        )
    },
    distributions=[
        Distribution(
            "shop",
            hosts=["a.example.com", "*.b.example.com"],
            hsts=Hsts("1y", include_subdomains=True),
            edges=["region:eu-*"],
            behaviors=[
                Behavior("/old/*", redirect=Redirect("https://c.example.com", status=308)),
                Behavior(
                    "/no", answer=Answer(status=404, body="nothing\n", headers={"x-a": "b"}), allow=["10.0.0.0/8"]
                ),
                Behavior("/x/*", origin="site", response_headers=HeaderEdits(set={"x-b": 'c "d"'}, remove=["server"])),
                Behavior(methods=["GET"], origin="near", policy="pages"),
                Behavior(origin=S3("bucket"), policy=CachePolicy(default_ttl="2m")),
            ],
        ),
        Distribution("rest", behaviors=[Behavior(origin="https://z.example.com")]),
    ],
)


def test_everything_is_written_and_read_as_the_same() -> None:
    assert parse_config(to_text(EVERYTHING)).declarations == EVERYTHING


def test_what_only_python_can_say_is_declared_under_a_name() -> None:
    inner = CachePolicy(default_ttl=timedelta(minutes=1))
    group = OriginGroup([HttpOrigin("http://a", attempts=5), S3("bucket")])
    behaviors = [
        Behavior("/a", origin=group, policy=CachePolicy(extends=inner, strip_tags=False)),
        Behavior(origin=group, policy=CachePolicy(extends=inner)),
    ]
    written = parse_config(to_text(Declarations(distributions=[Distribution("d", behaviors=behaviors)]))).declarations
    assert written.origins == {"origin-1": HttpOrigin("http://a", attempts=5), "origin-2": S3("bucket")}
    assert written.policies == {"policy-1": CachePolicy(default_ttl="60000ms")}
    first, second = written.distributions[0].behaviors
    assert first.origin == second.origin == OriginGroup(["origin-1", "origin-2"])
    assert first.policy == CachePolicy(extends="policy-1", strip_tags=False)


@pytest.mark.parametrize("text", ["", '[distributions.d]\nbehaviors = [{ origin = "http://a" }]'])
def test_little_is_little(text: str) -> None:
    declarations = parse_config(text).declarations
    assert parse_config(to_text(declarations)).declarations == declarations
